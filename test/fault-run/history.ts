// The operations of a client and their results: the only source of the checker besides the stores themselves.

/**
 * - `sign_in`: a new token for an account; ends the one before it
 * - `sign_out`: ends the token
 * - `check`: is the token good?
 * - `write`: signs all other devices out on behalf of the token, with a body that comes late; here there are
 *   no others
 * - `guess`: a wrong password; each caller guesses at one number of its own, which is its account here
 */
export type Kind = 'sign_in' | 'sign_out' | 'check' | 'write' | 'guess'

/**
 * - `done`: signed in, signed out, the token is good, or the guess was compared
 * - `refused`: 401, or 422 for an idempotency key whose token was used: the server says no; of a guess, 429
 * - `unavailable`: 503 with Retry-After
 * - `unknown`: no answer, or the line broke: it may have happened or not
 * - `wrong`: an answer that no client should ever see
 */
export type Outcome = 'done' | 'refused' | 'unavailable' | 'unknown' | 'wrong'

export interface Operation {
  readonly kind: Kind
  readonly account: string
  /** Of a sign-in: the one that it gave, or null. */
  readonly token: string | null
  /** A sign-in by a code says which: two of them must never succeed, unless they have one key. */
  readonly code?: string
  /** Of a sign-in that may be repeated. */
  readonly key?: string
  readonly server: string
  /** Milliseconds on one monotonic clock. */
  readonly start: number
  /** Of a `write`: when the rest of its body was sent. */
  readonly sentAt?: number
  readonly end: number
  readonly outcome: Outcome
  /** For people: status and problem code, or what broke. */
  readonly answer: string
  /** Of the answer, as the server's log has it; null: there was none. */
  readonly requestId?: string | null
}

/** From when to when something was broken. */
export interface Trouble {
  readonly name: string
  /** Nothing was broken between servers and stores: the strict bounds held. */
  readonly isCalm: boolean
  /** It certainly makes requests fail. */
  readonly isFelt: boolean
  /** The clocks of two servers were apart. */
  readonly movesClock?: boolean
  readonly start: number
  /** When it had been healed. */
  readonly healedAt: number
  /** When all was well again, and what had been under way was over. */
  readonly end: number
}

export interface History {
  /** The names of the servers. */
  readonly servers: readonly string[]
  readonly operations: readonly Operation[]
  readonly troubles: readonly Trouble[]
}
