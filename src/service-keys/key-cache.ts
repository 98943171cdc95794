// All service keys in this process's memory: a check of a key, also of one that does not exist, costs no SQL.
import type { Feed } from '../changes/feed.ts'
import type { Database } from '../database/schema.ts'
import { type MaybePromise, mapMaybe } from '../maybe-promise.ts'
import type { StoredKey } from './service-key.ts'
import { findKey, listKeys } from './service-key-rows.ts'

type Keys = ReadonlyMap<string, StoredKey>
type FeedOfKeys = Pick<Feed, 'isFresh' | 'subscribe' | 'onHistory'>

/**
 * What was read is used as long as the feed is fresh and announces no change of a key: a change that the
 * reading did not see is announced after the reading began. Then all keys are read again, because there are
 * few and they change rarely. While the feed is not fresh, each check reads its key from the database.
 */
export class KeyCache {
  readonly #db: Database
  readonly #feed: FeedOfKeys
  #isSubscribed = false
  #keys: Keys | null = null
  /** The reading that checks wait for; null: none is under way, or a key has changed since it began. */
  #reading: Promise<Keys> | null = null

  constructor({ db, feed }: { readonly db: Database; readonly feed: FeedOfKeys }) {
    this.#db = db
    this.#feed = feed
    feed.onHistory(() => this.#forget())
  }

  /** The key with this id, live or not; null: there is none. Fails only where the database is unreachable. */
  find(id: string): MaybePromise<StoredKey | null> {
    this.#subscribe()
    if (!this.#feed.isFresh()) return findKey(this.#db, id)
    return mapMaybe(this.#keys ?? this.#read(), (keys) => keys.get(id) ?? null)
  }

  /** Whether `find` would return this very object now, without a read of the database. */
  holds(key: StoredKey): boolean {
    return this.#feed.isFresh() && this.#keys?.get(key.id) === key
  }

  /** With the first check, so that a server without keys does not have to read the feed. */
  #subscribe(): void {
    if (this.#isSubscribed) return
    this.#isSubscribed = true
    this.#feed.subscribe(({ kind }) => {
      if (kind === 'service_key') this.#forget()
    })
  }

  #forget(): void {
    this.#keys = null
    this.#reading = null
  }

  #read(): Promise<Keys> {
    if (this.#reading !== null) return this.#reading
    const reading: Promise<Keys> = listKeys(this.#db).then(
      (all) => {
        const keys = new Map(all.map((key) => [key.id, key]))
        if (this.#reading === reading) {
          this.#keys = keys
          this.#reading = null
        }
        return keys
      },
      (error) => {
        if (this.#reading === reading) this.#reading = null
        throw error
      },
    )
    this.#reading = reading
    return reading
  }
}
