// What is known, in memory and in the storage: the only place that changes either, one change at a time.
import { formatKept, type Kept, nothingKept, parseKept, type Step } from './kept.ts'
import type { HufuStorage } from './storage.ts'
import { Turns } from './turns.ts'

// Secure stores accept letters, digits, dot, hyphen and underscore.
const keys = { token: 'hufu', account: 'hufu.account' } as const

// Two clients on one storage take turns, too. Other processes cannot: where the storage answers at once, as
// localStorage does, a change reads and writes without a pause between, and nobody else comes in.
const turnsOf = new WeakMap<HufuStorage, Turns>()

export interface ChangeOptions {
  /** What to do where the storage cannot be read: fail, or write over it. */
  readonly unreadable?: 'fail' | 'overwrite'
}

/** Told after the storage was read or written. */
export interface KeeperEvents {
  onRead(): void
  onChange(before: Kept | null, after: Kept): void
  /** The value that holds the account failed; it only fills screens. */
  onTrouble(error: unknown): void
}

export class Keeper {
  readonly #storage: HufuStorage
  readonly #events: KeeperEvents
  readonly #turns: Turns
  #known: Kept | null = null

  constructor(storage: HufuStorage, events: KeeperEvents) {
    this.#storage = storage
    this.#events = events
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
      if (this.#known) return this.#known
      const kept = await this.#read()
      this.#known = kept
      this.#events.onRead()
      return kept
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
      const read = this.#read()
      // No await where there is nothing to wait for: see turnsOf.
      stored = read instanceof Promise ? await read : read
    } catch (error) {
      if (unreadable === 'fail') throw error
    }
    const next = step(stored, this.#known)
    const before = formatKept(stored)
    const after = formatKept(next ?? stored)
    const writing = before.token === after.token ? undefined : this.#write(keys.token, after.token)
    const writingAccount = before.account === after.account ? undefined : this.#writeAccount(after.account)
    try {
      await writing
    } finally {
      // It never fails. The next change must not begin before it is over.
      await writingAccount
    }
    return next
  }

  #read(): Kept | Promise<Kept> {
    const token = this.#storage.get(keys.token)
    const account = this.#readAccount()
    if (isText(token) && isText(account)) return parseKept({ token, account })
    return Promise.all([token, account]).then(([token, account]) => parseKept({ token, account }))
  }

  #readAccount(): string | null | Promise<string | null> {
    return this.#tolerate(() => this.#storage.get(keys.account), null)
  }

  #write(key: string, text: string | null): Promise<void> | void {
    return text === null ? this.#storage.remove(key) : this.#storage.set(key, text)
  }

  #writeAccount(text: string | null): Promise<void> | void {
    return this.#tolerate(() => this.#write(keys.account, text), undefined)
  }

  /** Does something with the account's value; reports a failure, and goes on with `instead`. */
  #tolerate<T>(task: () => T | Promise<T>, instead: T): T | Promise<T> {
    const report = (error: unknown) => {
      this.#events.onTrouble(error)
      return instead
    }
    try {
      const result = task()
      return isText(result) || result === undefined ? result : Promise.resolve(result).catch(report)
    } catch (error) {
      return report(error)
    }
  }

  #know(next: Kept | null): void {
    if (next === null) return
    const before = this.#known
    this.#known = next
    this.#events.onChange(before, next)
  }
}

function isText(value: unknown): value is string | null {
  return value === null || typeof value === 'string'
}
