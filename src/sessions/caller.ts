// The session that requests a write, checked again where the write happens.
import { AppError, type ErrorCode } from '../errors.ts'
import type { RequestOrigin } from '../events/events.ts'
import { type Ending, expiryOf, refusalOf, type StoredSession } from './session.ts'
import { hashToken } from './token.ts'
import { tokenStatusOf } from './token-status.ts'

/** A session that requests something, and the token that it presented. */
export interface Caller {
  readonly accountId: string
  readonly sessionId: string
  readonly token: string
}

/** A caller, and where its request came from. */
export interface Actor extends Caller {
  readonly origin: RequestOrigin
}

/**
 * Refuses a caller that is no longer live. Between the check of a request's headers and its write there are a
 * body that may take 15 s, queues and other transactions; meanwhile the session may have ended. The account
 * writer calls this under the account's lock for every write of a session. Every end takes the same lock, so
 * no write happens for a session whose end was acknowledged.
 * @param stored the session, read by a transaction that holds the lock of its account; null: there is none
 * @throws AppError `session_<reason>`, `token_unknown`: the 401 that the token gets from now on
 */
export function assertLive(stored: StoredSession | null, { sessionId, token }: Caller, now: number): void {
  if (!stored) throw new AppError('token_unknown')
  const presented = { token, id: sessionId, tokenHash: hashToken(token), isVerified: false }
  const status = tokenStatusOf(stored, presented, now)
  // A token that was rotated away since the request came is no sign of theft, and ends no session.
  if (status === 'unknown' || status === 'reused') throw new AppError('token_unknown')
  const ending = stored.ending ?? expiryOf(stored.session, now) ?? refusalOf(stored.account, now)
  if (ending) throw endedError(ending)
}

/** The refusal of a token whose session has ended. */
export function endedError({ reason, at, by }: Ending): AppError {
  const code: ErrorCode = `session_${reason}`
  return new AppError(code, { endedAt: at, endedBy: by })
}
