// What a session is, and how it ends.

import type { SignedInAccount } from './account.ts'
import { accountStateAt } from './account-state.ts'
import type { EndReason } from './end-reason.ts'
import type { Platform } from './platform.ts'
import type { Rotation } from './token-status.ts'

/** One signed-in app on one device. Times are milliseconds since 1970 UTC. */
export interface Session {
  readonly id: string
  readonly accountId: string
  readonly platform: Platform
  readonly deviceId: string | null
  readonly deviceName: string | null
  readonly appVersion: string | null
  readonly ip: string | null
  readonly createdAt: number
  readonly seenAt: number
  /** null: never. */
  readonly expiresAt: number | null
}

/** Why, when and because of which device a session ended. */
export interface Ending {
  readonly reason: EndReason
  readonly at: number
  readonly by: { readonly platform: Platform; readonly deviceName: string | null } | null
}

/** A session as the database and the cache hold it, live or not. */
export interface StoredSession {
  readonly session: Session
  readonly account: SignedInAccount
  readonly tokenHash: string
  /** null: no token of the session has a successor. */
  readonly rotation: Rotation | null
  /** null: the session has not ended. */
  readonly ending: Ending | null
  /** As in `Live`. */
  readonly condition?: string
}

/** A live session. The same object is returned as long as nothing changes. */
export interface Live {
  readonly is: 'live'
  readonly session: Session
  readonly account: SignedInAccount
  /**
   * What every request must present beside the token, by name: for example a proof of the key that the token
   * is bound to (RFC 9449). Absent: the token alone is enough. No session has a condition yet.
   */
  readonly condition?: string
}

declare const bearer: unique symbol

/**
 * A live session whose token alone is enough. Only `isBearer` makes one, and only these are kept by their
 * tokens (verified-tokens.ts). So a session with a condition never reaches the fast path, which looks at
 * nothing but the token.
 */
export interface BearerLive extends Live {
  readonly condition?: never
  /** For the type checker only. */
  readonly [bearer]: true
}

export function isBearer(live: Live): live is BearerLive {
  return live.condition === undefined
}

/**
 * Makes a live session from its stored or cached form. It is the only place that does, so that no condition
 * is lost.
 */
export function liveOf({ session, account, condition }: Omit<Live, 'is'>): Live {
  return condition === undefined
    ? { is: 'live', session, account }
    : { is: 'live', session, account, condition }
}

/**
 * The result of a verification. An invalid token is a result and not an error; verification throws only where
 * the database is unreachable.
 */
export type Verified = Live | { readonly is: 'ended'; readonly ending: Ending } | { readonly is: 'unknown' }

/** True while the session has time left at `now`. */
export function hasTimeLeft(session: Session, now: number): boolean {
  return session.expiresAt === null || now < session.expiresAt
}

/** Whether a session that has not ended is live at `now`: it has time left, and its account is active. */
export function isStillLive(
  { session, account }: Pick<StoredSession, 'session' | 'account'>,
  now: number,
): boolean {
  return hasTimeLeft(session, now) && accountStateAt(account, now) === 'active'
}

/** How an expired session ended; null where it has not expired. */
export function expiryOf(session: Session, now: number): Ending | null {
  return hasTimeLeft(session, now) ? null : { reason: 'expired', at: session.expiresAt ?? now, by: null }
}

/** Why an account's sessions are refused at `now`; null where they are not. */
export function refusalOf(account: SignedInAccount, now: number): Ending | null {
  const state = accountStateAt(account, now)
  if (state === 'active') return null
  return { reason: state === 'banned' ? 'banned' : 'account_closed', at: now, by: null }
}
