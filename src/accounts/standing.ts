// Whether an account may be used: bans, closing with a time to think it over, and removal for good.
import type { Clock } from '../clock.ts'
import { deleteCodesOf } from '../codes/code-rows.ts'
import type { RightCode } from '../codes/codes.ts'
import type { AccountState, Database } from '../db/schema.ts'
import { AppError } from '../errors.ts'
import { forgetPerson } from '../events/event-rows.ts'
import { noOrigin, type Origin } from '../events/events.ts'
import { isBanned } from '../sessions/session.ts'
import type { Change, Sessions } from '../sessions/sessions.ts'
import { accountsToPurge } from './account-rows.ts'
import { type Account, existing, toAccount } from './accounts.ts'

export interface StandingOptions {
  readonly db: Database
  readonly clock: Clock
  readonly sessions: Sessions
  /** How long a closing account can still be taken back, in milliseconds. */
  readonly closingMs: number
}

export interface Ban {
  /** Milliseconds since 1970 UTC; null: for ever. */
  readonly until: number | null
  readonly reason: string | null
}

const nothing: Change = { set: {}, events: [] }

/** How an account stands at `now`. A ban that ran out leaves the row as it is, and means nothing any more. */
export function stateAt(
  account: Pick<Account, 'state' | 'bannedUntil' | 'closesAt'>,
  now: number,
): AccountState {
  if (account.state !== 'banned' || isBanned(account, now)) return account.state
  return account.closesAt === null ? 'active' : 'closing'
}

export class Standing {
  readonly #db: Database
  readonly #clock: Clock
  readonly #sessions: Sessions
  readonly #closingMs: number

  constructor(options: StandingOptions) {
    this.#db = options.db
    this.#clock = options.clock
    this.#sessions = options.sessions
    this.#closingMs = options.closingMs
  }

  /** Bans an account; its sessions are dead on every server when this returns. @throws AppError `account_not_found` */
  async ban(accountId: string, { until, reason }: Ban): Promise<Account> {
    const { account } = await this.#sessions.changeAccount({
      accountId,
      origin: noOrigin,
      decide: async () => ({
        set: { state: 'banned', banned_until: until, ban_reason: reason },
        end: { reason: 'banned', by: null, except: null },
        events: [{ kind: 'account_banned', accountId, detail: { until, reason } }],
      }),
    })
    return toAccount(existing(account))
  }

  /** Ends a ban. An account that was closing when it was banned goes on closing. @throws AppError `account_not_found` */
  async unban(accountId: string): Promise<Account> {
    const { account } = await this.#sessions.changeAccount({
      accountId,
      origin: noOrigin,
      decide: async (_tx, row) => {
        if (row.state !== 'banned') return nothing
        const state = row.closes_at === null ? 'active' : 'closing'
        return {
          set: { state, banned_until: null, ban_reason: null },
          events: [{ kind: 'account_unbanned', accountId }],
        }
      },
    })
    return toAccount(existing(account))
  }

  /**
   * Begins to close an account: all sessions end now, and it is removed after the time to think it over, unless the
   * person signs in before. @returns when, in milliseconds since 1970 UTC @throws AppError `code_wrong`
   */
  async close(
    accountId: string,
    code: RightCode,
    by: { sessionId: string; origin: Origin },
  ): Promise<number> {
    const closesAt = this.#clock.now() + this.#closingMs
    await this.#sessions.changeAccount({
      accountId,
      origin: by.origin,
      decide: async (tx) => {
        if (!(await code.use(tx))) throw new AppError('code_wrong')
        return {
          set: { state: 'closing', closes_at: closesAt },
          end: { reason: 'account_closed', by: by.sessionId, except: null },
          events: [{ kind: 'account_closing', accountId, detail: { closes_at: closesAt } }],
        }
      },
    })
    if (this.#closingMs === 0) await this.#purgeOne(accountId, closesAt)
    return closesAt
  }

  /**
   * Removes up to `limit` accounts whose time to think it over has passed at `now`, and returns how many. One that cannot
   * be removed does not keep the others. @throws the first error, when the others are removed
   */
  async purge(now: number, limit: number): Promise<number> {
    const ids = await accountsToPurge(this.#db, now, limit)
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

  /** False where somebody else was first, or the person has signed in again. */
  async #purgeOne(accountId: string, now: number): Promise<boolean> {
    try {
      const { account } = await this.#sessions.changeAccount({
        accountId,
        origin: noOrigin,
        decide: async (tx, row) => {
          const isDue = row.state === 'closing' && row.closes_at !== null && row.closes_at <= now
          if (!isDue) return nothing
          await deleteCodesOf(tx, row.phone_number)
          await forgetPerson(tx, accountId, row.phone_number)
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
