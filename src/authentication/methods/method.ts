// What a sign-in method is. docs/architecture.md lists what a new one touches.
import type { AccountsTable, Database } from '../../db/schema.ts'
import type { RequestOrigin } from '../../events/events.ts'
import type { Guess } from '../../limits/limiter.ts'
import type { Check } from '../../limits/limits.ts'
import type { Admission, Device, IssueRequest } from '../../sessions/sessions.ts'

/** From where a person signs in. */
export interface SignInContext {
  readonly device: Device
  readonly origin: RequestOrigin
  /** The device proof as the client sent it; null: it sent none. Absent: it keeps no proofs and is given none. */
  readonly deviceProof?: string | null
  /** Chosen by the client before its first try (sign-in-repeats.ts); absent or null: the sign-in cannot be repeated. */
  readonly idempotencyKey?: string | null
}

/** One counted try. */
export interface Attempt<Credential> {
  /** E.164. */
  readonly phoneNumber: string
  readonly credential: Credential
  readonly context: SignInContext
  readonly guess: Guess
}

/** A credential that was right. */
export interface Verified {
  /** What a repeat of this sign-in is recognised by; null: it cannot be repeated. */
  readonly fingerprint: string | null
  /**
   * Runs first in the transaction: locks the account's row, or inserts it, checks what must still be so, and uses up what is good
   * once.
   * @returns null where what was verified has changed since: it is verified again
   * @throws AppError where the sign-in is refused
   */
  readonly admit: (tx: Database) => Promise<Admission | null>
}

export interface SignInMethod<Credential> {
  /** As events name it. */
  readonly name: IssueRequest['method']
  /** Which counters count a try. */
  readonly limit: Check
  /**
   * The E.164 number that a credential is about.
   * @throws AppError `phone_number_invalid`
   */
  numberOf(credential: Credential): string
  /**
   * Costs nothing, and is asked before anything is counted.
   * @throws AppError `overloaded` where a try would have no room
   */
  assertRoom(): void
  /**
   * Compares a credential, outside of any transaction. A number without an account costs the same work.
   * @throws AppError `credentials_wrong`, `code_wrong`: these stay counted; whatever else is thrown does not
   */
  verify(attempt: Attempt<Credential>): Promise<Verified>
}

/** Admits an account that exists and stays as it is. */
export function known(account: AccountsTable): Admission {
  return { account, isNew: false, endOthers: null, events: [] }
}
