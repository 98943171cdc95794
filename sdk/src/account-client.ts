// The account calls: codes, profile, password, phone number, closing, export.
import type { components } from './api-types.ts'
import { assertFields } from './arguments.ts'
import type { AuthenticatedRequests, Question } from './authenticated-requests.ts'
import type { AccountCalls } from './contract.ts'
import { countdown } from './countdown.ts'
import type { Account } from './models.ts'
import { send } from './send.ts'
import { update } from './stored-state.ts'
import { accountChanges, accountOf, closingOf, exportOf, newDevice, nothingOf, sentCodeOf } from './wire.ts'

type Wire = components['schemas']

/** @param check asks the server whether the session is still live */
export function accountCalls(requests: AuthenticatedRequests, check: () => Promise<unknown>): AccountCalls {
  const { connection, store } = requests

  /** Requests the account, and stores it. */
  async function askAccount(question: Omit<Question<Account>, 'read'>): Promise<Account> {
    const { answer: account, token } = await requests.ask({ ...question, read: accountOf })
    // The response is valid, whether or not it can be stored.
    await store.change(update(token, { account })).catch(connection.onBackgroundError)
    return account
  }

  return {
    ...callsWithoutSession(requests),

    account: () => askAccount({ method: 'GET', path: '/v1/account' }),

    async updateAccount(changes) {
      const field = 'text, null or nothing'
      assertFields('updateAccount', changes, { nickname: field, avatarUrl: field, locale: field })
      return await askAccount({ method: 'POST', path: '/v1/account/update', body: accountChanges(changes) })
    },

    async setPassword(input) {
      const proofs = { code: 'text or nothing', currentPassword: 'text or nothing' } as const
      assertFields('setPassword', input, { newPassword: 'text', ...proofs })
      const { newPassword, code, currentPassword } = input
      const proof = code === undefined ? { current_password: currentPassword } : { code }
      const body: Wire['NewPassword'] = { new_password: newPassword, ...proof }
      const question = { method: 'POST', path: '/v1/account/password', body, read: nothingOf } as const
      const { token } = await requests.ask(question)
      await store
        .change(update(token, { account: { hasPassword: true } }))
        .catch(connection.onBackgroundError)
    },

    async changePhone(input) {
      assertFields('changePhone', input, { phoneNumber: 'text', code: 'text' })
      const { phoneNumber, code, confirmation } = input
      const proofs = { code: 'text or nothing', password: 'text or nothing' } as const
      assertFields('changePhone, confirmation', confirmation, proofs)
      const body: Wire['NewPhone'] = { phone_number: phoneNumber, code, confirmation }
      return await askAccount({ method: 'POST', path: '/v1/account/phone', body })
    },

    async closeAccount(input) {
      assertFields('closeAccount', input, { code: 'text' })
      const body: Wire['Closing'] = { code: input.code }
      const question = { method: 'POST', path: '/v1/account/close', body, read: closingOf } as const
      const { answer } = await requests.ask(question)
      // The server decides whether this session ends with the closing.
      await check().catch(() => {})
      return answer
    },

    async exportAccount() {
      const { answer } = await requests.ask({ method: 'GET', path: '/v1/account/export', read: exportOf })
      return answer
    },
  }
}

function callsWithoutSession({
  connection,
  proofs,
}: AuthenticatedRequests): Pick<AccountCalls, 'sendCode' | 'resetPassword'> {
  return {
    async sendCode(input) {
      assertFields('sendCode', input, { phoneNumber: 'text', purpose: 'text' })
      const { phoneNumber, purpose, device } = input
      const body: Wire['NewCode'] = {
        phone_number: phoneNumber,
        purpose,
        ...(device && { device: newDevice(device) }),
        ...(await proofs.find(phoneNumber)),
      }
      const call = { method: 'POST', path: '/v1/codes', body, token: null, read: sentCodeOf } as const
      const { resendIn, expiresIn } = await send(connection, call)
      const { clock } = connection
      return { resendIn: countdown(resendIn, clock), expiresIn: countdown(expiresIn, clock) }
    },

    async resetPassword(input) {
      assertFields('resetPassword', input, { phoneNumber: 'text', code: 'text', newPassword: 'text' })
      const { phoneNumber, code, newPassword } = input
      const body: Wire['PasswordReset'] = {
        phone_number: phoneNumber,
        code,
        new_password: newPassword,
        ...(await proofs.find(phoneNumber)),
      }
      const call = {
        method: 'POST',
        path: '/v1/password-resets',
        body,
        token: null,
        read: nothingOf,
      } as const
      await send(connection, call)
    },
  }
}
