// An app in TypeScript. The expected errors exist only while the types are more than `any`.
import { type ClientState, createClient, HufuError, memoryStorage, type SignInInput } from '@hufu/sdk'

const client = createClient({ baseUrl: 'https://hufu.test', storage: memoryStorage() })
const input: SignInInput = { phoneNumber: '1', password: 'x' }

export async function nickname(): Promise<string | null> {
  const { account } = await client.signIn(input)
  // @ts-expect-error: it is a string
  const wrong: number = account.phoneNumber
  return account.nickname ?? String(wrong)
}

export function words(state: ClientState, error: unknown): string {
  // @ts-expect-error: there is no such state
  if (state.is === 'nowhere') return ''
  if (state.is === 'signed_out') return state.message ?? state.reason ?? ''
  return error instanceof HufuError ? error.code : ''
}

// @ts-expect-error: a password or a code is required
client.signIn({ phoneNumber: '1' }).catch(() => {})
