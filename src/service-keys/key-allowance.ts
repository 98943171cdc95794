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
  left: number
  at: number
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

  /**
   * Counts lookups of a key.
   * @throws AppError `rate_limited`; then none is counted
   */
  take(keyId: string, count: number): void {
    const missing = this.#take(keyId, count)
    if (missing > 0)
      throw new AppError('rate_limited', { retryAfterSeconds: Math.ceil(missing / this.#perSecond) })
  }

  /** The same; false where they are too many. */
  tryTake(keyId: string, count: number): boolean {
    return this.#take(keyId, count) === 0
  }

  /** How many lookups are missing; 0: they are counted. */
  #take(keyId: string, count: number): number {
    const bucket = this.#bucketOf(keyId)
    if (bucket.left < count) return count - bucket.left
    bucket.left -= count
    return 0
  }

  /** Takes back the count of lookups that were not made. */
  giveBack(keyId: string, count: number): void {
    this.#bucketOf(keyId).left += count
  }

  /** The bucket of a key, as it is now. */
  #bucketOf(keyId: string): Bucket {
    const now = this.#steady.now()
    const full = Math.max(this.#perSecond, burstMin)
    const known = this.#buckets.get(keyId)
    if (known !== undefined) {
      known.left = Math.min(full, known.left + ((now - known.at) / 1000) * this.#perSecond)
      known.at = now
      return known
    }
    const bucket = { left: full, at: now }
    this.#buckets.set(keyId, bucket)
    return bucket
  }
}
