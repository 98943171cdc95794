// A bounded number of hashing threads with a bounded queue, which is shared out among the classes of callers.
import { Worker } from 'node:worker_threads'
import { AppError } from '../errors.ts'
import { FairQueue } from '../fair-queue.ts'
import type { HashDone, HashJob } from './hash-worker.ts'

/**
 * A thread gets its next job before it has finished one, so that it need not wait for a turn of the event
 * loop.
 */
const jobsAhead = 2
const thread = new URL(
  import.meta.url.endsWith('.ts') ? './hash-worker.ts' : './hash-worker.js',
  import.meta.url,
)

interface Asked {
  readonly job: HashJob
  readonly resolve: (result: string | boolean) => void
  readonly reject: (error: Error) => void
}

interface Thread {
  readonly worker: Worker
  /** The job in work, and the next ones. */
  readonly asked: Asked[]
  beganAt: number
}

/** Threads start when they are first needed, and do not keep the process alive. */
export class HashPool {
  readonly #count: number
  readonly #queue: number
  readonly #threads: Thread[] = []
  readonly #waiting = new FairQueue<Asked>()
  /** A moving average of the duration of a job, in milliseconds. */
  #jobMs = 50
  #isEnding = false

  /** @param queue how many jobs may wait while `count` are computed */
  constructor(count: number, queue: number) {
    this.#count = count
    this.#queue = queue
  }

  /** The number of running and waiting jobs. */
  get load(): number {
    return this.#threads.reduce((sum, { asked }) => sum + asked.length, this.#waiting.size)
  }

  /** @throws AppError `overloaded` where no more may wait, and no other job would make room */
  assertRoom(): void {
    if (this.#isEnding || (this.#isFull() && !this.#waiting.canMakeRoom())) throw this.#overloaded()
  }

  /** Refuses the jobs that no thread has yet, and all later ones, as `overloaded`. */
  refuseRest(): void {
    this.#isEnding = true
    for (let job = this.#waiting.next(); job; job = this.#waiting.next()) job.reject(this.#overloaded())
  }

  /** @throws AppError `overloaded`, also later, where the job has to make room for another one */
  run(job: HashJob): Promise<string | boolean> {
    this.assertRoom()
    if (this.#isFull()) this.#waiting.makeRoom()?.reject(this.#overloaded())
    return new Promise((resolve, reject) => {
      this.#waiting.add({ job, resolve, reject })
      this.#handOut()
    })
  }

  #isFull(): boolean {
    return this.load >= this.#count + this.#queue
  }

  #overloaded(): AppError {
    const seconds = Math.ceil((this.load / this.#count) * (this.#jobMs / 1000))
    return new AppError('overloaded', { retryAfterSeconds: Math.max(1, seconds) })
  }

  async close(): Promise<void> {
    await Promise.all(this.#threads.splice(0).map(({ worker }) => worker.terminate()))
  }

  #handOut(): void {
    while (this.#waiting.size > 0) {
      const free = this.#freest()
      const next = free && this.#waiting.next()
      if (!next) return
      if (free.asked.length === 0) {
        free.worker.ref()
        free.beganAt = performance.now()
      }
      free.asked.push(next)
      free.worker.postMessage(next.job)
    }
  }

  #freest(): Thread | null {
    const [least] = this.#threads.toSorted((a, b) => a.asked.length - b.asked.length)
    if (least?.asked.length === 0) return least
    if (this.#threads.length < this.#count) return this.#start()
    return least && least.asked.length < jobsAhead ? least : null
  }

  #start(): Thread {
    const worker = new Worker(thread, { execArgv: [] })
    const started: Thread = { worker, asked: [], beganAt: performance.now() }
    worker.on('message', (done: HashDone) => this.#finish(started, done))
    // The jobs of a crashed thread are lost; the next job starts another thread.
    worker.on('error', (error) => this.#lose(started, error))
    worker.on('exit', () => this.#lose(started, new Error('the hashing thread has ended')))
    worker.unref()
    this.#threads.push(started)
    return started
  }

  #finish(thread: Thread, done: HashDone): void {
    const now = performance.now()
    this.#jobMs = 0.9 * this.#jobMs + 0.1 * (now - thread.beganAt)
    thread.beganAt = now
    const first = thread.asked.shift()
    if (thread.asked.length === 0) thread.worker.unref()
    if ('error' in done) first?.reject(new Error(done.error))
    else first?.resolve(done.result)
    this.#handOut()
  }

  #lose(thread: Thread, error: Error): void {
    const at = this.#threads.indexOf(thread)
    if (at >= 0) this.#threads.splice(at, 1)
    for (const { reject } of thread.asked.splice(0)) reject(error)
    this.#handOut()
  }
}
