// Changes by servers of the version before, which write no step: during a rolling upgrade both versions run.
// The next version needs none of this.
import type { Database } from '../database/schema.ts'
import { readAgainMs } from '../timing.ts'
import { readUnsteppedChanges, type UnsteppedChange } from './change-rows.ts'

/** At most this many positions were given out and not committed. */
const openCount = 1_000

export class UnsteppedChanges {
  #last = 0
  #lastAt = Number.NEGATIVE_INFINITY
  readonly #seen = new Set<number>()

  /**
   * Hands on the changes that were not seen yet.
   * @param last the last position of a change without a step; 0: there is none
   */
  async read(db: Database, last: number, tell: (change: UnsteppedChange) => void): Promise<void> {
    const now = performance.now()
    if (last > this.#last) this.#lastAt = now
    // A position may become visible after a later one.
    else if (now > this.#lastAt + readAgainMs) return
    for (const change of await readUnsteppedChanges(db, this.#last - openCount)) {
      if (this.#seen.has(change.position)) continue
      this.#seen.add(change.position)
      tell(change)
    }
    this.#last = Math.max(this.#last, last)
    for (const position of this.#seen) if (position <= this.#last - openCount) this.#seen.delete(position)
  }

  clear(): void {
    this.#last = 0
    this.#lastAt = Number.NEGATIVE_INFINITY
    this.#seen.clear()
  }
}
