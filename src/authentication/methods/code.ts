// Sign-in by number and one-time code. A number without an account gets one.
import { insertAccount, lockAccountByPhoneNumber } from '../../accounts/account-rows.ts'
import { isBarredNumber } from '../../accounts/barred-number-rows.ts'
import type { BarredNumbers } from '../../accounts/barred-numbers.ts'
import type { Clock } from '../../clock.ts'
import { type Codes, digitsOf, type RightCode } from '../../codes/codes.ts'
import type { Database } from '../../database/schema.ts'
import { AppError, isWrongCredential } from '../../errors.ts'
import type { Check } from '../../limits/limits.ts'
import { parsePhoneNumber, type Region } from '../../phone/phone.ts'
import { newAccount, type StoredAccount } from '../../sessions/account.ts'
import type { AccountWriter } from '../../sessions/account-writer.ts'
import { type Admission, admitUnchanged } from '../../sessions/sessions.ts'
import { noteWrong } from '../failed-attempts.ts'
import { firstVerification } from '../phone-verification.ts'
import type { SignInRepeats } from '../repeats.ts'
import type { Attempt, SignInMethod, Verified } from './method.ts'

export interface CodeCredential {
  readonly phoneNumber: string
  readonly code: string
  /** The nickname of an account that this sign-in creates. */
  readonly nickname: string | null
}

/**
 * Typing errors increase with the number of messages, and so does the installation's limit of wrong codes.
 */
const wrongPerMessage = 1 / 5
const wrongAtLeast = 2_000

export const codeCheck: Check = {
  action: 'check_code',
  perDay: { caller: 10, number: 10 },
  perDayOfServer: (smsDailyBudget) => Math.max(wrongAtLeast, Math.floor(smsDailyBudget * wrongPerMessage)),
}

export interface CodeMethodOptions {
  readonly db: Database
  readonly clock: Clock
  readonly writer: AccountWriter
  readonly codes: Codes
  readonly barredNumbers: BarredNumbers
  readonly repeats: SignInRepeats
  readonly region: Region
  /** Whether a number without an account gets one. */
  readonly signUp: 'open' | 'closed'
}

/** A sign-in with a right code, or with a code that the sign-in it repeats has used. */
interface RightSignIn {
  readonly phoneNumber: string
  readonly nickname: string | null
  readonly fingerprint: string | null
  /** From barred-numbers.ts. */
  readonly numberHash: string
  /** null: the code is used up. */
  readonly right: RightCode | null
}

export class CodeMethod implements SignInMethod<CodeCredential> {
  readonly name = 'code'
  readonly check = codeCheck
  readonly #options: CodeMethodOptions

  constructor(options: CodeMethodOptions) {
    this.#options = options
  }

  numberOf({ phoneNumber }: CodeCredential): string {
    return parsePhoneNumber(phoneNumber, this.#options.region)
  }

  assertRoom(): void {}

  /**
   * With an idempotency key, a used code is accepted from the repeat of the sign-in that used it, and from no
   * other request.
   */
  async verify(attempt: Attempt<CodeCredential>): Promise<Verified> {
    const { phoneNumber, accountId, credential, context, guess } = attempt
    const { db, writer, codes, repeats, barredNumbers } = this.#options
    const { code, nickname } = credential
    const keyed = { phoneNumber, method: this.name, code: digitsOf(code) } as const
    const fingerprint = repeats.fingerprintOf(context, keyed)
    const refusal = { kind: 'sign_in_failed', accountId, phoneNumber } as const
    const right = await codes
      .check({ phoneNumber, purpose: 'sign_in' }, code, guess, fingerprint)
      .catch(async (error: unknown) => {
        // A repeat is no sign of a theft and is not recorded as a failure: the response of the first try was
        // lost.
        if (isWrongCredential(error) && (await repeats.find(db, phoneNumber, fingerprint))) {
          guess.isWrong = false
          return null
        }
        const { origin } = context
        return await noteWrong(writer, { ...refusal, detail: { method: this.name }, origin })(error)
      })
    const numberHash = await barredNumbers.hashOf(phoneNumber)
    const signIn = { phoneNumber, nickname, fingerprint, numberHash, right }
    return { fingerprint, admit: (tx) => this.#admit(tx, signIn) }
  }

  async #admit(tx: Database, signIn: RightSignIn): Promise<Admission> {
    const { phoneNumber, fingerprint, right } = signIn
    const account = await lockAccountByPhoneNumber(tx, phoneNumber)
    const repeat = account && (await this.#options.repeats.admit(tx, account, fingerprint))
    if (repeat) return repeat
    if (!account && this.#options.signUp === 'closed') throw new AppError('sign_up_closed')
    if (!right || !(await right.use(tx))) {
      const first = account ? null : await this.#admitAfterSignUp(tx, signIn)
      if (!first) throw new AppError('code_wrong')
      return first
    }
    const now = this.#options.clock.now()
    if (!account) return await this.#signUp(tx, signIn, now)
    if (account.phoneVerifiedAt !== null) return admitUnchanged(account)
    const { set, event } = firstVerification(account, now)
    return { account, set, events: [event], isNew: false, endOthers: 'phone_verified' }
  }

  async #signUp(
    tx: Database,
    { phoneNumber, nickname, numberHash }: RightSignIn,
    now: number,
  ): Promise<Admission> {
    if (await isBarredNumber(tx, numberHash)) throw new AppError('account_banned', { bannedUntil: null })
    const account: StoredAccount = { ...newAccount(phoneNumber, now), nickname, phoneVerifiedAt: now }
    await insertAccount(tx, account)
    const created = { kind: 'account_created', accountId: account.id, phoneNumber } as const
    return { account, isNew: true, endOthers: null, events: [created] }
  }

  /**
   * Another try of the same sign-in may have created the account, and used the code, after this one looked
   * for it.
   */
  async #admitAfterSignUp(
    tx: Database,
    { phoneNumber, fingerprint }: RightSignIn,
  ): Promise<Admission | null> {
    const account = fingerprint === null ? null : await lockAccountByPhoneNumber(tx, phoneNumber)
    return account && (await this.#options.repeats.admit(tx, account, fingerprint))
  }
}
