// A token that was verified recently, with its cache entry: SHA-256 and a cache lookup for each request
// would cost more than the rest of a check.

import type { CacheEntry } from '../session-cache/session-cache.ts'
import type { BearerLive } from './session.ts'
import type { TokenFacts } from './token-status.ts'

/** A verified token, and what belongs to it as long as its cache entry is valid. */
export interface VerifiedToken extends TokenFacts {
  /** The cache entry that was found, if any, and the live session. */
  readonly entry: CacheEntry
  readonly live: BearerLive
  /**
   * Whole seconds since 1970: until then only a change can end the session, and its use need not be noted.
   * (V8 keeps a small whole number in the object itself.)
   */
  recheckAt: number
  /**
   * The answer that a route made from `live`, kept for the next request, and the route that made it: an app
   * calls mostly one of them.
   */
  answer: string
  answeredBy: unknown
}

/** A token that was verified just now. It may be used as long as `entry` is valid. */
export function newVerifiedToken(
  { id, tokenHash }: TokenFacts,
  entry: CacheEntry,
  live: BearerLive,
): VerifiedToken {
  return { id, tokenHash, entry, live, recheckAt: 0, answer: '', answeredBy: null }
}
