// Repeats of a sign-in whose response was lost: which earlier sign-in a request repeats, and its admission to
// the session of that sign-in.
import { findAccountByPhoneNumber } from '../accounts/account-rows.ts'
import type { Clock } from '../clock.ts'
import type { Database } from '../database/schema.ts'
import { AppError } from '../errors.ts'
import type { StoredAccount } from '../sessions/account.ts'
import { type Admission, admitUnchanged } from '../sessions/sessions.ts'
import { findRepeatable, hasSignedIn, type Repeatable } from '../sessions/sign-in-repeat-rows.ts'
import {
  fingerprintOf,
  type KeyedSignIn,
  keyRememberedMs,
  repeatableMs,
} from '../sessions/sign-in-repeats.ts'
import type { SignInContext } from './methods/method.ts'

export class SignInRepeats {
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Identifies a sign-in when it is repeated; null: the client sent no key. */
  fingerprintOf(
    { idempotencyKey: key = null, device }: SignInContext,
    verified: Pick<KeyedSignIn, 'phoneNumber' | 'method' | 'code'>,
  ): string | null {
    return key === null ? null : fingerprintOf({ key, device, ...verified })
  }

  /**
   * The session that the same sign-in of a number created; null where there is none that a request can
   * repeat. The work is the same whether or not the number has an account.
   */
  async find(db: Database, phoneNumber: string, fingerprint: string | null): Promise<Repeatable | null> {
    if (fingerprint === null) return null
    const account = await findAccountByPhoneNumber(db, phoneNumber)
    return await this.#findOf(db, account?.id ?? '', fingerprint)
  }

  async #findOf(db: Database, accountId: string, fingerprint: string): Promise<Repeatable | null> {
    const since = this.#clock.now() - repeatableMs
    return await findRepeatable(db, accountId, { fingerprint, since })
  }

  /**
   * Admits a repeat, under the account's lock, to the session that the first try created; null where there is
   * none.
   */
  async admit(tx: Database, account: StoredAccount, fingerprint: string | null): Promise<Admission | null> {
    const repeats = fingerprint === null ? null : await this.#findOf(tx, account.id, fingerprint)
    return repeats && { ...admitUnchanged(account), repeats }
  }

  /**
   * Refuses, under the account's lock, a sign-in whose key has created a session already. The client has its
   * token, or has chosen another key since: a request of it that arrives late must not replace that session.
   * @throws AppError `invalid_request`
   */
  async assertUnused(tx: Database, { id }: StoredAccount, fingerprint: string | null): Promise<void> {
    if (fingerprint === null) return
    const since = this.#clock.now() - keyRememberedMs
    if (!(await hasSignedIn(tx, id, { fingerprint, since }))) return
    throw new AppError('invalid_request', { fields: [{ pointer: '/idempotency-key', problem: 'is_used' }] })
  }
}
