// How a token that somebody shows stands to its session: pure, and the same for a copy and for the truth.

import { familyHashOf, sameHash } from './token.ts'

/** How long the previous token stays good while nobody has used its successor. */
export const graceMs = 60_000

/** What is known of a session's rotations; a session that never rotated has none. */
export interface Rotation {
  /** Of what all its tokens share: a token with it that is neither the current one nor the one before is an older one. */
  readonly familyHash: string
  /** The rotation whose successor nobody has used yet; null: the previous token is over. */
  readonly pending: PendingRotation | null
}

export interface PendingRotation {
  readonly previousHash: string
  readonly rotatedAt: number
}

/** What is known of a token by itself. */
export interface TokenFacts {
  /** The public id of the session. */
  readonly id: string
  readonly tokenHash: string
}

/** A token that somebody shows, and what is known of it before any session is looked at. */
export interface PresentedToken extends TokenFacts {
  readonly token: string
  /** It proved a live session lately. */
  readonly isVerified: boolean
}

/**
 * - `current`: the session's token
 * - `successor`: the session's token, and the one before it is still good: to be retired before this one is accepted
 * - `previous`: the token before the current one, in its grace
 * - `reused`: a token of this session's past: a thief's, or the owner's whose token a thief has rotated
 * - `unknown`: not a token of this session
 */
export type TokenStatus = 'current' | 'successor' | 'previous' | 'reused' | 'unknown'

/** How a token stands to a session at `now`. Once `reused`, it is so for ever. */
export function tokenStatusOf(
  stored: { readonly tokenHash: string; readonly rotation: Rotation | null },
  proof: PresentedToken,
  now: number,
): TokenStatus {
  const { rotation } = stored
  if (isProofOf(stored.tokenHash, proof)) return rotation?.pending ? 'successor' : 'current'
  if (!rotation) return 'unknown'
  const { pending, familyHash } = rotation
  const isInGrace = pending !== null && now < pending.rotatedAt + graceMs
  if (isInGrace && sameHash(pending.previousHash, proof.tokenHash)) return 'previous'
  return sameHash(familyHash, familyHashOf(proof.token)) ? 'reused' : 'unknown'
}

/** Of a token that was proved, the hash is known to have been right, and nobody learns from the time. */
function isProofOf(stored: string, { tokenHash, isVerified }: PresentedToken): boolean {
  return isVerified ? stored === tokenHash : sameHash(stored, tokenHash)
}
