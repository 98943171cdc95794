// What a call of the client can fail with: one error class, and a closed list of codes.
import type { components } from './api-types.ts'
import type { SignedOut } from './models.ts'

/** What the server can refuse with; its docs/errors.md tells what each code means. */
export type ServerErrorCode = components['schemas']['Problem']['code']

/**
 * Why a call failed: what the server said, or
 * - `network`: no answer came, or it broke off; the server may have done what was asked
 * - `timeout`: no whole answer came in time; the server may have done what was asked
 * - `not_hufu`: something else than a Hufu server answered: a Wi-Fi sign-in page, a proxy, a wrong `baseUrl`
 *
 * A newer server may send a code that this version does not list, so give a `switch` a default.
 */
export type HufuErrorCode = ServerErrorCode | 'network' | 'timeout' | 'not_hufu'

/** A field of the request that the server refused. */
export interface FieldProblem {
  /** JSON pointer (RFC 6901) into the request as it was sent, for example `/phone_number`. */
  readonly pointer: string
  /** For programs, for example `is_missing`. */
  readonly problem: string
  /** The values that the field may have, where they are a short list. */
  readonly allowed?: readonly string[]
}

export interface HufuErrorFacts {
  readonly code: HufuErrorCode
  readonly message: string
  readonly status?: number | null
  readonly retryAfterSeconds?: number | null
  readonly requestId?: string | null
  readonly fields?: readonly FieldProblem[]
  readonly rule?: string | null
  readonly bannedUntil?: string | null
  readonly signedOut?: SignedOut | null
  readonly cause?: unknown
}

/**
 * Every failure of a call, except those of your own storage. `message` is one sentence for people, in the client's
 * language; programs look at `code`. It never holds a token or a password.
 */
export class HufuError extends Error {
  override readonly name = 'HufuError'
  readonly code: HufuErrorCode
  /** HTTP status of the answer; null where there was none to read. */
  readonly status: number | null
  /** Seconds to wait before the next try; null where the answer named none. */
  readonly retryAfterSeconds: number | null
  /** Finds the request in the server's log; null where the answer named none. */
  readonly requestId: string | null
  /** For `invalid_request`: what is wrong. Empty for every other code. */
  readonly fields: readonly FieldProblem[]
  /** For `password_refused`: which rule the password breaks, for example `too_short`. Null for every other code. */
  readonly rule: string | null
  /** For `account_banned`: end of the ban, ISO 8601 UTC, or null for a ban without end. Null for every other code. */
  readonly bannedUntil: string | null
  /** Why, when and by which device the session was ended, where the answer says that it was; else null. */
  readonly signedOut: SignedOut | null

  constructor(facts: HufuErrorFacts) {
    super(facts.message)
    this.code = facts.code
    this.status = facts.status ?? null
    this.retryAfterSeconds = facts.retryAfterSeconds ?? null
    this.requestId = facts.requestId ?? null
    this.fields = facts.fields ?? []
    this.rule = facts.rule ?? null
    this.bannedUntil = facts.bannedUntil ?? null
    this.signedOut = facts.signedOut ?? null
    // As `new Error(message, { cause })` does where the platform knows it.
    if (facts.cause !== undefined) Object.defineProperty(this, 'cause', { value: facts.cause })
  }
}
