// A queue of work for a database, which does all waiting work in one transaction. Its length is bounded, so
// that a flood delays other requests by the time of a full queue at most.
import { AppError } from '../errors.ts'

/**
 * `settling` work completes an earlier count and is always accepted. `reserved` callers go before `open` ones
 * and have a waiting line of their own.
 */
export type Priority = 'settling' | 'reserved' | 'open'

const priorities = ['settling', 'reserved', 'open'] as const

interface Job<Work, Answer> {
  readonly work: Work
  readonly addedAt: number
  readonly resolve: (answer: Answer) => void
  readonly reject: (cause: unknown) => void
}

export interface BatchQueueOptions<Work, Answer> {
  /** Does all of the work or none of it, and returns an answer for each work, in order. */
  readonly run: (works: readonly Work[]) => Promise<readonly Answer[]>
  /** An answer that needs no `run`, or null. Called when a work is about to run. */
  readonly answerWithoutRun: (work: Work) => Answer | null
  readonly weightOf: (work: Work) => number
  readonly parallel: number
  /** A batch is complete with the work that reaches this weight. */
  readonly maxWeight: number
  readonly maxWaiting: Readonly<Record<'reserved' | 'open', number>>
  /** Work that has waited for longer is refused when it is about to run. */
  readonly maxWaitMs: number
}

export class BatchQueue<Work, Answer> {
  readonly #options: BatchQueueOptions<Work, Answer>
  readonly #waiting: Readonly<Record<Priority, Job<Work, Answer>[]>> = {
    settling: [],
    reserved: [],
    open: [],
  }
  #running = 0
  #isScheduled = false
  #whenIdle: () => void = () => {}

  constructor(options: BatchQueueOptions<Work, Answer>) {
    this.#options = options
  }

  /** @throws AppError `overloaded` where there is no place, or whatever `run` throws */
  async add(work: Work, priority: Priority): Promise<Answer> {
    if (priority !== 'settling' && this.#waiting[priority].length >= this.#options.maxWaiting[priority])
      throw overloaded()
    return await new Promise((resolve, reject) => {
      this.#waiting[priority].push({ work, addedAt: performance.now(), resolve, reject })
      this.#schedule()
    })
  }

  /** Resolves when all work is done. */
  async idle(): Promise<void> {
    if (this.#running === 0 && this.#isEmpty()) return
    await new Promise<void>((resolve) => {
      this.#whenIdle = resolve
    })
  }

  /** Work that is added in one turn of the event loop goes into one batch. */
  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    queueMicrotask(() => {
      this.#isScheduled = false
      this.#start()
    })
  }

  #start(): void {
    while (this.#running < this.#options.parallel) {
      const jobs = this.#take()
      if (jobs.length === 0) break
      this.#running++
      void this.#run(jobs)
    }
    if (this.#running === 0 && this.#isEmpty()) this.#whenIdle()
  }

  async #run(jobs: readonly Job<Work, Answer>[]): Promise<void> {
    try {
      const answers = await this.#options.run(jobs.map(({ work }) => work))
      answers.forEach((answer, i) => {
        jobs[i]?.resolve(answer)
      })
    } catch (error) {
      for (const job of jobs) job.reject(error)
    }
    this.#running--
    this.#schedule()
  }

  /**
   * The next batch. Work that needs no run by now, or which has waited for too long, is answered meanwhile.
   */
  #take(): Job<Work, Answer>[] {
    const { answerWithoutRun, weightOf, maxWeight, maxWaitMs } = this.#options
    const batch: Job<Work, Answer>[] = []
    const tooOld = performance.now() - maxWaitMs
    let weight = 0
    for (const priority of priorities) {
      const waiting = this.#waiting[priority]
      let taken = 0
      for (; taken < waiting.length && weight < maxWeight; taken++) {
        const job = waiting[taken]
        if (!job) break
        const answer = answerWithoutRun(job.work)
        if (answer !== null) job.resolve(answer)
        else if (priority !== 'settling' && job.addedAt < tooOld) job.reject(overloaded())
        else {
          batch.push(job)
          weight += weightOf(job.work)
        }
      }
      waiting.splice(0, taken)
    }
    return batch
  }

  #isEmpty(): boolean {
    return priorities.every((priority) => this.#waiting[priority].length === 0)
  }
}

function overloaded(): AppError {
  return new AppError('overloaded', { retryAfterSeconds: 1 })
}
