// An invented sign-in method, in the form of a real method's file, for made-up-method.test.ts.
import { lockAccountByPhoneNumber } from '../../src/accounts/account-rows.ts'
import type { SignInMethod } from '../../src/authentication/methods/method.ts'
import { AppError } from '../../src/errors.ts'
import type { Check } from '../../src/limits/limits.ts'
import { parsePhoneNumber } from '../../src/phone/phone.ts'
import { admitUnchanged } from '../../src/sessions/sessions.ts'

export interface RiddleCredential {
  readonly phoneNumber: string
  readonly riddle: string
}

export const riddleCheck: Check = { action: 'check_riddle', perDay: { caller: 3, number: 3 } }

export const riddleMethod: SignInMethod<RiddleCredential> = {
  name: 'riddle',
  check: riddleCheck,
  numberOf: ({ phoneNumber }) => parsePhoneNumber(phoneNumber, 'CN'),
  assertRoom: () => {},
  async verify({ phoneNumber, credential, guess }) {
    await guess.count(true)
    guess.isWrong = credential.riddle !== 'an egg'
    if (guess.isWrong) throw new AppError('credentials_wrong')
    return {
      fingerprint: null,
      admit: async (tx) => {
        const account = await lockAccountByPhoneNumber(tx, phoneNumber)
        return account && admitUnchanged(account)
      },
    }
  },
}
