// Counters in this process's memory: for a server that runs alone.
import type { Clock } from '../clock.ts'
import { type Counter, consumeOne, emptyCounter, refundOne, waitOf } from './counter.ts'
import type { ConsumeResult, CounterRequest, LimitStore, Window } from './store.ts'

export interface MemoryLimitStoreOptions {
  readonly clock: Clock
  /** The most counters, about 1,000 bytes each. The least recently used one is dropped first. */
  readonly max?: number
}

export class MemoryLimitStore implements LimitStore {
  readonly #clock: Clock
  readonly #max: number
  /** The least recently used counter is the first. */
  readonly #counters = new Map<string, Counter>()

  constructor({ clock, max = 100_000 }: MemoryLimitStoreOptions) {
    this.#clock = clock
    this.#max = max
  }

  get size(): number {
    return this.#counters.size
  }

  async consume(key: string, windows: readonly Window[]): Promise<ConsumeResult> {
    const [result] = await this.consumeAll([{ key, windows }])
    if (!result) throw new TypeError('one counter has one answer')
    return result
  }

  async consumeAll(asked: readonly CounterRequest[]): Promise<readonly ConsumeResult[]> {
    const now = this.#clock.now()
    const found = asked.map(({ key, windows, peeks = false }) => {
      const counter = this.#counters.get(key) ?? emptyCounter()
      return { key, windows, peeks, counter, waitMs: waitOf(counter, windows, now) }
    })
    const isRefused = found.some(({ waitMs }) => waitMs > 0)
    return found.map(({ key, windows, peeks, counter, waitMs }) => {
      if (!isRefused && !peeks) consumeOne(counter, windows, now)
      this.#keep(key, counter)
      return { waitMs, nextMs: isRefused ? waitMs : waitOf(counter, windows, now), at: now }
    })
  }

  async peek(key: string, windows: readonly Window[]): Promise<number> {
    return waitOf(this.#counters.get(key) ?? emptyCounter(), windows, this.#clock.now())
  }

  async refund(key: string, windows: readonly Window[], at: number): Promise<void> {
    const counter = this.#counters.get(key)
    if (counter) refundOne(counter, windows, at)
  }

  async reset(key: string): Promise<void> {
    this.#counters.delete(key)
  }

  async close(): Promise<void> {
    this.#counters.clear()
  }

  /** Stores a counter as the most recently used one. */
  #keep(key: string, counter: Counter): void {
    this.#counters.delete(key)
    if (counter.until === 0) return
    if (this.#counters.size >= this.#max) this.#makeRoom()
    this.#counters.set(key, counter)
  }

  /**
   * Drops expired counters; if these are few, drops the least recently used tenth, so that this happens
   * rarely.
   */
  #makeRoom(): void {
    const now = this.#clock.now()
    for (const [key, { until }] of this.#counters) if (until <= now) this.#counters.delete(key)
    let surplus = this.#counters.size - Math.floor(this.#max * 0.9)
    for (const key of this.#counters.keys()) {
      if (surplus-- <= 0) return
      this.#counters.delete(key)
    }
  }
}
