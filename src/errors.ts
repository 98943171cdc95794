// Every error that the program can answer with, as one closed table of codes; http/problem.ts has their
// public texts.

export const errorCodes = [
  'invalid_json',
  'invalid_request',
  'bad_request',
  'unsupported_media_type',
  'form_expected',
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
  'key_missing',
  'key_unknown',
  'key_revoked',
  'key_expired',
  'key_network_refused',
  'key_scope_missing',
  'key_expected',
  'gateway_key_refused',
  'token_expected',
  'key_not_found',
  'key_rotating',
  'key_limit_reached',
  'key_rights_exceeded',
  'overloaded',
  'unavailable',
  'internal',
] as const

export type ErrorCode = (typeof errorCodes)[number]

/**
 * A fault in a field of a request. The response contains `pointer`, `problem` and `allowed`; the other
 * members are for its text.
 */
export interface FieldFault {
  /** A JSON pointer into the body (RFC 6901). */
  readonly pointer: string
  readonly problem: string
  /** The allowed values of an enumeration. */
  readonly allowed?: readonly string[]
  /** The smallest or the largest number of characters. */
  readonly limit?: number
  /** The expected type, as in JSON Schema. */
  readonly type?: string
  /** The name of the pattern that it must match. */
  readonly form?: string
  /** For an unknown field: the known one that was probably meant. */
  readonly meant?: string
  /** For a missing field: the unknown one in the request that probably means it. */
  readonly sent?: string
  /** The alternative field: exactly one of the two may be sent. */
  readonly other?: string
}

/** The facts of an error besides its code. A client sees only those that http/problem.ts names. */
export interface ErrorFacts {
  readonly fields?: readonly FieldFault[]
  readonly retryAfterSeconds?: number
  readonly allow?: readonly string[]
  /** For `credentials_wrong`: which part was wrong. Only the classic API may reveal it. */
  readonly wrong?: 'phone_number' | 'password'
  /** For `password_refused`: the rule that the password breaks. */
  readonly rule?: 'too_short' | 'too_long' | 'is_phone_number' | 'is_common'
  /** For a phone number that is refused. */
  readonly phone?: {
    readonly problem:
      | 'has_wrong_form'
      | 'has_no_country_code'
      | 'is_not_possible'
      | 'is_not_mobile'
      | 'is_not_served'
    /** The region whose national spelling is accepted (ISO 3166-1). */
    readonly region: string
    /** The region of a number with a country code that is as long as other numbers there, not mobile ones. */
    readonly lengthOf?: string
    /** For `country_not_served`: the regions that get codes. */
    readonly served?: readonly string[]
  }
  /** For codes of ended sessions: the end in milliseconds since 1970 UTC, and the device that ended it. */
  readonly endedAt?: number
  readonly endedBy?: { readonly platform: string; readonly deviceName: string | null } | null
  /** For `account_banned`: the end of the ban in milliseconds since 1970 UTC; null where it has none. */
  readonly bannedUntil?: number | null
  /** For `gateway_key_refused`: what is wrong with the key of the proxy. */
  readonly refusedKey?: ErrorCode
}

/** The fact that an error of the code must have. */
interface NeededFacts {
  invalid_request: 'fields'
  method_not_allowed: 'allow'
  rate_limited: 'retryAfterSeconds'
  password_refused: 'rule'
  phone_number_not_mobile: 'phone'
  country_not_served: 'phone'
  account_banned: 'bannedUntil'
  gateway_key_refused: 'refusedKey'
}

interface ErrorOptions {
  readonly cause?: unknown
}

type FactsOf<Code extends keyof NeededFacts> = ErrorFacts & Required<Pick<ErrorFacts, NeededFacts[Code]>>

/** The arguments after the code. A code that is known only at run time requires no fact. */
type About<Code extends ErrorCode> = Code extends keyof NeededFacts
  ? [facts: FactsOf<Code>, options?: ErrorOptions]
  : [facts?: ErrorFacts, options?: ErrorOptions]

/** A refusal with a code of the table. Every other error is `internal`. */
export class AppError<Code extends ErrorCode = ErrorCode> extends Error {
  readonly code: Code
  readonly facts: ErrorFacts

  constructor(code: Code, ...[facts = {}, options = {}]: About<Code>) {
    super(code, options)
    this.name = 'AppError'
    this.code = code
    this.facts = facts
  }
}

/** Whether the error says that a password or a code was wrong. */
export function isWrongCredential(error: unknown): error is AppError {
  return error instanceof AppError && (error.code === 'credentials_wrong' || error.code === 'code_wrong')
}
