// The answer of token introspection (RFC 7662, section 2.2) about one token.
import { isoTime } from '../../iso-time.ts'
import type { KeyScope } from '../../service-keys/service-key.ts'
import { isBearer, type Verified } from '../../sessions/session.ts'
import type { SignedIn } from '../authenticate.ts'

/** What a caller may learn of a token that is valid. */
export interface ActiveToken {
  readonly active: true
  /** The account. */
  readonly sub: string
  /** The session, in both. */
  readonly sid: string
  readonly jti: string
  /** Seconds since 1970 UTC. Absent: the session does not expire. */
  readonly exp?: number
  readonly iat: number
  /** The platform of the session. */
  readonly client_id: string
  readonly token_type: 'Bearer'
  /** Tokens of Hufu have no scopes. */
  readonly scope: ''
  /** E.164; null: the account has none. */
  readonly phone_number?: string | null
}

/** What a caller may learn of any other token. */
export interface InactiveToken {
  readonly active: false
  /** `token_unknown`, or a code of an ended session: docs/errors.md. */
  readonly reason?: string
  readonly ended_at?: string
}

/** @param scopes of the caller's key */
export function describeToken(verified: Verified, scopes: readonly KeyScope[]): ActiveToken | InactiveToken {
  const tellsReason = scopes.includes('introspect:reason')
  switch (verified.is) {
    case 'live':
      // The token alone does not prove such a session, and this route sees nothing else.
      return isBearer(verified) ? describeLive(verified, scopes) : { active: false }
    case 'ended': {
      const { reason, at } = verified.ending
      return { active: false, ...(tellsReason && { reason: `session_${reason}`, ended_at: isoTime(at) }) }
    }
    case 'unknown':
      return { active: false, ...(tellsReason && { reason: 'token_unknown' }) }
  }
}

/** @param scopes of the caller's key */
export function describeLive({ session, account }: SignedIn, scopes: readonly KeyScope[]): ActiveToken {
  return {
    active: true,
    sub: account.id,
    sid: session.id,
    jti: session.id,
    ...(session.expiresAt !== null && { exp: Math.floor(session.expiresAt / 1000) }),
    iat: Math.floor(session.createdAt / 1000),
    client_id: session.platform,
    token_type: 'Bearer',
    scope: '',
    ...(scopes.includes('introspect:phone') && { phone_number: account.phoneNumber }),
  }
}
