// Misuse that TypeScript would refuse: a TypeError that names the method and the field.
import { expect, test, vi } from 'vitest'
import { createClient, type HufuClient, type Transport } from './client.ts'
import { baseUrl, done, fakeNetwork } from './fake-network.ts'

const phoneNumber = '13800005223'
const calls: [string, (client: HufuClient) => Promise<unknown>, string][] = [
  [
    'another name',
    (client) => client.sendCode({ phone: phoneNumber, purpose: 'sign_in' } as never),
    'sendCode: phoneNumber must be text; did you mean phoneNumber by "phone"?',
  ],
  [
    'the field name of the HTTP API',
    (client) => client.signIn({ phone_number: phoneNumber, password: '1' } as never),
    'signIn: phoneNumber must be text; did you mean phoneNumber by "phone_number"?',
  ],
  [
    'a number',
    (client) => client.signIn({ phoneNumber, code: 123456 } as never),
    'signIn: code must be text',
  ],
  ['text', (client) => client.signIn(phoneNumber as never), 'signIn: the argument must be an object'],
  [
    'nothing',
    (client) => (client.sendCode as () => Promise<unknown>)(),
    'sendCode: the argument must be an object',
  ],
  ['no purpose', (client) => client.sendCode({ phoneNumber } as never), 'sendCode: purpose must be text'],
  [
    'no new password',
    (client) => client.resetPassword({ phoneNumber, code: '123456', password: 'x' } as never),
    'resetPassword: newPassword must be text; did you mean newPassword by "password"?',
  ],
  [
    'a misspelt new password',
    (client) => client.setPassword({ password: 'x', code: '123456' } as never),
    'setPassword: newPassword must be text',
  ],
  [
    'no confirmation',
    (client) => client.changePhone({ phoneNumber, code: '123456' } as never),
    'changePhone, confirmation: the argument must be an object',
  ],
  ['a code alone', (client) => client.closeAccount('123456' as never), 'closeAccount: the argument must be'],
  [
    'a nickname of another type',
    (client) => client.updateAccount({ nickname: 7 } as never),
    'updateAccount: nickname must be text',
  ],
  ['a session', (client) => client.endDevice({ id: 'x' } as never), 'endDevice: id must be text'],
]

test.each(
  calls,
)('%s in the place of the argument is refused, and nothing is sent', async (_what, call, says) => {
  const network = fakeNetwork(done)
  const client = createClient({ baseUrl, transport: network.transport })
  const error = await call(client).catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(TypeError)
  expect(String(error)).toContain(says)
  expect(network.asked).toEqual([])
})

test.each([
  ['no options', undefined],
  ['no base URL', {}],
  ['a base URL alone', baseUrl],
])('createClient with %s names baseUrl', (_what, options) => {
  expect(() => createClient(options as never)).toThrow(
    new TypeError('createClient: baseUrl is missing: createClient({ baseUrl: "https://…" })'),
  )
})

test('fetch as the transport is refused with the code to write instead', async () => {
  expect(() => createClient({ baseUrl, transport: fetch as never })).toThrow(/use fetchTransport\(fetch\)/)
  // A fetch of another package can only be recognised when it is called.
  const unhandled = vi.fn()
  process.on('unhandledRejection', unhandled)
  const other: unknown = () => Promise.reject(new Error('this is no URL'))
  const client = createClient({ baseUrl, transport: other as Transport })
  const error = await client.signIn({ phoneNumber, password: '1' }).catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(TypeError)
  expect(String(error)).toMatch(/use fetchTransport\(fetch\)/)
  await new Promise((resolve) => setImmediate(resolve))
  process.off('unhandledRejection', unhandled)
  expect(unhandled).not.toHaveBeenCalled()
})

test.each([
  [{ storage: {} }, 'storage must be an object with the methods get, set, remove'],
  [{ storage: 'memory' }, 'storage must be an object with the methods get, set, remove'],
  [{ clock: () => 1 }, 'clock must be an object with the method now'],
  [{ timeoutMs: '5' }, 'timeoutMs must be a number of milliseconds, more than 0'],
  [{ randomBytes: 'crypto' }, 'randomBytes must be a function'],
  [{ onBackgroundError: true }, 'onBackgroundError must be a function'],
  [{ transport: {} }, 'transport must be a function'],
])('createClient names the option of %j', (options, message) => {
  // Callers without TypeScript may give anything.
  expect(() => createClient({ baseUrl, ...options } as never)).toThrow(new TypeError(message))
})
