// Counters in this process's memory: for a server that runs alone.
import type { Clock } from '../clock.ts'
import {
  type Counter,
  consumeOne,
  counterOf,
  emptyCounter,
  prune,
  refundOne,
  textOf,
  waitOf,
} from './counter.ts'
import type { ConsumeResult, CounterRequest, LimitStore, Window } from './store.ts'

export interface MemoryLimitStoreOptions {
  readonly clock: Clock
  /**
   * The most counters that are kept, and as many others, 300 to 1,000 bytes each. Of each kind, the least
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
      const counter = counters.get(key, now) ?? emptyCounter()
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
    const now = this.#clock.now()
    return this.#kept.get(key, now) ?? this.#others.get(key, now)
  }
}

/**
 * The most counters that stay ready for use: about 4,000 bytes each where every slot of two windows is in
 * use.
 */
const unpackedMax = 1_000

/** A counter as text: a sixth of the memory. */
interface Packed {
  readonly text: string
  /** As `Counter.until`. */
  readonly until: number
}

/** Counters by their keys, at most `max`. */
class Counters {
  readonly #max: number
  /**
   * All of these were used later than those in `#packed`. In both, the least recently used one is the
   * first.
   */
  readonly #unpacked = new Map<string, Counter>()
  readonly #packed = new Map<string, Packed>()

  constructor(max: number) {
    this.#max = max
  }

  get size(): number {
    return this.#unpacked.size + this.#packed.size
  }

  /** A change of the counter is kept. */
  get(key: string, now: number): Counter | undefined {
    const packed = this.#packed.get(key)
    if (packed) this.set(key, counterOf(packed.text, packed.until), now)
    return this.#unpacked.get(key)
  }

  /** Stores a counter as the most recently used one. */
  set(key: string, counter: Counter, now: number): void {
    this.delete(key)
    if (counter.until === 0) return
    if (this.size >= this.#max) this.#makeRoom(now)
    this.#unpacked.set(key, counter)
    if (this.#unpacked.size > unpackedMax) this.#packOldest(now)
  }

  delete(key: string): void {
    if (!this.#unpacked.delete(key)) this.#packed.delete(key)
  }

  clear(): void {
    this.#unpacked.clear()
    this.#packed.clear()
  }

  #packOldest(now: number): void {
    const [oldest] = this.#unpacked
    if (!oldest) return
    const [key, counter] = oldest
    this.#unpacked.delete(key)
    prune(counter, now)
    this.#packed.set(key, { text: textOf(counter), until: counter.until })
  }

  /**
   * Drops expired counters; if these are few, drops the least recently used tenth, so that this happens
   * rarely.
   */
  #makeRoom(now: number): void {
    const both = [this.#packed, this.#unpacked]
    for (const counters of both)
      for (const [key, { until }] of counters) if (until <= now) counters.delete(key)
    let surplus = this.size - Math.floor(this.#max * 0.9)
    for (const counters of both)
      for (const key of counters.keys()) {
        if (surplus-- <= 0) return
        counters.delete(key)
      }
  }
}
