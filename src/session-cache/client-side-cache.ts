// Cache entries that this process has read on one Redis connection, by session id. RESP3 tracking announces
// when a key that was read changes.

import { BoundedCache } from './bounded-cache.ts'
import type { CacheEntry } from './session-cache.ts'

type Answer = Omit<CacheEntry, 'isCurrent'>

interface Read {
  readonly answer: Promise<Answer>
  /**
   * False once Redis has announced a change of the key: callers that wait for this read may use the answer,
   * but it is not cached.
   */
  isCurrent: boolean
}

/**
 * Does what node-redis's own client-side cache does. That one clones and parses each answer, which costs more
 * than the rest of a check. It is correct because Redis keeps an order: on one connection, a change after a
 * read is announced after the answer to that read. When the connection is lost, all its entries are dropped.
 */
export class ClientSideCache {
  readonly #lifeMs: number
  readonly #entries: BoundedCache
  readonly #reads = new Map<string, Read>()

  constructor(max: number, lifeMs: number) {
    this.#lifeMs = lifeMs
    this.#entries = new BoundedCache(max)
  }

  /** The cached entry of an id, or undefined. */
  get(id: string): CacheEntry | undefined {
    return this.#entries.get(id)
  }

  /** The cached entry, or else the answer of `ask`. Concurrent reads of one id share one call. */
  async read(id: string, ask: () => Promise<Answer>): Promise<CacheEntry> {
    const known = this.get(id)
    if (known !== undefined) return known
    const running = this.#reads.get(id)
    if (running) return { ...(await running.answer), isCurrent: false }
    const read: Read = { answer: ask(), isCurrent: true }
    this.#reads.set(id, read)
    try {
      const answer = await read.answer
      // A miss is not cached: a client can send any number of made-up session ids.
      return read.isCurrent && answer.value !== null
        ? this.#entries.set(id, answer, this.#lifeMs)
        : { ...answer, isCurrent: false }
    } finally {
      if (this.#reads.get(id) === read) this.#reads.delete(id)
    }
  }

  /** Drops an entry, because Redis announced a change of its key. */
  invalidate(id: string): void {
    this.#entries.delete(id)
    const read = this.#reads.get(id)
    if (!read) return
    read.isCurrent = false
    this.#reads.delete(id)
  }

  /** Drops everything: Redis announced that everything has changed, or the connection is lost. */
  clear(): void {
    this.#entries.clear()
    for (const read of this.#reads.values()) read.isCurrent = false
    this.#reads.clear()
  }

  /**
   * Drops expired entries. It runs now and then, because reading the clock in each `get` costs more than the
   * lookup.
   */
  evictExpired(): void {
    this.#entries.evictExpired()
  }
}
