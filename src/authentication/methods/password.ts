// Sign-in by number and password.
import {
  findAccountByPhoneNumber,
  lockAccountByPhoneNumber,
  replacePasswordHash,
} from '../../accounts/account-rows.ts'
import type { Clock } from '../../clock.ts'
import type { Database } from '../../database/schema.ts'
import type { Check } from '../../limits/limits.ts'
import type { Passwords } from '../../passwords/password.ts'
import { parsePhoneNumber, type Region } from '../../phone/phone.ts'
import type { AccountWriter } from '../../sessions/account-writer.ts'
import { admitUnchanged } from '../../sessions/sessions.ts'
import { comparePassword, noteWrong } from '../failed-attempts.ts'
import type { SignInRepeats } from '../repeats.ts'
import type { Attempt, SignInMethod, Verified } from './method.ts'

export interface PasswordCredential {
  readonly phoneNumber: string
  readonly password: string
}

export const passwordCheck: Check = {
  action: 'check_password',
  perDay: { caller: 15, number: 15 },
  hasOwnQueue: true,
}

export interface PasswordMethodOptions {
  readonly db: Database
  readonly clock: Clock
  readonly writer: AccountWriter
  readonly passwords: Passwords
  readonly repeats: SignInRepeats
  readonly region: Region
}

export class PasswordMethod implements SignInMethod<PasswordCredential> {
  readonly name = 'password'
  readonly check = passwordCheck
  readonly #options: PasswordMethodOptions

  constructor(options: PasswordMethodOptions) {
    this.#options = options
  }

  numberOf({ phoneNumber }: PasswordCredential): string {
    return parsePhoneNumber(phoneNumber, this.#options.region)
  }

  assertRoom(): void {
    this.#options.passwords.assertRoom()
  }

  async verify(attempt: Attempt<PasswordCredential>): Promise<Verified> {
    const { phoneNumber, accountId, credential, context, guess } = attempt
    const { db, clock, writer, passwords, repeats } = this.#options
    const { password } = credential
    const known = await findAccountByPhoneNumber(db, phoneNumber)
    const refusal = { kind: 'sign_in_failed', accountId, phoneNumber } as const
    const stored = await comparePassword(passwords, { account: known, password, guess }).catch(
      noteWrong(writer, { ...refusal, detail: { method: this.name }, origin: context.origin }),
    )
    const rehashed = passwords.needsRehash(stored) ? await passwords.hash(password) : null
    const fingerprint = repeats.fingerprintOf(context, { phoneNumber, method: this.name, code: null })
    return {
      fingerprint,
      admit: async (tx) => {
        const account = await lockAccountByPhoneNumber(tx, phoneNumber)
        if (account?.passwordHash !== stored) return null
        // No change of the account that the writer has to announce: no cache entry holds the hash.
        if (rehashed)
          await replacePasswordHash(tx, { id: account.id, from: stored, to: rehashed, now: clock.now() })
        const repeat = await repeats.admit(tx, account, fingerprint)
        if (repeat) return repeat
        await repeats.assertUnused(tx, account, fingerprint)
        return admitUnchanged(account)
      },
    }
  }
}
