// The interface of a sign-in method. docs/architecture.md lists what a new one touches.
import type { Database } from '../../database/schema.ts'
import type { RequestOrigin } from '../../events/events.ts'
import type { Guess } from '../../limits/guess.ts'
import type { Check } from '../../limits/limits.ts'
import type { Admission, Device } from '../../sessions/sessions.ts'

/** The device and the address that a person signs in from. */
export interface SignInContext {
  readonly device: Device
  readonly origin: RequestOrigin
  /**
   * The device proof as the client sent it; null: it sent none. Absent: this client keeps no proofs, and gets
   * none.
   */
  readonly deviceProof?: string | null
  /**
   * Chosen by the client before its first try (repeats.ts); absent or null: the sign-in cannot be repeated.
   */
  readonly idempotencyKey?: string | null
}

/** One counted try. */
export interface Attempt<Credential> {
  /** E.164. */
  readonly phoneNumber: string
  /**
   * The account that had the number when the request began, null where none had: a failure belongs to it,
   * although the number may be free, or another account's, when it is recorded.
   */
  readonly accountId: string | null
  readonly credential: Credential
  readonly context: SignInContext
  readonly guess: Guess
}

/** A credential that was right. */
export interface Verified {
  /** Identifies this sign-in in a repeat; null: it cannot be repeated. */
  readonly fingerprint: string | null
  /**
   * Runs first in the transaction: locks the account's row or inserts it, checks that the verified facts
   * still hold, and uses up a one-time credential.
   * @returns null where the verified facts have changed since: the sign-in is verified again
   * @throws AppError where the sign-in is refused
   */
  readonly admit: (tx: Database) => Promise<Admission | null>
}

export interface SignInMethod<Credential> {
  /** The method's name in events. */
  readonly name: string
  /** What a client can guess, with the limits of that. */
  readonly check: Check
  /**
   * The E.164 number of the account that a credential is for.
   * @throws AppError `phone_number_invalid`
   */
  numberOf(credential: Credential): string
  /**
   * Costs nothing, and runs before anything is counted.
   * @throws AppError `overloaded` where there is no room for a try
   */
  assertRoom(): void
  /**
   * Verifies a credential, outside of any transaction. A number without an account costs the same work.
   * @throws AppError `credentials_wrong`, `code_wrong`: these stay counted; a try that throws another error
   * does not
   */
  verify(attempt: Attempt<Credential>): Promise<Verified>
}
