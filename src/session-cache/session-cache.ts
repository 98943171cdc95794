// The cache of sessions, so that a check needs no SQL: the contract of mark, commit and settle.
//
// There is one cache entry for each session; it holds the account as well. A transaction that ends sessions
// or changes an account first locks the account's row. Then it calls `mark` to invalidate the cache entry of
// each session that it affects, writes the change into the feed, calls `confirm` before it commits, and calls
// `settle` after the commit. A reader that finds a mark reads the database and does not fill the cache. A
// reader that finds an entry older than the account's last change in the feed reads the database and fills
// the cache.
//
// A process has up to three layers. Verification keeps verified tokens with the cache entry that was found
// for them, as long as that entry is valid (verified-tokens.ts). Below it, MemorySessionCache (on SQLite) or
// the client-side cache of a Redis connection (client-side-cache.ts) keeps entries by session id
// (bounded-cache.ts). RedisSessionCache shares its entries with other processes. NoSessionCache keeps
// nothing.
//
// docs/coherence.md gives the reason for each rule. test/coherence/cache-model.test.ts searches every run
// of a model of the protocol and shows the trace that breaks it when a rule is left out.
import type { MaybePromise } from '../maybe-promise.ts'
import type { StoredSession } from '../sessions/session.ts'

export type { StoredSession } from '../sessions/session.ts'

/**
 * What the cache holds under a session's id: an entry, a mark, or nothing. After a mark or nothing, the
 * caller must read the database.
 */
export interface CacheEntry {
  readonly value: StoredSession | 'marked' | null
  /** A step of the feed. The value contains all changes up to it. */
  readonly position: number
  /** The bucket of the account in LastChanges. */
  readonly bucket: number
  /** Becomes false, and stays false, as soon as the cache may hold something else under this id. */
  readonly isCurrent: boolean
}

/** A cache miss: the caller must read the database. */
export const cacheMiss: CacheEntry = { value: null, position: 0, bucket: 0, isCurrent: false }

/** The marks of one transaction, in the cache that has set them. */
export interface Mark {
  /**
   * The last step before a commit: sets each mark again that is not where readers look now.
   * @throws AppError `unavailable` where the marks are so old that they may expire before the commit
   */
  confirm(): Promise<void>
  /**
   * After the commit: replaces the marks by the new entries; `position` is that of the change in the feed.
   * Where a mark could not be set, it waits until every server has read the feed or trusts no cache entry.
   * Never throws: a mark that is not replaced expires.
   */
  settle(entries: readonly StoredSession[], position: number): Promise<void>
}

/** Says when a read of the database began. The cache can be filled only with such a ticket. */
export interface ReadTicket {
  /** Changes when marks that were set earlier may be gone. */
  readonly generation: number
  readonly beganAt: number
  /** What is read contains all changes up to this step of the feed. */
  readonly position: number
  /** The history of the database whose changes these are. */
  readonly history: string
}

export interface SessionCache {
  /** Each check calls this first. After it, entries that are no longer valid are not current. */
  dropStale(): void
  /** Returns without a promise where this process has the entry in memory. Never throws. */
  session(id: string): MaybePromise<CacheEntry>
  /** Whether an entry that was found earlier still agrees with the database. */
  isValid(found: CacheEntry): boolean
  /** Call this before reading the database; null: nothing can be filled now. */
  beginRead(): ReadTicket | null
  /**
   * Writes cache entries that are missing or older, if the read began a short while ago. Never throws: a
   * failed fill costs only a later read of the database.
   */
  fill(ticket: ReadTicket, entries: readonly StoredSession[]): MaybePromise<void>
  /**
   * Invalidates cache entries by marks, inside the transaction and under the account's lock, where the cache
   * is reachable. With 'many' it sets no marks, and `settle` waits as it does where no mark could be set: the
   * time and the memory that a change takes do not grow with the account.
   */
  mark(sessionIds: readonly string[] | 'many'): Promise<Mark>
  /**
   * Remembers when sessions were last used: milliseconds since 1970 by session id. It may forget; the
   * database has less exact times. Never throws.
   */
  noteUses(uses: ReadonlyMap<string, number>): Promise<void>
  /** What it remembers of these sessions. Never throws. */
  findUses(ids: readonly string[]): Promise<ReadonlyMap<string, number>>
  /** Whether the cache is in use now. */
  isReachable(): boolean
  /** Why the cache is not in use: its store does not answer, or refuses our commands. */
  state(): 'ok' | 'out_of_reach' | 'refused'
  close(): Promise<void>
}
