// The status of a presented token for its session: a pure function, the same for a cache entry and for a row
// of the database.

import { isSameText } from '../constant-time.ts'
import { familyHashOf } from './token.ts'

/** How long the previous token stays valid while its successor is unused. */
const graceMs = 60_000

/** The rotations of a session; a session that never rotated has none. */
export interface Rotation {
  /**
   * The hash of the part that all its tokens share. A token with this part that is neither the current nor
   * the previous one is older.
   */
  readonly familyHash: string
  /** The rotation whose successor is unused; null: the previous token is retired. */
  readonly pending: PendingRotation | null
}

export interface PendingRotation {
  readonly previousHash: string
  readonly rotatedAt: number
}

/** What a token says by itself. */
export interface TokenFacts {
  /** The public id of the session. */
  readonly id: string
  readonly tokenHash: string
}

/** A presented token, and what is known of it before its session is read. */
export interface PresentedToken extends TokenFacts {
  readonly token: string
  /** It was verified recently. */
  readonly isVerified: boolean
}

/**
 * - `current`: the session's token
 * - `successor`: the session's token, while the previous one is still valid: that one is retired before this
 *   one is accepted
 * - `previous`: the token before the current one, in its grace period
 * - `reused`: an older token of this session; a thief presents it, or the owner after a thief has rotated the
 *   token
 * - `unknown`: not a token of this session
 */
export type TokenStatus = 'current' | 'successor' | 'previous' | 'reused' | 'unknown'

/** The status of a token for a session at `now`. Once `reused`, it stays so. */
export function tokenStatusOf(
  stored: { readonly tokenHash: string; readonly rotation: Rotation | null },
  presented: PresentedToken,
  now: number,
): TokenStatus {
  const { rotation } = stored
  if (isHashOf(stored.tokenHash, presented)) return rotation?.pending ? 'successor' : 'current'
  if (!rotation) return 'unknown'
  const { pending, familyHash } = rotation
  const isInGrace = pending !== null && now < pending.rotatedAt + graceMs
  if (isInGrace && isSameText(pending.previousHash, presented.tokenHash)) return 'previous'
  return isSameText(familyHash, familyHashOf(presented.token)) ? 'reused' : 'unknown'
}

/** The hash of a verified token is known to match, so no constant-time comparison is needed. */
function isHashOf(stored: string, { tokenHash, isVerified }: PresentedToken): boolean {
  return isVerified ? stored === tokenHash : isSameText(stored, tokenHash)
}
