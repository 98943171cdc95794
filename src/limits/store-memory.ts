// Counters in this process's memory: for a server that runs alone.
import type { Clock } from '../clock.ts'
import { type Bucket, countOne, emptyBucket, takeBack, waitOf } from './bucket.ts'
import type { AskedBucket, LimitStore, Spent, Window } from './store.ts'

export interface MemoryLimitsOptions {
  readonly clock: Clock
  /** The most buckets, about 1,000 bytes each. The least recently used one is dropped first. */
  readonly max?: number
}

export class MemoryLimits implements LimitStore {
  readonly #clock: Clock
  readonly #max: number
  /** The least recently used bucket is the first. */
  readonly #buckets = new Map<string, Bucket>()

  constructor({ clock, max = 100_000 }: MemoryLimitsOptions) {
    this.#clock = clock
    this.#max = max
  }

  get size(): number {
    return this.#buckets.size
  }

  async consume(key: string, windows: readonly Window[]): Promise<Spent> {
    const [spent] = await this.consumeAll([{ key, windows }])
    if (!spent) throw new TypeError('one bucket has one answer')
    return spent
  }

  async consumeAll(asked: readonly AskedBucket[]): Promise<readonly Spent[]> {
    const now = this.#clock.now()
    const found = asked.map(({ key, windows, looksOnly = false }) => {
      const bucket = this.#buckets.get(key) ?? emptyBucket()
      return { key, windows, looksOnly, bucket, waitMs: waitOf(bucket, windows, now) }
    })
    const isRefused = found.some(({ waitMs }) => waitMs > 0)
    return found.map(({ key, windows, looksOnly, bucket, waitMs }) => {
      if (!isRefused && !looksOnly) countOne(bucket, windows, now)
      this.#keep(key, bucket)
      return { waitMs, nextMs: isRefused ? waitMs : waitOf(bucket, windows, now), at: now }
    })
  }

  async peek(key: string, windows: readonly Window[]): Promise<number> {
    return waitOf(this.#buckets.get(key) ?? emptyBucket(), windows, this.#clock.now())
  }

  async refund(key: string, windows: readonly Window[], at: number): Promise<void> {
    const bucket = this.#buckets.get(key)
    if (bucket) takeBack(bucket, windows, at)
  }

  async forget(key: string): Promise<void> {
    this.#buckets.delete(key)
  }

  async close(): Promise<void> {
    this.#buckets.clear()
  }

  /** Stores a bucket as the most recently used one. */
  #keep(key: string, bucket: Bucket): void {
    this.#buckets.delete(key)
    if (bucket.until === 0) return
    if (this.#buckets.size >= this.#max) this.#makeRoom()
    this.#buckets.set(key, bucket)
  }

  /**
   * Drops expired buckets; if these are few, drops the least recently used tenth, so that this happens
   * rarely.
   */
  #makeRoom(): void {
    const now = this.#clock.now()
    for (const [key, { until }] of this.#buckets) if (until <= now) this.#buckets.delete(key)
    let surplus = this.#buckets.size - Math.floor(this.#max * 0.9)
    for (const key of this.#buckets.keys()) {
      if (surplus-- <= 0) return
      this.#buckets.delete(key)
    }
  }
}
