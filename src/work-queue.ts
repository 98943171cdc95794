// Lets a bounded number of pieces of work run at a time. The others wait: a bounded number of them, for a
// bounded time, shared out among the classes of work. A client that waits sends no next request meanwhile, so
// a flood of requests slows itself down.
import { FairQueue } from './fair-queue.ts'

/** Why work got no turn: too much work waits already, or it has waited for too long. */
export type NoTurn = 'full' | 'late'

export interface WorkQueueOptions {
  /** How many pieces of work run at a time. */
  readonly places: number
  readonly waitingMax: number
  readonly waitMs: number
  readonly refusal: (reason: NoTurn) => Error
}

interface Turn {
  readonly go: () => void
  readonly refuse: (reason: NoTurn) => void
}

export class WorkQueue {
  readonly #options: WorkQueueOptions
  readonly #waiting = new FairQueue<Turn>()
  #free: number

  constructor(options: WorkQueueOptions) {
    this.#options = options
    this.#free = options.places
  }

  /**
   * Resolves when it is this work's turn; then `leave` must be called once.
   * @throws Error `refusal`: at once where the queue is full, later where this work has to make room for
   * other work, or after `waitMs`
   */
  async enter(): Promise<void> {
    if (this.#free > 0) {
      this.#free--
      return
    }
    const { waitingMax, waitMs, refusal } = this.#options
    if (this.#waiting.size >= waitingMax) this.#makeRoom()
    await new Promise<void>((resolve, reject) => {
      const refuse = (reason: NoTurn) => {
        clearTimeout(timer)
        reject(refusal(reason))
      }
      const go = () => {
        clearTimeout(timer)
        resolve()
      }
      const timer = setTimeout(() => {
        remove()
        refuse('late')
      }, waitMs)
      const remove = this.#waiting.add({ go, refuse })
    })
  }

  leave(): void {
    const next = this.#waiting.next()
    if (next) next.go()
    else this.#free++
  }

  #makeRoom(): void {
    const refused = this.#waiting.makeRoom()
    if (!refused) throw this.#options.refusal('full')
    refused.refuse('full')
  }
}
