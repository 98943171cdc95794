// The step of the last change of each account, in a table of fixed size: each check compares one number.
import type { Feed } from './feed.ts'

/** The number of buckets, 8 bytes each. */
const defaultBuckets = 2 ** 18

/**
 * A subscriber of the feed. Accounts share buckets: when one account of a bucket changes, the cache entries
 * of the others count as outdated too. That costs each a read of the database and grants no access.
 */
export class LastChanges {
  readonly #feed: Pick<Feed, 'floor' | 'subscribe' | 'onHistory'>
  readonly #steps: Float64Array

  /**
   * @param feed a feed that has not started
   * @param buckets a power of two
   */
  constructor(feed: Pick<Feed, 'floor' | 'subscribe' | 'onHistory'>, buckets = defaultBuckets) {
    this.#feed = feed
    this.#steps = new Float64Array(buckets)
    feed.onHistory(() => this.#steps.fill(0))
    feed.subscribe(({ kind, accountId, step }) => {
      if (kind === 'account') this.#note(accountId, step)
    })
  }

  /**
   * Whether a value that was read at a position agrees with what the database said about the accounts of a
   * bucket at the last reading.
   */
  isCurrent(bucket: number, position: number): boolean {
    return position >= this.#feed.floor && position >= this.#lastOf(bucket)
  }

  /** The bucket of an account; it never changes for one instance. */
  bucketOf(accountId: string): number {
    // FNV-1a (draft-eastlake-fnv); its low bits are good enough to choose by.
    let hash = 0x811c9dc5
    for (let i = 0; i < accountId.length; i++) hash = Math.imul(hash ^ accountId.charCodeAt(i), 0x01000193)
    return hash & (this.#steps.length - 1)
  }

  #note(accountId: string, step: number): void {
    const bucket = this.bucketOf(accountId)
    // Changes arrive in the order of their commits.
    if (step > this.#lastOf(bucket)) this.#steps[bucket] = step
  }

  /** The step of the last change in a bucket; 0: none. */
  #lastOf(bucket: number): number {
    return this.#steps[bucket] ?? 0
  }
}
