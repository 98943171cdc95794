// What a process may remember of the truth so that a check costs no SQL: the contract of mark, commit, settle.
//
// There is one copy for each session, and it holds the account as well. A transaction that ends sessions or changes an
// account first takes the account's row lock, then `mark`s the copy of each session that it touches, writes into the feed
// that the account changes, `confirm`s the marks before it commits, and `settle`s them afterwards. A marked copy means: ask
// the truth, and do not fill. A copy that is older than what the feed tells means: ask the truth, and fill.
//
// A process has up to three memories in a row: Sessions keeps tokens with what was found for them (verified-tokens.ts), as long as the
// copy that it found is believed; MemorySessionCache on SQLite, or what a connection to Redis has read (client-side-cache.ts), keep copies by
// session (bounded-cache.ts); and RedisSessionCache share theirs with other processes. NoSessionCache keep nothing.
//
// docs/architecture.md tells why each rule is there; test/coherence/cache-model.test.ts searches the protocol whole and shows the
// trace that breaks it when a rule is left out.
import type { MaybePromise } from '../maybe-promise.ts'
import type { Ending, Session, SignedInAccount } from '../sessions/session.ts'
import type { Rotation } from '../sessions/token-status.ts'

export interface StoredSession {
  readonly tokenHash: string
  readonly session: Session
  readonly account: SignedInAccount
  readonly ending: Ending | null
  /** null: never rotated. */
  readonly rotation: Rotation | null
  /** As in `Live`. */
  readonly condition?: string
}

/** What was found under a session's id: its copy, a mark, or nothing. In the last two cases the truth must be asked. */
export interface CacheEntry {
  readonly value: StoredSession | 'marked' | null
  /** Of the feed: all changes up to here are in it. */
  readonly position: number
  /** Of the account in the table of last changes. */
  readonly bucket: number
  /** Turns false for good as soon as this may no longer be what stands there. */
  readonly isCurrent: boolean
}

/** Nothing: the truth must be asked. */
export const cacheMiss: CacheEntry = { value: null, position: 0, bucket: 0, isCurrent: false }

/** The marks of one transaction. */
export interface Mark {
  readonly id: string
  /** Of the sessions whose copies are marked. */
  readonly sessionIds: readonly string[]
  /** It stands for more sessions than can be marked. */
  readonly isMany?: boolean
}

/** Proof of when a read of the truth began; without it nothing may be filled. */
export interface ReadTicket {
  /** Changes when it is not certain any more that marks stand where they stood. */
  readonly generation: number
  readonly beganAt: number
  /** All changes up to this position of the feed are in what is read. */
  readonly position: number
}

export interface SessionCache {
  /** To be called first of all in each check: whatever is not so any more is not current after it. */
  refresh(): void
  /** At once where this process remembers it. Never throws. */
  session(id: string): MaybePromise<CacheEntry>
  /** Whether what was found a while ago still says what the truth says. */
  isValid(found: CacheEntry): boolean
  /** To be called before the truth is read; null where nothing can be filled now. */
  beginRead(): ReadTicket | null
  /** Writes copies that are not there yet, or are older, if the read began a short while ago. Never throws: a copy is a favour. */
  fill(ticket: ReadTicket, cache: readonly StoredSession[]): MaybePromise<void>
  /**
   * Marks copies, inside the transaction and under the account's lock, where they are in reach. With 'many' none is marked:
   * settle then waits as it does where nothing could be marked, so the time and the memory of a change do not grow with the account.
   */
  mark(sessionIds: readonly string[] | 'many'): Promise<Mark>
  /** The last thing before a commit: makes sure that the marks stand where readers look now. */
  confirm(mark: Mark): Promise<void>
  /**
   * After the commit: replaces our own marks by what is now true; `position` is that of this change in the feed. Where nothing
   * could be marked, it waits until every server has read the feed or believes no copy. Never throws: a mark that stays
   * runs out.
   */
  settle(mark: Mark, cache: readonly StoredSession[], position: number): Promise<void>
  /** Whether copies are in use at this moment. */
  isReachable(): boolean
  /** Where they are not in use: whether what holds them does not answer, or refuses us. */
  state(): 'ok' | 'out_of_reach' | 'refused'
  close(): Promise<void>
}
