// Jobs that run after a response, so that neither the response nor the server's work right after it reveals
// what the job was.
import { AppError } from '../errors.ts'

type Job = () => Promise<void>

export interface LaterJobsOptions {
  /** The maximum number of waiting and running jobs. */
  readonly max: number
  readonly parallel: number
  /**
   * A job begins at a random moment within this time, so that no request after the response coincides with it
   * more often than others.
   */
  readonly withinMs: number
  /** Called with the error of a failed job. */
  readonly onError: (error: unknown) => void
}

export class LaterJobs {
  readonly #options: LaterJobsOptions
  readonly #waiting = new Map<Job, NodeJS.Timeout>()
  readonly #due: Job[] = []
  #running = 0
  #onIdle: (() => void)[] = []

  constructor(options: LaterJobsOptions) {
    this.#options = options
  }

  /** @throws AppError `overloaded` where there is no room for another job */
  assertRoom(): void {
    const jobs = this.#waiting.size + this.#due.length + this.#running
    if (jobs >= this.#options.max) throw new AppError('overloaded', { retryAfterSeconds: 1 })
  }

  add(job: Job): void {
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

  #runDue(): void {
    while (this.#running < this.#options.parallel) {
      const job = this.#due.shift()
      if (!job) break
      this.#running++
      void job()
        .catch(this.#options.onError)
        .finally(() => {
          this.#running--
          this.#runDue()
        })
    }
    if (this.#running > 0) return
    for (const resolve of this.#onIdle.splice(0)) resolve()
  }
}
