// Whether an account may be used: bans, closing with a grace period, and permanent removal.

import type { Clock } from '../clock.ts'
import { deleteCodesOf } from '../codes/code-rows.ts'
import type { RightCode } from '../codes/codes.ts'
import type { AccountsTable, Database } from '../database/schema.ts'
import { AppError } from '../errors.ts'
import { forgetPerson, forgetPersonInPages } from '../events/event-rows.ts'
import { noOrigin } from '../events/events.ts'
import type { Change } from '../sessions/account-change.ts'
import { accountFactsOf, isInForce } from '../sessions/account-state.ts'
import type { AccountWriter } from '../sessions/account-writer.ts'
import type { Actor } from '../sessions/caller.ts'
import { deleteEndedSessions } from '../sessions/session-rows.ts'
import { findAccountById, listDueForRemoval } from './account-rows.ts'
import { type Account, existing, toAccount } from './accounts.ts'
import { insertBarredNumber } from './barred-number-rows.ts'
import type { BarredNumbers } from './barred-numbers.ts'

export interface LifecycleOptions {
  readonly db: Database
  readonly clock: Clock
  readonly writer: AccountWriter
  readonly barredNumbers: BarredNumbers
  /** How long a closing account can still be reopened, in milliseconds. */
  readonly closingMs: number
}

export interface NewBan {
  /** Milliseconds since 1970 UTC; null: a permanent ban. */
  readonly until: number | null
  readonly reason: string | null
}

const nothing: Change = {}

export class AccountLifecycle {
  readonly #options: LifecycleOptions

  constructor(options: LifecycleOptions) {
    this.#options = options
  }

  /**
   * Bans an account; its sessions are dead on every server when this returns. A closing account stays
   * closing: the removal waits for the end of a timed ban. @throws AppError `account_not_found`
   */
  async ban(accountId: string, { until, reason }: NewBan): Promise<Account> {
    const { account } = await this.#options.writer.update({
      accountId,
      by: null,
      origin: noOrigin,
      decide: async (_tx, _row, now) => ({
        set: { banned_at: now, banned_until: until, ban_reason: reason },
        end: { which: { allBut: null }, reason: 'banned' },
        events: [{ kind: 'account_banned', accountId, detail: { until, reason } }],
      }),
    })
    return toAccount(existing(account))
  }

  /** Ends a ban. A closing account stays closing. @throws AppError `account_not_found` */
  async unban(accountId: string): Promise<Account> {
    const { account } = await this.#options.writer.update({
      accountId,
      by: null,
      origin: noOrigin,
      decide: async (_tx, row) => {
        if (row.banned_at === null) return nothing
        return {
          set: { banned_at: null, banned_until: null, ban_reason: null },
          events: [{ kind: 'account_unbanned', accountId }],
        }
      },
    })
    return toAccount(existing(account))
  }

  /** Ends the ban of an E.164 number whose account was removed. @returns whether there was one */
  async unbanNumber(phoneNumber: string): Promise<boolean> {
    return await this.#options.barredNumbers.unbar(phoneNumber)
  }

  /**
   * Begins to close an account: all sessions end now, and the account is removed after the grace period,
   * unless the person signs in before. @returns when, in milliseconds since 1970 UTC
   * @throws AppError `code_wrong`; the 401 of a caller whose session is no longer live
   */
  async close(code: RightCode, actor: Actor): Promise<number> {
    const { accountId } = actor
    const closesAt = this.#options.clock.now() + this.#options.closingMs
    await this.#options.writer.update({
      accountId,
      by: actor,
      origin: actor.origin,
      decide: async (tx) => {
        if (!(await code.use(tx))) throw new AppError('code_wrong')
        return {
          set: { closes_at: closesAt },
          end: { which: { allBut: null }, reason: 'account_closed' },
          events: [{ kind: 'account_closing', accountId, detail: { closes_at: closesAt } }],
        }
      },
    })
    if (this.#options.closingMs === 0) await this.#purgeOne(accountId, closesAt)
    return closesAt
  }

  /**
   * Removes up to `limit` accounts whose grace period has passed at `now`, and returns how many. A failure of
   * one does not stop the others. @throws the first error, when the others are removed
   */
  async purge(now: number, limit: number): Promise<number> {
    const ids = await listDueForRemoval(this.#options.db, now, limit)
    const errors: unknown[] = []
    let purged = 0
    for (const id of ids) {
      try {
        if (await this.#purgeOne(id, now)) purged++
      } catch (error) {
        errors.push(error)
      }
    }
    if (errors.length > 0) throw errors[0]
    return purged
  }

  /** False where another server was first, the person has signed in again, or a timed ban is in force. */
  async #purgeOne(accountId: string, now: number): Promise<boolean> {
    const found = await findAccountById(this.#options.db, accountId)
    if (!found) return false
    if (isDue(found, now)) {
      // Each statement runs by itself, so that the one transaction at the end does not grow with the
      // account's history.
      await forgetPersonInPages(this.#options.db, accountId, found.phone_number)
      await deleteEndedSessions(this.#options.db, accountId)
    }
    const { phone_number: phoneNumber } = found
    const hash = phoneNumber === null ? null : await this.#options.barredNumbers.hashOf(phoneNumber)
    try {
      const { account } = await this.#options.writer.update({
        accountId,
        by: null,
        origin: noOrigin,
        decide: async (tx, row) => {
          // The number has changed since it was hashed: the next purge looks at the account again.
          if (!isDue(row, now) || row.phone_number !== phoneNumber) return nothing
          const { ban } = accountFactsOf(row)
          if (hash !== null && isInForce(ban, now))
            await insertBarredNumber(tx, { hash, bannedAt: row.banned_at ?? now, reason: row.ban_reason })
          if (phoneNumber !== null) await deleteCodesOf(tx, phoneNumber)
          await forgetPerson(tx, accountId, phoneNumber)
          return { set: null, events: [{ kind: 'account_purged', accountId }] }
        },
      })
      return account === null
    } catch (error) {
      if (error instanceof AppError && error.code === 'account_not_found') return false
      throw error
    }
  }
}

/**
 * Whether an account is due for removal at `now`. A timed ban delays the removal. A permanent ban does not
 * keep personal data.
 */
function isDue(row: AccountsTable, now: number): boolean {
  const { ban, closesAt } = accountFactsOf(row)
  if (closesAt === null || closesAt > now) return false
  return !isInForce(ban, now) || ban.until === null
}
