// The operations of a client and their results, from which the checker works.
import type { Loss } from './losses.ts'

/**
 * - `sign_in`: a new token for an account; ends the previous one
 * - `sign_out`: ends the token
 * - `check`: whether the token is valid
 * - `write`: ends all other sessions on behalf of the token, with a delayed body; there are no other sessions
 *   here
 * - `guess`: a wrong password; each caller guesses at a number of its own, which is its account here
 */
export type Kind = 'sign_in' | 'sign_out' | 'check' | 'write' | 'guess'

/**
 * - `done`: signed in, signed out, the token is valid, or the guess was compared
 * - `refused`: 401, or 422 for an idempotency key whose token was used; for a guess, 429
 * - `unavailable`: 503 with Retry-After
 * - `unknown`: no response, or the connection broke: the operation may have happened or not
 * - `wrong`: a response that no client should ever get
 */
export type Outcome = 'done' | 'refused' | 'unavailable' | 'unknown' | 'wrong'

export interface Operation {
  readonly kind: Kind
  readonly account: string
  /** For a sign-in: the token that it returned, or null. */
  readonly token: string | null
  /**
   * The name of the code of a sign-in. Two sign-ins with one code must never succeed, unless they share a
   * key.
   */
  readonly code?: string
  /** The idempotency key of a sign-in that may be retried. */
  readonly key?: string
  readonly server: string
  /** In milliseconds on one monotonic clock, as are all times here. */
  readonly start: number
  /** For a `write`: when the rest of its body was sent. */
  readonly sentAt?: number
  readonly end: number
  readonly outcome: Outcome
  /** Status and problem code, or the error, for reports. */
  readonly answer: string
  /** The request id of the response, as in the server's log; null without a response. */
  readonly requestId?: string | null
}

/** The interval of a fault. */
export interface FaultInterval {
  readonly name: string
  /** Nothing between servers and stores was broken, so the strict bounds apply. */
  readonly hasStrictBounds: boolean
  /** The fault must make requests fail. */
  readonly mustFailRequests: boolean
  /** The clocks of two servers differed. */
  readonly movesClock?: boolean
  /** Within this time after the repair, sign-ins must succeed on each server. */
  readonly healsWithinMs?: number
  /** What the database lost. */
  readonly loss?: Loss
  readonly start: number
  /** When the fault was repaired. */
  readonly healedAt: number
  /** When all servers had recovered and the operations during the fault had ended. */
  readonly end: number
}

export interface History {
  /** The names of the servers. */
  readonly servers: readonly string[]
  readonly operations: readonly Operation[]
  readonly faultIntervals: readonly FaultInterval[]
}
