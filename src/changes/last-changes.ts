// The position of the last change of each account, in a table that never grows: each check costs one look at one number.
import type { Feed } from './feed.ts'

/** Each is 8 bytes. */
const defaultBuckets = 2 ** 18

/**
 * A subscriber of the feed. Accounts share buckets: an account that shares one with an account that changed counts as changed
 * too and is read anew, which costs a read and lets no one in.
 */
export class LastChanges {
  readonly #feed: Pick<Feed, 'floor' | 'subscribe'>
  readonly #positions: Float64Array

  /**
   * @param feed one that has not started
   * @param buckets a power of two
   */
  constructor(feed: Pick<Feed, 'floor' | 'subscribe'>, buckets = defaultBuckets) {
    this.#feed = feed
    this.#positions = new Float64Array(buckets)
    feed.subscribe(({ kind, accountId, position }) => {
      if (kind === 'account') this.#note(accountId, position)
    })
  }

  /** Whether what was read at a position still says what the database said of the accounts in a bucket at the last reading. */
  isCurrent(bucket: number, position: number): boolean {
    return position >= this.#feed.floor && position >= this.#lastOf(bucket)
  }

  /** The bucket of an account; the same for as long as this lives. */
  bucketOf(accountId: string): number {
    // FNV-1a (draft-eastlake-fnv); its low bits are good enough to choose by.
    let hash = 0x811c9dc5
    for (let i = 0; i < accountId.length; i++) hash = Math.imul(hash ^ accountId.charCodeAt(i), 0x01000193)
    return hash & (this.#positions.length - 1)
  }

  #note(accountId: string, position: number): void {
    const bucket = this.bucketOf(accountId)
    // In the order of positions, but for those few that were open.
    if (position > this.#lastOf(bucket)) this.#positions[bucket] = position
  }

  /** The position of the last change in a bucket; 0: none. */
  #lastOf(bucket: number): number {
    return this.#positions[bucket] ?? 0
  }
}
