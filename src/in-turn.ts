// Runs work that has the same key one after the other, in the order in which it came.
import { AppError } from './errors.ts'

interface Turns {
  /** Settles with the work that came last. */
  last: Promise<void>
  /** Work that runs or waits. */
  size: number
}

export class InTurn {
  readonly #atOnce: number
  readonly #turns = new Map<string, Turns>()

  /** `atOnce`: how much work with one key may run and wait. */
  constructor({ atOnce }: { readonly atOnce: number }) {
    this.#atOnce = atOnce
  }

  /** @throws AppError `overloaded` where too much work with this key waits, and whatever `work` throws */
  async run<Result>(key: string, work: () => Promise<Result>): Promise<Result> {
    const turns = this.#turns.get(key) ?? { last: Promise.resolve(), size: 0 }
    if (turns.size >= this.#atOnce) throw new AppError('overloaded', { retryAfterSeconds: 1 })
    const before = turns.last
    const { promise, resolve } = Promise.withResolvers<void>()
    turns.last = promise
    turns.size++
    this.#turns.set(key, turns)
    try {
      await before
      return await work()
    } finally {
      resolve()
      if (--turns.size === 0) this.#turns.delete(key)
    }
  }
}
