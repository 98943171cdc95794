// Cache entries of one process, by session id. A caller that holds an entry sees by `isCurrent` when the
// cache has dropped it, for whatever reason.
import { BoundedMap } from '../bounded-map.ts'
import type { CacheEntry } from './session-cache.ts'

interface Kept extends CacheEntry {
  isCurrent: boolean
  /** On the clock of performance.now(). */
  readonly until: number
}

/** At most `max` entries. A further entry evicts the oldest one. */
export class BoundedCache {
  readonly #kept: BoundedMap<Kept>

  constructor(max: number) {
    this.#kept = new BoundedMap(max)
  }

  get(id: string): CacheEntry | undefined {
    return this.#kept.get(id)
  }

  keep(id: string, { value, position, bucket }: Omit<CacheEntry, 'isCurrent'>, lifeMs: number): CacheEntry {
    const kept = { value, position, bucket, isCurrent: true, until: performance.now() + lifeMs }
    const replaced = this.#kept.set(id, kept)
    if (replaced) replaced.isCurrent = false
    return kept
  }

  forget(id: string): void {
    const kept = this.#kept.delete(id)
    if (kept) kept.isCurrent = false
  }

  forgetAll(): void {
    for (const [, kept] of this.#kept.entries()) kept.isCurrent = false
    this.#kept.clear()
  }

  /** Drops expired entries. All entries of one cache have the same lifetime, so the oldest expire first. */
  forgetOld(): void {
    const now = performance.now()
    for (const [id, { until }] of this.#kept.entries()) {
      if (until > now) return
      this.forget(id)
    }
  }
}
