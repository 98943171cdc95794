// Jobs that run after a response, so that neither the response nor the server's work right after it reveals
// what the job was.
import { AppError } from '../errors.ts'

interface Job {
  /** The address block of the request that caused it. */
  readonly from: string
  readonly run: () => Promise<void>
}

export interface LaterJobsOptions {
  /** The maximum number of reserved places and of waiting and running jobs. */
  readonly max: number
  /** The maximum number of those that one origin has caused. */
  readonly maxOfOne: number
  readonly parallel: number
  /**
   * A job begins at a random moment within this time, so that no request after the response coincides with it
   * more often than others.
   */
  readonly withinMs: number
  /** Called with the error of a failed job. */
  readonly onError: (error: unknown) => void
}

/** A place for one job. */
export interface Place {
  /** Adds the job. It gives the place back when it is done. */
  add(run: () => Promise<void>): void
  /** Gives the place back; without effect once a job was added. */
  release(): void
}

export class LaterJobs {
  readonly #options: LaterJobsOptions
  readonly #waiting = new Map<Job, NodeJS.Timeout>()
  readonly #due: Job[] = []
  /** The number of places that are reserved, or whose jobs wait or run. */
  #taken = 0
  /** The same of each origin. */
  readonly #takenBy = new Map<string, number>()
  #running = 0
  #onIdle: (() => void)[] = []

  constructor(options: LaterJobsOptions) {
    this.#options = options
  }

  /**
   * Takes a place for a job, before the work that decides whether there is one: otherwise, all requests at
   * once would find the same place free.
   * @param from the origin of the job
   * @throws AppError `overloaded` where there is no room for another job, or for one of this origin
   */
  reserve(from: string): Place {
    const { max, maxOfOne } = this.#options
    const ofOne = this.#takenBy.get(from) ?? 0
    if (this.#taken >= max || ofOne >= maxOfOne) throw new AppError('overloaded', { retryAfterSeconds: 1 })
    this.#taken++
    this.#takenBy.set(from, ofOne + 1)
    let isOpen = true
    return {
      add: (run) => {
        isOpen = false
        this.#add({ from, run })
      },
      release: () => {
        if (isOpen) this.#leave(from)
        isOpen = false
      },
    }
  }

  #add(job: Job): void {
    const timer = setTimeout(() => this.#begin(job), Math.random() * this.#options.withinMs)
    this.#waiting.set(job, timer)
  }

  /** Begins all waiting jobs now, and waits until they are done. */
  async flush(): Promise<void> {
    for (const [job, timer] of [...this.#waiting]) {
      clearTimeout(timer)
      this.#begin(job)
    }
    if (this.#running > 0) await new Promise<void>((resolve) => this.#onIdle.push(resolve))
  }

  #begin(job: Job): void {
    this.#waiting.delete(job)
    this.#due.push(job)
    this.#runDue()
  }

  #leave(from: string): void {
    this.#taken--
    const ofOne = (this.#takenBy.get(from) ?? 0) - 1
    if (ofOne > 0) this.#takenBy.set(from, ofOne)
    else this.#takenBy.delete(from)
  }

  #runDue(): void {
    while (this.#running < this.#options.parallel) {
      const job = this.#due.shift()
      if (!job) break
      this.#running++
      void job
        .run()
        .catch(this.#options.onError)
        .finally(() => {
          this.#running--
          this.#leave(job.from)
          this.#runDue()
        })
    }
    if (this.#running > 0) return
    for (const resolve of this.#onIdle.splice(0)) resolve()
  }
}
