// The client's state, in memory and in the storage. Only this class changes either, one change at a time.

import type { SignedOut } from './models.ts'
import { SerialQueue } from './serial-queue.ts'
import type { HufuStorage } from './storage.ts'
import {
  formatState,
  nothingStored,
  parseState,
  type Step,
  type StoredState,
  type StoredTexts,
} from './stored-state.ts'
import { isJson } from './wire.ts'

// Secure stores accept letters, digits, dot, hyphen and underscore.
const keys = { token: 'hufu', account: 'hufu.account', probe: 'hufu.probe' } as const

/**
 * Transient failures, with nothing lost: the phone is locked, or the person was asked for consent and has not
 * given it.
 */
const passing = /lock|interaction|cancel|authenticat|passcode|-25308|-128/i

// Two clients on one storage take turns, too. Other processes cannot take turns: where the storage is
// synchronous, as localStorage is, a change reads and writes without a pause, so no other program can write
// in between.
const queueOf = new WeakMap<HufuStorage, SerialQueue>()

export interface ChangeOptions {
  /** What to do where the storage cannot be read: fail, or overwrite it. */
  readonly unreadable?: 'fail' | 'overwrite'
}

/** Called after the storage was read or written. */
export interface SessionStoreEvents {
  onRead(): void
  onChange(before: StoredState | null, after: StoredState): void
  /**
   * Called with a failure that no caller gets: one of the account's value, which only fills screens, or of a
   * lost value.
   */
  onBackgroundError(error: unknown): void
  /** The stored session can never be read again. @returns the reason to store in its place */
  onLost(): SignedOut
}

export class SessionStore {
  readonly #storage: HufuStorage
  readonly #events: SessionStoreEvents
  readonly #queue: SerialQueue
  #known: StoredState | null = null

  constructor(storage: HufuStorage, events: SessionStoreEvents) {
    this.#storage = storage
    this.#events = events
    this.#queue = queueOf.get(storage) ?? new SerialQueue()
    queueOf.set(storage, this.#queue)
  }

  /** null: the storage was not read yet. */
  get known(): StoredState | null {
    return this.#known
  }

  /**
   * The state, read from the storage if it was not read yet.
   * @throws what the storage throws; the next call tries again
   */
  async load(): Promise<StoredState> {
    if (this.#known) return this.#known
    return await this.#queue.take(async () => {
      if (this.#known) return this.#known
      const stored = await this.#read()
      this.#known = stored
      this.#events.onRead()
      return stored
    })
  }

  /**
   * Computes the next state from the stored one, which another client may have changed since, stores it, and
   * then holds it in memory. Where the storage fails, a sign-out still takes effect in memory, but a sign-in
   * does not.
   * @throws what the storage throws
   */
  change(step: Step, { unreadable = 'fail' }: ChangeOptions = {}): Promise<void> {
    return this.#queue.take(async () => {
      try {
        this.#know(await this.#store(step, unreadable))
      } catch (error) {
        const next = this.#known && step(this.#known, this.#known)
        if (next?.is === 'signed_out') this.#know(next)
        throw error
      }
    })
  }

  async #store(step: Step, unreadable: 'fail' | 'overwrite'): Promise<StoredState | null> {
    let stored = nothingStored
    try {
      const read = this.#read()
      // No `await` where there is nothing to wait for: see queueOf.
      stored = read instanceof Promise ? await read : read
    } catch (error) {
      if (unreadable === 'fail') throw error
    }
    const next = step(stored, this.#known)
    const before = formatState(stored)
    const after = formatState(next ?? stored)
    const writing = before.token === after.token ? undefined : this.#write(keys.token, after.token)
    const writingAccount = before.account === after.account ? undefined : this.#writeAccount(after.account)
    try {
      await writing
    } finally {
      // This never fails. The next change must not begin before it has ended.
      await writingAccount
    }
    return next
  }

  #read(): StoredState | Promise<StoredState> {
    try {
      const token: unknown = this.#storage.get(keys.token)
      const account: unknown = this.#readAccount()
      if (!isPromise(token) && !isPromise(account)) return this.#understand(token, account)
      // A failure of the account's value is tolerated, so an error here is the token's.
      return Promise.all([token, account]).then(
        ([token, account]) => this.#understand(token, account),
        (error) => this.#rescue(error),
      )
    } catch (error) {
      return this.#rescue(error)
    }
  }

  #understand(token: unknown, account: unknown): StoredState {
    const texts: StoredTexts = { token: textOf(token), account: textOf(account) }
    const stored = parseState(texts)
    if (stored === nothingStored && !this.#known && !/^(null)?$/.test(texts.token ?? '')) {
      this.#events.onBackgroundError(new Error('the stored session is not understood and counts as none'))
    }
    return stored
  }

  /**
   * Distinguishes a storage that cannot be read now from a value that can never be read again, as after a
   * phone was restored without the keys of its key store: there, other values can still be read. The reason
   * replaces such a value.
   * @throws the error where the storage may be readable later
   */
  async #rescue(error: unknown): Promise<StoredState> {
    if (passing.test(String(error)) || !(await this.#works())) throw error
    try {
      return this.#understand(await this.#storage.get(keys.token), await this.#readAccount())
    } catch {
      this.#events.onBackgroundError(error)
      const stored = this.#known ?? { is: 'signed_out', why: this.#events.onLost(), toEnd: [] }
      const { token } = formatState(stored)
      await this.#storage.remove(keys.token)
      if (token !== null) await this.#storage.set(keys.token, token)
      return stored
    }
  }

  /** Whether the storage returns a value that was written to it. */
  async #works(): Promise<boolean> {
    const text = '{"v":1}'
    try {
      await this.#storage.set(keys.probe, text)
      const read = textOf(await this.#storage.get(keys.probe))
      await this.#storage.remove(keys.probe)
      return read === text
    } catch {
      return false
    }
  }

  #readAccount(): unknown {
    return this.#tolerate<unknown>(() => this.#storage.get(keys.account), null)
  }

  #write(key: string, text: string | null): Promise<void> | void {
    return text === null ? this.#storage.remove(key) : this.#storage.set(key, text)
  }

  #writeAccount(text: string | null): Promise<void> | void {
    return this.#tolerate(() => this.#write(keys.account, text), undefined)
  }

  /** Runs a task on the account's value. On a failure, reports it and returns `instead`. */
  #tolerate<T>(task: () => T | Promise<T>, instead: T): T | Promise<T> {
    const report = (error: unknown) => {
      this.#events.onBackgroundError(error)
      return instead
    }
    try {
      const result = task()
      return isPromise(result) ? result.then((value) => value, report) : result
    } catch (error) {
      return report(error)
    }
  }

  #know(next: StoredState | null): void {
    if (next === null) return
    const before = this.#known
    this.#known = next
    this.#events.onChange(before, next)
  }
}

function isPromise<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return isJson(value) && typeof value.then === 'function'
}

/** Storages of some platforms, and many wrappers, parse what looks like JSON. */
function textOf(value: unknown): string | null {
  if (typeof value === 'string') return value
  return isJson(value) ? JSON.stringify(value) : null
}
