// Cache entries of one process, by session id. A caller that holds an entry sees by `isCurrent` when the
// cache has dropped it, for whatever reason.
import type { CacheEntry } from './session-cache.ts'

interface Kept extends CacheEntry {
  isCurrent: boolean
  /** On the clock of performance.now(). */
  readonly until: number
}

/** At most `max` entries. A further entry evicts the oldest one. */
export class BoundedCache {
  readonly #max: number
  readonly #kept = new Map<string, Kept>()

  constructor(max: number) {
    this.#max = max
  }

  get(id: string): CacheEntry | undefined {
    return this.#kept.get(id)
  }

  keep(id: string, { value, position, bucket }: Omit<CacheEntry, 'isCurrent'>, lifeMs: number): CacheEntry {
    this.forget(id)
    if (this.#kept.size >= this.#max) {
      const oldest = this.#kept.keys().next()
      if (!oldest.done) this.forget(oldest.value)
    }
    const kept = { value, position, bucket, isCurrent: true, until: performance.now() + lifeMs }
    this.#kept.set(id, kept)
    return kept
  }

  forget(id: string): void {
    const kept = this.#kept.get(id)
    if (!kept) return
    kept.isCurrent = false
    this.#kept.delete(id)
  }

  forgetAll(): void {
    for (const kept of this.#kept.values()) kept.isCurrent = false
    this.#kept.clear()
  }

  /** Drops expired entries. All entries of one cache have the same lifetime, so the oldest expire first. */
  forgetOld(): void {
    const now = performance.now()
    for (const [id, { until }] of this.#kept) {
      if (until > now) return
      this.forget(id)
    }
  }
}
