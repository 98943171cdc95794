// Everything that can go wrong, as one closed table of codes; http/problem.ts says each in public.

export const errorCodes = [
  'invalid_json',
  'invalid_request',
  'bad_request',
  'unsupported_media_type',
  'body_too_large',
  'not_found',
  'method_not_allowed',
  'token_missing',
  'token_in_url',
  'credentials_conflict',
  'token_unknown',
  'session_signed_out',
  'session_replaced',
  'session_kicked',
  'session_banned',
  'session_password_changed',
  'session_phone_changed',
  'session_account_closed',
  'session_phone_verified',
  'session_expired',
  'session_token_reused',
  'session_not_found',
  'session_limit_reached',
  'credentials_wrong',
  'code_wrong',
  'code_not_sent',
  'rate_limited',
  'sign_up_closed',
  'phone_number_invalid',
  'phone_number_not_mobile',
  'country_not_served',
  'phone_number_taken',
  'phone_number_missing',
  'password_refused',
  'account_not_found',
  'account_banned',
  'overloaded',
  'unavailable',
  'internal',
] as const

export type ErrorCode = (typeof errorCodes)[number]

/** What is wrong with a field of a request. A client is told `pointer`, `problem` and `allowed`; the rest becomes words. */
export interface FieldFault {
  /** RFC 6901, into the body. */
  readonly pointer: string
  readonly problem: string
  /** The values of an enumeration. */
  readonly allowed?: readonly string[]
  /** The least or the most characters. */
  readonly limit?: number
  /** Of JSON Schema. */
  readonly type?: string
  /** Name of the pattern that it must match. */
  readonly form?: string
  /** Of a field that is not known: the one that was probably meant. */
  readonly meant?: string
  /** Of a field that is missing: the unknown one that was probably meant to be it. */
  readonly sent?: string
  /** The field that may stand in its place: one of the two, not both. */
  readonly other?: string
}

/** What is known about an error besides its code. Only what http/problem.ts names is ever told to a client. */
export interface ErrorFacts {
  readonly fields?: readonly FieldFault[]
  readonly retryAfterSeconds?: number
  readonly allow?: readonly string[]
  /** For `credentials_wrong`: which half was wrong. Only the classic API may tell. */
  readonly wrong?: 'phone_number' | 'password'
  /** For `password_refused`: which rule it breaks. */
  readonly rule?: 'too_short' | 'too_long' | 'is_phone_number' | 'is_common'
  /** For a phone number that is refused. */
  readonly phone?: {
    readonly problem:
      | 'has_wrong_form'
      | 'has_no_country_code'
      | 'is_not_possible'
      | 'is_not_mobile'
      | 'is_not_served'
    /** ISO 3166-1: whose national spelling is understood. */
    readonly region: string
    /** For `country_not_served`: the regions that get codes. */
    readonly served?: readonly string[]
  }
  /** For codes of ended sessions: when it ended, in milliseconds since 1970 UTC, and by which device. */
  readonly endedAt?: number
  readonly endedBy?: { readonly platform: string; readonly deviceName: string | null } | null
  /** For `account_banned`: until when, in milliseconds since 1970 UTC; null is for ever. */
  readonly bannedUntil?: number | null
}

/** A refusal with a code of the table. Anything else that is thrown is `internal`. */
export class AppError extends Error {
  readonly code: ErrorCode
  readonly facts: ErrorFacts

  constructor(code: ErrorCode, facts: ErrorFacts = {}, options: { cause?: unknown } = {}) {
    super(code, options)
    this.name = 'AppError'
    this.code = code
    this.facts = facts
  }
}

/** Whether a password or a code that somebody gave was wrong. */
export function isWrongProof(error: unknown): error is AppError {
  return error instanceof AppError && (error.code === 'credentials_wrong' || error.code === 'code_wrong')
}
