// How many tokens each service key may look up in a second, so that a fault of one program does not slow down
// the others. It is counted in this process: a counter of all servers would cost more than the lookup.
import { BoundedMap } from '../bounded-map.ts'
import type { Clock } from '../clock.ts'
import { AppError } from '../errors.ts'

/** More keys than can be valid at once: service-keys.ts. */
const maxKeys = 2_000
/** A full batch is always possible after a pause. */
const burstMin = 100

interface Bucket {
  /** How many lookups were left at `at`. */
  readonly left: number
  readonly at: number
}

export class KeyAllowance {
  readonly #perSecond: number
  readonly #steady: Clock
  readonly #buckets = new BoundedMap<Bucket>(maxKeys)

  /** @param steady a steady clock */
  constructor(perSecond: number, steady: Clock) {
    this.#perSecond = perSecond
    this.#steady = steady
  }

  /** How many lookups of a key `take` counts now. */
  left(keyId: string): number {
    return this.#leftAt(keyId, this.#steady.now())
  }

  #leftAt(keyId: string, now: number): number {
    const full = Math.max(this.#perSecond, burstMin)
    const bucket = this.#buckets.get(keyId)
    if (bucket === undefined) return full
    return Math.min(full, bucket.left + ((now - bucket.at) / 1000) * this.#perSecond)
  }

  /**
   * Counts lookups of a key.
   * @throws AppError `rate_limited`; then none is counted
   */
  take(keyId: string, count: number): void {
    const now = this.#steady.now()
    const left = this.#leftAt(keyId, now)
    if (left < count)
      throw new AppError('rate_limited', { retryAfterSeconds: Math.ceil((count - left) / this.#perSecond) })
    this.#buckets.set(keyId, { left: left - count, at: now })
  }
}
