// What an account may do now. A ban and a request to close the account are independent facts; the state
// follows from both and the time.
import { AppError } from '../errors.ts'

/** A ban, in force or expired. Times are milliseconds since 1970 UTC. */
export interface Ban {
  /** null: for ever. */
  readonly until: number | null
}

/** What the state follows from. */
export interface AccountFacts {
  /** null: not banned. */
  readonly ban: Ban | null
  /** When the account may be removed; null: its owner has not asked to close it. */
  readonly closesAt: number | null
}

export type AccountState = 'active' | 'banned' | 'closing'

/**
 * The state at `now`, the same for sign-in, verification, purge and every reader: a ban in force comes first;
 * when it has ended, a request to close applies again. Only an active account has live sessions; signing in
 * to a closing account cancels the request.
 */
export function accountStateAt({ ban, closesAt }: AccountFacts, now: number): AccountState {
  if (isInForce(ban, now)) return 'banned'
  return closesAt === null ? 'active' : 'closing'
}

/** Whether a ban bars the account at `now`. */
export function isInForce(ban: Ban | null, now: number): ban is Ban {
  return ban !== null && (ban.until === null || now < ban.until)
}

/** The facts alone, of an account of which more is known. */
export function factsOf({ ban, closesAt }: AccountFacts): AccountFacts {
  return { ban: ban && { until: ban.until }, closesAt }
}

/** @throws AppError `account_banned` while a ban is in force */
export function assertNotBanned({ ban }: AccountFacts, now: number): void {
  if (isInForce(ban, now)) throw new AppError('account_banned', { bannedUntil: ban.until })
}
