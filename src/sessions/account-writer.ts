// The write protocol of accounts and their sessions, in one place: lock, invalidate, write, feed, confirm,
// commit, settle. Every operation passes a decision about what changes (account-change.ts). docs/coherence.md
// gives the reason for each step and for their order.

import type { OnBackgroundError } from '../background-errors.ts'
import { insertChange, insertChangeAfter, type WrittenChange } from '../changes/change-rows.ts'
import type { Feed } from '../changes/feed.ts'
import { announceLate } from '../changes/late-changes.ts'
import type { Clock } from '../clock.ts'
import type { Database } from '../database/schema.ts'
import { type Deadline, inTransaction, takeLonger } from '../database/transaction.ts'
import { WriteBatch } from '../database/write-batch.ts'
import { AppError } from '../errors.ts'
import { type NewEvent, noOrigin, type RequestOrigin, recordEvents, withoutPerson } from '../events/events.ts'
import { KeyedBatches } from '../keyed-batches.ts'
import { atLeastInClass } from '../queue-order.ts'
import type { Mark, ReadTicket, SessionCache } from '../session-cache/session-cache.ts'
import type { StoredAccount } from './account.ts'
import { type Affected, affectedBy, apply, type Change, entriesAfter, type Work } from './account-change.ts'
import { assertLive, type Caller } from './caller.ts'
import { certify, lockAccount } from './locked-account-rows.ts'
import { LockedSessions } from './locked-sessions.ts'
import { PendingEnds } from './pending-ends.ts'
import type { StoredSession } from './session.ts'

export interface Decision<T> {
  /** null: nothing changes. What `lock` and `decide` wrote themselves is still committed. */
  readonly change: Change | null
  readonly result: T
}

/** An account whose row is locked until the transaction ends. Callers may add what else they read with it. */
export interface Locked {
  readonly account: StoredAccount
}

export interface Write<L extends Locked, T> {
  /** Locks the account's row, or inserts it; null: there is no account. */
  readonly lock: (tx: Database) => Promise<L | null>
  /**
   * The session that requests the write; null: an operator, the server itself, or a person that has proved
   * the phone number.
   */
  readonly by: Caller | null
  readonly origin?: RequestOrigin
  /**
   * Reads what it needs under the lock and returns what changes. It may run several times
   * (database/transaction.ts). `now`, in milliseconds since 1970 UTC, is read under the lock, so the times of
   * an account follow the order of its transactions. `sessions` are those of the account.
   */
  readonly decide: (
    locked: (L & { readonly sessions: LockedSessions }) | null,
    tx: Database,
    now: number,
  ) => Promise<Decision<T>>
  /**
   * Called after the commit, before `settle`, which may wait for a second: a caller with many writes can
   * begin the next one.
   */
  readonly onCommitted?: (() => void) | undefined
}

export interface Written<T> {
  readonly result: T
  /** The account after the change; null: there is none. */
  readonly account: StoredAccount | null
  /** How many sessions the change ended. */
  readonly ended: number
  /** The sessions that the change affected, in their new state; empty where there were too many to read. */
  readonly sessions: readonly StoredSession[]
  /** A new device proof, shown to the client once; null: none was made. */
  readonly deviceProof: string | null
}

/** A change of an account that exists. */
export interface AccountUpdate {
  readonly accountId: string
  readonly by: Caller | null
  readonly origin: RequestOrigin
  /** Runs under the account's lock, checks every condition again, and returns what changes. */
  readonly decide: (tx: Database, account: StoredAccount, now: number) => Promise<Change>
  /** The same as in `Write`. */
  readonly onCommitted?: (() => void) | undefined
}

export interface AccountWriterOptions {
  readonly db: Database
  readonly cache: SessionCache
  readonly feed: Pick<Feed, 'expect'>
  readonly clock: Clock
  /** Called with the error that prevented the ends of very many sessions from being written. */
  readonly onBackgroundError?: OnBackgroundError
}

/** What the steps after the commit need. */
interface Committed {
  readonly mark: Mark
  readonly position: number
  /** The change in the feed; null: nothing that other servers may hold has changed. */
  readonly change: (WrittenChange & { readonly accountId: string }) | null
  /** The history of the database when the transaction began. */
  readonly history: string
  /** Fills the cache entry of a new session; null: there is no new session. */
  readonly begun: { readonly ticket: ReadTicket; readonly entry: StoredSession } | null
  /** Ends of sessions still have to be written. */
  readonly isPending: boolean
}

/** An event that belongs to no change. */
interface Recorded {
  readonly origin: RequestOrigin
  readonly event: NewEvent
}

/** What a transaction has read and measured under the account's lock. */
interface Under {
  readonly sessions: LockedSessions
  readonly ticket: ReadTicket | null
  readonly deadline: Deadline
}

export class AccountWriter {
  readonly #db: Database
  readonly #cache: SessionCache
  readonly #feed: Pick<Feed, 'expect'>
  readonly #clock: Clock
  readonly #records = new KeyedBatches<Recorded>((records) => this.#record(records))
  /** Writes the ends after the commit, where very many sessions end. */
  readonly pendingEnds: PendingEnds

  constructor({ db, cache, feed, clock, onBackgroundError = () => {} }: AccountWriterOptions) {
    this.#db = db
    this.#cache = cache
    this.#feed = feed
    this.#clock = clock
    const onError = (error: unknown) => onBackgroundError('write_pending_ends', error)
    this.pendingEnds = new PendingEnds({ db, onBackgroundError: onError })
  }

  /**
   * Decides under the account's lock and writes the decision, in one transaction. When this returns, every
   * server knows what it ended or changed.
   * @throws AppError the 401 of a caller that is no longer live, `unavailable`, and whatever `decide` throws
   */
  async write<L extends Locked, T>(write: Write<L, T>): Promise<Written<T>> {
    return await (write.by ? atLeastInClass('known', () => this.#write(write)) : this.#write(write))
  }

  async #write<L extends Locked, T>({
    lock,
    by,
    origin = noOrigin,
    decide,
    onCommitted,
  }: Write<L, T>): Promise<Written<T>> {
    const { committed, deadline, ...written } = await inTransaction(this.#db, async (tx, deadline) => {
      const ticket = this.#cache.beginRead()
      const locked = await lock(tx)
      const account = locked?.account ?? null
      const now = this.#clock.now()
      const id = account?.id ?? by?.accountId ?? ''
      const sessions = new LockedSessions(tx, { id, account }, now)
      if (by) assertLive(await sessions.find(by.sessionId), by, now)
      const { change, result } = await decide(locked && { ...locked, sessions }, tx, now)
      if (!account || change === null)
        return { result, account, ended: 0, sessions: [], deviceProof: null, committed: null, deadline }
      const ender = change.start?.session.id ?? by?.sessionId ?? null
      const decided = { account, change, now, origin, ender }
      return { result, deadline, ...(await this.#apply(tx, decided, { sessions, ticket, deadline })) }
    })
    onCommitted?.()
    // A removed account has no row and no sessions left to end.
    if (committed?.isPending && written.account) this.pendingEnds.begin(written.account.id)
    if (committed) {
      const position = await this.#announce(committed, deadline)
      await this.#settle({ ...committed, position }, written.sessions)
    }
    return written
  }

  /** The steps from the decision to the commit. */
  async #apply(
    tx: Database,
    decided: Omit<Work, 'ended' | 'kept'>,
    { sessions, ticket, deadline }: Under,
  ): Promise<Omit<Written<never>, 'result'> & { readonly committed: Committed }> {
    const affected = await affectedBy(sessions, decided.change)
    if (affected.isMany && affected.kept === null) takeLonger(deadline)
    const marking = this.#cache.mark(affected.isMany ? 'many' : affected.ids)
    // Nothing is visible before the commit, so the marks and the writes need not wait for each other.
    const [mark, written] = await both(marking, write(tx, { ...decided, ...affected }, sessions))
    await mark.confirm()
    const { entry, change, account, deviceProof, entries } = written
    const committed = {
      mark,
      position: change?.step ?? ticket?.position ?? 0,
      change: change && { ...change, accountId: decided.account.id },
      history: ticket?.history ?? '',
      begun: ticket && entry && { ticket, entry },
      isPending: affected.kept !== null,
    }
    return { ended: affected.ended.length, sessions: entries, account, deviceProof, committed }
  }

  /**
   * Changes an account that exists.
   * @throws AppError `account_not_found`, and what `write` throws
   */
  async update({ accountId, by, origin, decide, onCommitted }: AccountUpdate): Promise<Written<null>> {
    return await this.write({
      lock: lockById(accountId),
      by,
      origin,
      onCommitted,
      decide: async (locked, tx, now) => {
        if (!locked) throw new AppError('account_not_found')
        return { change: await decide(tx, locked.account, now), result: null }
      },
    })
  }

  /**
   * Records an event that belongs to no change, such as a wrong password. `accountId` of the event is the
   * account that the request found when it began; null: it found none. A request may take long (a gateway
   * that is slow, a queue), and its account may be removed meanwhile: then the event holds nothing of the
   * person. Under the account's lock, because a removal empties the events that are committed before it
   * begins. An event of an account holds its own number alone: the removal of another account that has the
   * number would leave it.
   *
   * Events of one number are recorded in turn: the lock of an account delays many tries at once, and that a
   * number without an account has none must not be measurable. Those that wait share a transaction, so that a
   * flood of wrong guesses at a number delays its owner by two transactions at most.
   */
  async record(origin: RequestOrigin, event: NewEvent): Promise<void> {
    await this.#records.add(event.phoneNumber ?? event.accountId ?? '', { origin, event })
  }

  async #record(records: readonly Recorded[]): Promise<void> {
    for (const [accountId, ofAccount] of Map.groupBy(records, ({ event }) => event.accountId ?? null))
      await this.write({
        // Without an account the work is the same.
        lock: lockById(accountId ?? ''),
        by: null,
        decide: async (locked, tx, now) => {
          await certify(tx, accountId ?? '')
          const writes = new WriteBatch(tx)
          const isRemoved = accountId !== null && !locked
          for (const { origin, event } of ofAccount)
            if (isRemoved) await recordEvents(writes.db, now, noOrigin, [withoutPerson(event)])
            else {
              const known = locked ? withOwnNumber(event, locked.account) : event
              await recordEvents(writes.db, now, origin, [known])
            }
          await writes.send()
          return { change: null, result: null }
        },
      })
  }

  /** Stops after the current batch of pending ends. */
  async close(): Promise<void> {
    await this.pendingEnds.close()
  }

  /** Returns the position of the change in the feed: that of its last row. */
  async #announce({ change, position, history }: Committed, deadline: Deadline): Promise<number> {
    if (change === null) return position
    this.#feed.expect(change, history)
    const subject = { kind: 'account', id: change.accountId } as const
    const parts = { db: this.#db, clock: this.#clock, feed: this.#feed, history }
    return (await announceLate(parts, subject, deadline)) ?? position
  }

  async #settle({ mark, position, begun }: Committed, sessions: readonly StoredSession[]): Promise<void> {
    await mark.settle(sessions, position)
    // After this, the first check of a new session needs no SQL.
    if (begun) await this.#cache.fill({ ...begun.ticket, position }, [begun.entry])
  }
}

function withOwnNumber({ phoneNumber, ...event }: NewEvent, account: StoredAccount): NewEvent {
  return phoneNumber === account.phoneNumber ? { ...event, phoneNumber } : event
}

/** Writes a change and its row in the feed, and returns the cache entries of its sessions. */
async function write(tx: Database, work: Work & Affected, sessions: LockedSessions) {
  const { ids, isMany, needsFeed } = work
  const { writes, account, ...applied } = await apply(tx, work)
  const change = needsFeed ? await writeChange(tx, writes, { work, lastStep: sessions.lastStep }) : null
  await writes.send()
  const entries = account === null || isMany ? [] : await entriesAfter(tx, sessions, { work, ids, account })
  return { ...applied, account, change, entries }
}

async function writeChange(
  tx: Database,
  writes: WriteBatch,
  { work, lastStep }: { readonly work: Work; readonly lastStep: number | null },
): Promise<WrittenChange> {
  const { account, now } = work
  if (lastStep !== null)
    return await insertChangeAfter(writes.db, lastStep, { accountId: account.id, at: now })
  await writes.send()
  return await insertChange(tx, account.id, now)
}

/** The results of both, when neither of them runs any more. @throws the error of the first one that failed */
async function both<A, B>(one: Promise<A>, other: Promise<B>): Promise<readonly [A, B]> {
  await Promise.allSettled([one, other])
  return [await one, await other]
}

/**
 * Locks the row of the account with this id. `lockRow` says which rows count: by default, an account whose
 * removal has begun does not exist.
 */
export function lockById(
  accountId: string,
  lockRow: typeof lockAccount = lockAccount,
): (tx: Database) => Promise<Locked | null> {
  return async (tx) => {
    const account = await lockRow(tx, accountId)
    return account && { account }
  }
}
