// Cache entries of one process, by session id. A caller that holds an entry sees by `isCurrent` when the
// cache has dropped it, for whatever reason.
import { BoundedMap } from '../bounded-map.ts'
import type { CacheEntry } from './session-cache.ts'

interface Entry extends CacheEntry {
  isCurrent: boolean
  /** On the clock of performance.now(). */
  readonly until: number
}

/** At most `max` entries. A further entry evicts the oldest one. */
export class BoundedCache {
  readonly #entries: BoundedMap<Entry>

  constructor(max: number) {
    this.#entries = new BoundedMap(max)
  }

  get(id: string): CacheEntry | undefined {
    return this.#entries.get(id)
  }

  set(id: string, { value, position, bucket }: Omit<CacheEntry, 'isCurrent'>, lifeMs: number): CacheEntry {
    const entry = { value, position, bucket, isCurrent: true, until: performance.now() + lifeMs }
    const replaced = this.#entries.set(id, entry)
    if (replaced) replaced.isCurrent = false
    return entry
  }

  delete(id: string): void {
    const entry = this.#entries.delete(id)
    if (entry) entry.isCurrent = false
  }

  clear(): void {
    for (const [, entry] of this.#entries.entries()) entry.isCurrent = false
    this.#entries.clear()
  }

  /** Drops expired entries. All entries of one cache have the same lifetime, so the oldest expire first. */
  evictExpired(): void {
    const now = performance.now()
    for (const [id, { until }] of this.#entries.entries()) {
      if (until > now) return
      this.delete(id)
    }
  }
}
