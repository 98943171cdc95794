// The errors of the client's calls: one class, and a closed list of codes.
import type { components } from './api-types.ts'
import type { SignedOut } from './models.ts'

/** The codes of the server; its docs/errors.md explains each. */
export type ServerErrorCode = components['schemas']['Problem']['code']

/**
 * The reason of a failed call: the server's code, or
 * - `network`: no complete response arrived; the server may have executed the request
 * - `timeout`: no complete response arrived in time; the server may have executed the request
 * - `not_hufu`: the response is not from a Hufu server: a Wi-Fi sign-in page, a proxy, a wrong `baseUrl`
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
  readonly detail?: string | null
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
 * Every error of a call, except those of your own storage. `message` is one sentence for people, in the
 * client's language; programs look at `code`. It never holds a token or a password.
 */
export class HufuError extends Error {
  override readonly name = 'HufuError'
  readonly code: HufuErrorCode
  /**
   * More for people, in the language of `message`: what happened, or what to do, for example which countries
   * get codes; with `not_hufu` and status 401, that a proxy has replaced the answer. Null where there is no
   * more to say.
   */
  readonly detail: string | null
  /** HTTP status of the response; null where there was none to read. */
  readonly status: number | null
  /** Seconds to wait before the next attempt; null where the response has none. */
  readonly retryAfterSeconds: number | null
  /** Finds the request in the server's log; null where the response has none. */
  readonly requestId: string | null
  /** For `invalid_request`: the invalid fields. Empty for every other code. */
  readonly fields: readonly FieldProblem[]
  /**
   * For `password_refused`: the rule that the password breaks, for example `too_short`. Null for every other
   * code.
   */
  readonly rule: string | null
  /**
   * For `account_banned`: end of the ban, ISO 8601 UTC, or null for a ban without end. Null for every other
   * code.
   */
  readonly bannedUntil: string | null
  /** The reason, time and device of the session's end, where the response reports one; else null. */
  readonly signedOut: SignedOut | null

  constructor(facts: HufuErrorFacts) {
    super(facts.message)
    this.code = facts.code
    this.detail = facts.detail ?? null
    this.status = facts.status ?? null
    this.retryAfterSeconds = facts.retryAfterSeconds ?? null
    this.requestId = facts.requestId ?? null
    this.fields = facts.fields ?? []
    this.rule = facts.rule ?? null
    this.bannedUntil = facts.bannedUntil ?? null
    this.signedOut = facts.signedOut ?? null
    // As `new Error(message, { cause })` does on platforms that support it.
    if (facts.cause !== undefined) Object.defineProperty(this, 'cause', { value: facts.cause })
  }
}
