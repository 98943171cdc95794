// What this process remembers of copies on one Redis connection, by session id: RESP3 tracking tells when a key that was
// read has changed.

import { BoundedCache } from './bounded-cache.ts'
import type { CacheEntry } from './session-cache.ts'

type Answer = Omit<CacheEntry, 'isCurrent'>

interface Read {
  readonly answer: Promise<Answer>
  /** False once Redis said that the key changed: the answer may still be used by who asked, but not be remembered. */
  isCurrent: boolean
}

/**
 * The client's own cache of node-redis does the same, but clones and parses each answer and costs more than the rest
 * of a check. The order that keeps this true is Redis's: a change after a read is announced after that read's answer,
 * on the same connection. With the connection, everything remembered goes.
 */
export class ClientSideCache {
  readonly #lifeMs: number
  readonly #kept: BoundedCache
  readonly #reads = new Map<string, Read>()

  constructor(max: number, lifeMs: number) {
    this.#lifeMs = lifeMs
    this.#kept = new BoundedCache(max)
  }

  /** What is remembered under an id, or undefined. */
  get(id: string): CacheEntry | undefined {
    return this.#kept.get(id)
  }

  /** What is remembered, or else what `ask` answers; many that ask at once ask once. */
  async read(id: string, ask: () => Promise<Answer>): Promise<CacheEntry> {
    const known = this.get(id)
    if (known !== undefined) return known
    const running = this.#reads.get(id)
    if (running) return { ...(await running.answer), isCurrent: false }
    const read: Read = { answer: ask(), isCurrent: true }
    this.#reads.set(id, read)
    try {
      const answer = await read.answer
      // Of what is not there nothing is kept: a stranger can name any number of sessions.
      return read.isCurrent && answer.value !== null
        ? this.#kept.keep(id, answer, this.#lifeMs)
        : { ...answer, isCurrent: false }
    } finally {
      if (this.#reads.get(id) === read) this.#reads.delete(id)
    }
  }

  /** Redis says that what is under this id has changed. */
  forget(id: string): void {
    this.#kept.forget(id)
    const read = this.#reads.get(id)
    if (!read) return
    read.isCurrent = false
    this.#reads.delete(id)
  }

  /** Redis says that everything has changed, or cannot say anything any more. */
  forgetAll(): void {
    this.#kept.forgetAll()
    for (const read of this.#reads.values()) read.isCurrent = false
    this.#reads.clear()
  }

  /** Forgets what has been remembered for its whole life. Called now and then: asking the clock in each `get` costs more than the look. */
  forgetOld(): void {
    this.#kept.forgetOld()
  }
}
