// Counters in this process: for a server that is alone.
import type { Clock } from '../clock.ts'
import { type AskedBucket, type LimitStore, type Spent, slotMsOf, type Window } from './store.ts'

interface Bucket {
  /** When the last one was counted. */
  last: number
  /** When nothing in it counts any more. */
  until: number
  /** For each window, by its length: how many in each slot, oldest first. */
  readonly slots: Map<number, Map<number, number>>
}

export interface MemoryLimitsOptions {
  readonly clock: Clock
  /** Buckets at most, some 1,000 bytes each; the one that was asked for least lately goes first. */
  readonly max?: number
}

export class MemoryLimits implements LimitStore {
  readonly #clock: Clock
  readonly #max: number
  /** In the order of their last use. */
  readonly #buckets = new Map<string, Bucket>()

  constructor({ clock, max = 100_000 }: MemoryLimitsOptions) {
    this.#clock = clock
    this.#max = max
  }

  get size(): number {
    return this.#buckets.size
  }

  async spend(key: string, windows: readonly Window[]): Promise<Spent> {
    const [spent] = await this.spendAll([{ key, windows }])
    if (!spent) throw new TypeError('one bucket has one answer')
    return spent
  }

  async spendAll(asked: readonly AskedBucket[]): Promise<readonly Spent[]> {
    const now = this.#clock.now()
    const found = asked.map(({ key, windows }) => {
      const bucket = this.#buckets.get(key) ?? newBucket()
      return { key, windows, bucket, waitMs: waitOf(bucket, windows, now) }
    })
    const isRefused = found.some(({ waitMs }) => waitMs > 0)
    return found.map(({ key, windows, bucket, waitMs }) => {
      if (!isRefused) count(bucket, windows, now)
      this.#keep(key, bucket)
      return { waitMs, nextMs: isRefused ? waitMs : waitOf(bucket, windows, now), at: now }
    })
  }

  async peek(key: string, windows: readonly Window[]): Promise<number> {
    return waitOf(this.#buckets.get(key) ?? newBucket(), windows, this.#clock.now())
  }

  async giveBack(key: string, windows: readonly Window[], at: number): Promise<void> {
    const bucket = this.#buckets.get(key)
    if (!bucket) return
    for (const window of windows) {
      const slot = Math.floor(at / slotMsOf(window))
      const slots = slotsOf(bucket, window)
      const count = slots.get(slot) ?? 0
      if (count > 1) slots.set(slot, count - 1)
      else slots.delete(slot)
    }
  }

  async forget(key: string): Promise<void> {
    this.#buckets.delete(key)
  }

  isReachable(): boolean {
    return true
  }

  async close(): Promise<void> {
    this.#buckets.clear()
  }

  /** Keeps a bucket as the one that was used last. */
  #keep(key: string, bucket: Bucket): void {
    this.#buckets.delete(key)
    if (bucket.until === 0) return
    if (this.#buckets.size >= this.#max) this.#makeRoom()
    this.#buckets.set(key, bucket)
  }

  /** Drops what counts no more, or else the tenth that was used least lately, so that this is rare. */
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

function newBucket(): Bucket {
  return { last: 0, until: 0, slots: new Map() }
}

function count(bucket: Bucket, windows: readonly Window[], now: number): void {
  for (const window of windows) {
    const slot = Math.floor(now / slotMsOf(window))
    const slots = slotsOf(bucket, window)
    slots.set(slot, (slots.get(slot) ?? 0) + 1)
    bucket.until = Math.max(bucket.until, now + window.ms + slotMsOf(window))
  }
  bucket.last = now
}

function slotsOf({ slots }: Bucket, { ms }: Window): Map<number, number> {
  const known = slots.get(ms)
  if (known) return known
  const fresh = new Map<number, number>()
  slots.set(ms, fresh)
  return fresh
}

/** How long one more has to wait; drops the slots that count no more. */
function waitOf(bucket: Bucket, windows: readonly Window[], now: number): number {
  let waitMs = 0
  for (const window of windows) {
    const { max, ms, coolDownMs } = window
    const slotMs = slotMsOf(window)
    const slots = slotsOf(bucket, window)
    let count = 0
    for (const [slot, counted] of slots) {
      if ((slot + 1) * slotMs + ms <= now) slots.delete(slot)
      else count += counted
    }
    if (count >= max) {
      const leaves = endOfOldest(slots, count - max + 1, slotMs)
      waitMs = Math.max(waitMs, leaves === null ? ms : leaves + ms - now)
    }
    const coolDown = count === 0 ? undefined : coolDownMs[Math.min(count, coolDownMs.length) - 1]
    if (coolDown !== undefined) waitMs = Math.max(waitMs, bucket.last + coolDown - now)
  }
  return waitMs
}

/** The end of the slot with which so many of the oldest leave; null where there are not so many. */
function endOfOldest(slots: ReadonlyMap<number, number>, howMany: number, slotMs: number): number | null {
  let left = howMany
  for (const [slot, counted] of [...slots].sort(([a], [b]) => a - b)) {
    left -= counted
    if (left <= 0) return (slot + 1) * slotMs
  }
  return null
}
