// What is known, in memory and in the storage: the only place that changes either, one change at a time.
import { formatKept, type Kept, nothingKept, parseKept, type Step } from './kept.ts'
import type { HufuStorage } from './storage.ts'
import { Turns } from './turns.ts'

// Secure stores accept letters, digits, dot, hyphen and underscore.
const key = 'hufu'

// Two clients on one storage take turns, too. Other processes cannot: where the storage answers at once, as
// localStorage does, a change reads and writes without a pause between, and nobody else comes in.
const turnsOf = new WeakMap<HufuStorage, Turns>()

export interface ChangeOptions {
  /** What to do where the storage cannot be read: fail, or write over it. */
  readonly unreadable?: 'fail' | 'overwrite'
}

export class Keeper {
  readonly #storage: HufuStorage
  readonly #onChange: (before: Kept | null, after: Kept) => void
  readonly #turns: Turns
  #known: Kept | null = null

  /** @param onChange told of changes, after the storage was written; not of the first reading */
  constructor(storage: HufuStorage, onChange: (before: Kept | null, after: Kept) => void) {
    this.#storage = storage
    this.#onChange = onChange
    this.#turns = turnsOf.get(storage) ?? new Turns()
    turnsOf.set(storage, this.#turns)
  }

  /** null: the storage was not read yet. */
  get known(): Kept | null {
    return this.#known
  }

  /**
   * What is known, from the storage where it was not read yet.
   * @throws what the storage throws; the next call tries again
   */
  async load(): Promise<Kept> {
    if (this.#known) return this.#known
    return await this.#turns.take(async () => {
      this.#known ??= parseKept(await this.#storage.get(key))
      return this.#known
    })
  }

  /**
   * Takes a step from what is stored, which another client may have changed since; stores it; then knows it.
   * Where the storage fails, it is still known that nobody is signed in any more, but not that somebody is.
   * @throws what the storage throws
   */
  change(step: Step, { unreadable = 'fail' }: ChangeOptions = {}): Promise<void> {
    return this.#turns.take(async () => {
      try {
        this.#know(await this.#store(step, unreadable))
      } catch (error) {
        const next = this.#known && step(this.#known, this.#known)
        if (next?.is === 'signed_out') this.#know(next)
        throw error
      }
    })
  }

  async #store(step: Step, unreadable: 'fail' | 'overwrite'): Promise<Kept | null> {
    let stored = nothingKept
    try {
      const text = this.#storage.get(key)
      // No await where there is nothing to wait for: see turnsOf.
      stored = parseKept(text === null || typeof text === 'string' ? text : await text)
    } catch (error) {
      if (unreadable === 'fail') throw error
    }
    const next = step(stored, this.#known)
    const text = formatKept(next ?? stored)
    if (text === formatKept(stored)) return next
    await (text === null ? this.#storage.remove(key) : this.#storage.set(key, text))
    return next
  }

  #know(next: Kept | null): void {
    if (next === null) return
    const before = this.#known
    this.#known = next
    this.#onChange(before, next)
  }
}
