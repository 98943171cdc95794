// Jobs that run after a response, so that neither the response nor the server's work right after it reveals
// what the job was.
import { AppError } from '../errors.ts'

interface Job {
  /** The address block of the request that caused it. */
  readonly from: string
  readonly run: () => Promise<void>
}

export interface LaterJobsOptions {
  /** The maximum number of waiting and running jobs. */
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

export class LaterJobs {
  readonly #options: LaterJobsOptions
  readonly #waiting = new Map<Job, NodeJS.Timeout>()
  readonly #due: Job[] = []
  /** The number of jobs of each origin that wait or run. */
  readonly #countOf = new Map<string, number>()
  #running = 0
  #onIdle: (() => void)[] = []

  constructor(options: LaterJobsOptions) {
    this.#options = options
  }

  /**
   * @param from the origin of the job
   * @throws AppError `overloaded` where there is no room for another job, or for one of this origin
   */
  assertRoom(from: string): void {
    const { max, maxOfOne } = this.#options
    const jobs = this.#waiting.size + this.#due.length + this.#running
    if (jobs >= max || (this.#countOf.get(from) ?? 0) >= maxOfOne)
      throw new AppError('overloaded', { retryAfterSeconds: 1 })
  }

  add(job: Job): void {
    this.#countOf.set(job.from, (this.#countOf.get(job.from) ?? 0) + 1)
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

  #forget({ from }: Job): void {
    const count = (this.#countOf.get(from) ?? 0) - 1
    if (count > 0) this.#countOf.set(from, count)
    else this.#countOf.delete(from)
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
          this.#forget(job)
          this.#runDue()
        })
    }
    if (this.#running > 0) return
    for (const resolve of this.#onIdle.splice(0)) resolve()
  }
}
