// Counters in this process's memory: for a server that runs alone.
import type { Clock } from '../clock.ts'
import { type Counter, consumeOne, emptyCounter, refundOne, waitOf } from './counter.ts'
import type { ConsumeResult, CounterRequest, LimitStore, Window } from './store.ts'

export interface MemoryLimitStoreOptions {
  readonly clock: Clock
  /**
   * The most counters that are kept, and as many others, about 1,000 bytes each. Of each kind, the least
   * recently used one is dropped first.
   */
  readonly max?: number
}

export class MemoryLimitStore implements LimitStore {
  readonly #clock: Clock
  readonly #kept: Counters
  readonly #others: Counters

  constructor({ clock, max = 100_000 }: MemoryLimitStoreOptions) {
    this.#clock = clock
    this.#kept = new Counters(max)
    this.#others = new Counters(max)
  }

  get size(): number {
    return this.#kept.size + this.#others.size
  }

  async consume(key: string, windows: readonly Window[]): Promise<ConsumeResult> {
    const [result] = await this.consumeAll([{ key, windows }])
    if (!result) throw new TypeError('one counter has one answer')
    return result
  }

  async consumeAll(asked: readonly CounterRequest[]): Promise<readonly ConsumeResult[]> {
    const now = this.#clock.now()
    const found = asked.map(({ key, windows, peeks = false, isKept = false }) => {
      const counters = isKept ? this.#kept : this.#others
      const counter = counters.get(key) ?? emptyCounter()
      return { counters, key, windows, peeks, counter, waitMs: waitOf(counter, windows, now) }
    })
    const isRefused = found.some(({ waitMs }) => waitMs > 0)
    return found.map(({ counters, key, windows, peeks, counter, waitMs }) => {
      if (!isRefused && !peeks) consumeOne(counter, windows, now)
      counters.set(key, counter, now)
      return { waitMs, nextMs: isRefused ? waitMs : waitOf(counter, windows, now), at: now }
    })
  }

  async peek(key: string, windows: readonly Window[]): Promise<number> {
    return waitOf(this.#find(key) ?? emptyCounter(), windows, this.#clock.now())
  }

  async refund(key: string, windows: readonly Window[], at: number): Promise<void> {
    const counter = this.#find(key)
    if (counter) refundOne(counter, windows, at)
  }

  async reset(key: string): Promise<void> {
    this.#kept.delete(key)
    this.#others.delete(key)
  }

  async close(): Promise<void> {
    this.#kept.clear()
    this.#others.clear()
  }

  #find(key: string): Counter | undefined {
    return this.#kept.get(key) ?? this.#others.get(key)
  }
}

/** Counters by their keys, at most `max`. */
class Counters {
  readonly #max: number
  /** The least recently used counter is the first. */
  readonly #byKey = new Map<string, Counter>()

  constructor(max: number) {
    this.#max = max
  }

  get size(): number {
    return this.#byKey.size
  }

  get(key: string): Counter | undefined {
    return this.#byKey.get(key)
  }

  /** Stores a counter as the most recently used one. */
  set(key: string, counter: Counter, now: number): void {
    this.#byKey.delete(key)
    if (counter.until === 0) return
    if (this.#byKey.size >= this.#max) this.#makeRoom(now)
    this.#byKey.set(key, counter)
  }

  delete(key: string): void {
    this.#byKey.delete(key)
  }

  clear(): void {
    this.#byKey.clear()
  }

  /**
   * Drops expired counters; if these are few, drops the least recently used tenth, so that this happens
   * rarely.
   */
  #makeRoom(now: number): void {
    for (const [key, { until }] of this.#byKey) if (until <= now) this.#byKey.delete(key)
    let surplus = this.#byKey.size - Math.floor(this.#max * 0.9)
    for (const key of this.#byKey.keys()) {
      if (surplus-- <= 0) return
      this.#byKey.delete(key)
    }
  }
}
