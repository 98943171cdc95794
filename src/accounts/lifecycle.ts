// Whether an account may be used: bans, closing with a grace period, and permanent removal.

import type { OnBackgroundError } from '../background-errors.ts'
import type { Clock } from '../clock.ts'
import { deleteCodesOf } from '../codes/code-rows.ts'
import type { Database } from '../database/schema.ts'
import { AppError } from '../errors.ts'
import { noOrigin } from '../events/events.ts'
import { forgetPerson } from '../events/forget-person.ts'
import type { StoredAccount } from '../sessions/account.ts'
import type { Change } from '../sessions/account-change.ts'
import { isInForce } from '../sessions/account-state.ts'
import { type AccountWriter, lockById } from '../sessions/account-writer.ts'
import type { Actor } from '../sessions/caller.ts'
import { lockAccountRow } from '../sessions/locked-account-rows.ts'
import { deleteAllSessionsOf, endExpiredOf } from '../sessions/old-sessions.ts'
import { findAccountById, findRemoval, listDueForRemoval, type RemovalCursor } from './account-rows.ts'
import { type Account, existing, toAccount } from './accounts.ts'
import { insertBarredNumber } from './barred-number-rows.ts'
import type { BarredNumbers } from './barred-numbers.ts'
import { deleteIdentitiesOf } from './identity-rows.ts'

export interface LifecycleOptions {
  readonly db: Database
  readonly clock: Clock
  readonly writer: AccountWriter
  readonly barredNumbers: BarredNumbers
  /** How long a closing account can still be reopened, in milliseconds. */
  readonly closingMs: number
  readonly onBackgroundError: OnBackgroundError
}

export interface NewBan {
  /** Milliseconds since 1970 UTC; null: a permanent ban. */
  readonly until: number | null
  readonly reason: string | null
}

/**
 * A proof by the owner that was right. It is checked again under the account's lock, which also uses up a
 * code.
 */
export type Confirmed = (tx: Database, locked: StoredAccount) => Promise<boolean>

const nothing: Change = {}

/** How far a purge has come. */
interface PurgeProgress {
  readonly now: number
  /** The last account that was tried. */
  after: RemovalCursor | null
  /** The first error. */
  readonly errors: unknown[]
}

export class AccountLifecycle {
  readonly #options: LifecycleOptions
  /** null: no purge has accounts left to try. */
  #purging: PurgeProgress | null = null
  #queue: Promise<unknown> = Promise.resolve()

  constructor(options: LifecycleOptions) {
    this.#options = options
  }

  /**
   * Bans an account; its sessions are dead on every server when this returns. A closing account stays
   * closing: the removal waits for the end of a timed ban. A ban with an end does not replace a permanent
   * one, which an operator ends first.
   * @throws AppError `account_not_found`; `account_banned` for a ban with an end where a permanent one is in
   * force
   */
  async ban(accountId: string, { until, reason }: NewBan): Promise<Account> {
    const { account } = await this.#options.writer.update({
      accountId,
      by: null,
      origin: noOrigin,
      decide: async (_tx, { ban }, now) => {
        if (until !== null && ban?.until === null) throw new AppError('account_banned', { bannedUntil: null })
        return {
          set: { ban: { at: now, until, reason } },
          end: { which: { allBut: null }, reason: 'banned' },
          events: [{ kind: 'account_banned', accountId, detail: { until, reason } }],
        }
      },
    })
    return toAccount(existing(account))
  }

  /** Ends a ban. A closing account stays closing. @throws AppError `account_not_found` */
  async unban(accountId: string): Promise<Account> {
    const { account } = await this.#options.writer.update({
      accountId,
      by: null,
      origin: noOrigin,
      decide: async (_tx, { ban }) =>
        ban === null ? nothing : { set: { ban: null }, events: [{ kind: 'account_unbanned', accountId }] },
    })
    return toAccount(existing(account))
  }

  /** Ends the ban of an E.164 number whose account was removed. @returns whether there was one */
  async unbanNumber(phoneNumber: string): Promise<boolean> {
    return await this.#options.barredNumbers.unbar(phoneNumber)
  }

  /**
   * Begins to close an account: all sessions end now, and the account is removed after the grace period,
   * unless the person signs in before. Without a grace period it is removed now.
   * @returns when, in milliseconds since 1970 UTC
   * @throws AppError `code_wrong`; the 401 of a caller whose session is no longer live
   */
  async close(confirmed: Confirmed, actor: Actor): Promise<number> {
    const { accountId } = actor
    const closesAt = this.#options.clock.now() + this.#options.closingMs
    await this.#options.writer.update({
      accountId,
      by: actor,
      origin: actor.origin,
      decide: async (tx, locked, now) => {
        if (!(await confirmed(tx, locked))) throw new AppError('code_wrong')
        const removal = this.#options.closingMs === 0 ? await beginRemoval(tx, locked, now) : nothing
        return {
          ...ends,
          set: { ...removal.set, closesAt },
          events: [
            { kind: 'account_closing', accountId, detail: { closes_at: closesAt } },
            ...(removal.events ?? []),
          ],
        }
      },
    })
    if (this.#options.closingMs === 0) this.#finishLater(accountId)
    return closesAt
  }

  /**
   * Removes up to `limit` accounts whose grace period has passed at `now`, and returns how many. Accounts
   * that cannot be removed do not stop the others, however many they are: a further call with the same `now`
   * goes on behind the last account that was tried.
   * @throws the first error, when every account has been tried
   */
  async purge(now: number, limit: number): Promise<number> {
    if (this.#purging?.now !== now) this.#purging = { now, after: null, errors: [] }
    const { errors } = this.#purging
    let purged = 0
    for (let isEnd = false; !isEnd && purged < limit; ) {
      const page = await this.#purgePage(this.#purging, limit - purged)
      purged += page.purged
      isEnd = page.isLast
    }
    if (purged === limit) return purged
    this.#purging = null
    if (errors.length > 0) throw errors[0]
    return purged
  }

  /** Tries up to `limit` accounts, from where the purge has come to. */
  async #purgePage(progress: PurgeProgress, limit: number): Promise<{ purged: number; isLast: boolean }> {
    const { now, after, errors } = progress
    const page = await listDueForRemoval(this.#options.db, now, after, limit)
    let purged = 0
    for (const due of page) {
      progress.after = due
      try {
        if (await this.#purgeOne(due.id, now)) purged++
      } catch (error) {
        if (errors.length === 0) errors.push(error)
      }
    }
    return { purged, isLast: page.length < limit }
  }

  /**
   * Removes an account in two parts. The first one is a short transaction that decides: with its commit the
   * account has ended, and its number and identities are free. The second one deletes rows and changes no
   * answer, so that it may be cut off anywhere and continued by any server.
   * @returns false where another server was first, the person has signed in again, or a timed ban is in force
   */
  async #purgeOne(accountId: string, now: number): Promise<boolean> {
    const found = await findAccountById(this.#options.db, accountId)
    if (found) {
      await endExpiredOf(this.#options.db, accountId, now)
      if (!(await this.#beginRemoval(found, now))) return false
    }
    return await this.#finishRemoval(accountId)
  }

  async #beginRemoval({ id: accountId, phoneNumber }: StoredAccount, now: number) {
    const hash = phoneNumber === null ? null : await this.#options.barredNumbers.hashOf(phoneNumber)
    const { result } = await this.#options.writer.write({
      lock: lockById(accountId),
      by: null,
      decide: async (locked, tx) => {
        // The number has changed since it was hashed: the next purge looks at the account again.
        const account = locked?.account
        if (!account || !isDue(account, now) || account.phoneNumber !== phoneNumber)
          return { change: null, result: false }
        const { ban } = account
        if (hash !== null && ban && isInForce(ban, now))
          await insertBarredNumber(tx, { hash, bannedAt: ban.at, reason: ban.reason })
        return { change: { ...ends, ...(await beginRemoval(tx, account, now)) }, result: true }
      },
    })
    return result
  }

  /** Deletes the rows of an account whose removal has begun, page by page. */
  async #finishRemoval(accountId: string): Promise<boolean> {
    const removal = await findRemoval(this.#options.db, accountId)
    if (!removal) return false
    const { phoneNumber, beganAt: began } = removal
    if (!(await this.#options.writer.pendingEnds.write(accountId))) return false
    await deleteAllSessionsOf(this.#options.db, accountId)
    await forgetPerson(this.#options.db, { accountId, phoneNumber, began })
    const { result } = await this.#options.writer.write({
      lock: lockById(accountId, lockAccountRow),
      by: null,
      decide: async (locked) =>
        locked ? { change: { set: null }, result: true } : { change: null, result: false },
    })
    return result
  }

  /** In the background. What fails is done by the next purge. */
  #finishLater(accountId: string): void {
    this.#queue = this.#queue
      .then(() => this.#finishRemoval(accountId))
      .catch((error: unknown) => this.#options.onBackgroundError('remove_account', error))
  }

  /** Waits for the removals that this process has begun. */
  async settled(): Promise<void> {
    await this.#queue
  }
}

/** All sessions of the account end. */
const ends = { end: { which: { allBut: null }, reason: 'account_closed' } } as const satisfies Change

/**
 * Under the account's lock: frees its number and its identities, and deletes what it can be used by. The
 * row stays until everything else is deleted.
 */
async function beginRemoval(
  tx: Database,
  { id: accountId, phoneNumber, ban }: StoredAccount,
  now: number,
): Promise<Pick<Change, 'set' | 'events'>> {
  if (phoneNumber !== null) await deleteCodesOf(tx, phoneNumber)
  await deleteIdentitiesOf(tx, accountId)
  return {
    set: {
      phoneNumber: null,
      removal: { beganAt: now, phoneNumber },
      phoneVerifiedAt: null,
      passwordHash: null,
      nickname: null,
      avatarUrl: null,
      locale: null,
      ban: ban && { ...ban, reason: null },
    },
    events: [{ kind: 'account_purged', accountId }],
  }
}

/**
 * Whether an account is due for removal at `now`. A timed ban delays the removal. A permanent ban does not
 * keep personal data.
 */
function isDue({ ban, closesAt }: StoredAccount, now: number): boolean {
  if (closesAt === null || closesAt > now) return false
  return !isInForce(ban, now) || ban.until === null
}
