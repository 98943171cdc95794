// The account calls: their requests, their results, and the stored state.
import { expect, test, vi } from 'vitest'
import { createClient, type HufuClient, memoryStorage } from './client.ts'
import {
  baseUrl,
  done,
  fakeNetwork,
  issued,
  json,
  offline,
  problem,
  signedIn,
  wireAccount,
} from './fake-network.ts'

const phoneNumber = '12345678901'
const clock = { now: () => Date.UTC(2026, 10, 22) }

async function signedInClient() {
  const network = fakeNetwork(() => issued('1'))
  const storage = memoryStorage()
  const client = createClient({ baseUrl, transport: network.transport, storage, clock })
  await client.signIn({ phoneNumber, password: '123456' })
  return { client, network, storage }
}

const exported = { account: wireAccount, sessions: [], events: [] }
const accountAnswer = (facts: object = {}) => json(200, { ...wireAccount, ...facts })

type Call = (client: HufuClient) => Promise<unknown>
const calls: [string, Call, string, object | null, () => Response][] = [
  ['account', (c) => c.account(), 'GET /v1/account', null, accountAnswer],
  [
    'updateAccount',
    (c) => c.updateAccount({ nickname: null, avatarUrl: 'https://x', locale: 'en' }),
    'POST /v1/account/update',
    { nickname: null, avatar_url: 'https://x', locale: 'en' },
    accountAnswer,
  ],
  [
    'updateAccount with one field',
    (c) => c.updateAccount({ nickname: '大明' }),
    'POST /v1/account/update',
    { nickname: '大明' },
    accountAnswer,
  ],
  [
    'setPassword with the current password',
    (c) => c.setPassword({ newPassword: 'n', currentPassword: 'o' }),
    'POST /v1/account/password',
    { new_password: 'n', current_password: 'o' },
    done,
  ],
  [
    'setPassword with a code',
    (c) => c.setPassword({ newPassword: 'n', code: '123456' }),
    'POST /v1/account/password',
    { new_password: 'n', code: '123456' },
    done,
  ],
  [
    'changePhone',
    (c) => c.changePhone({ phoneNumber: '2', code: '1', confirmation: { password: 'p' } }),
    'POST /v1/account/phone',
    { phone_number: '2', code: '1', confirmation: { password: 'p' } },
    accountAnswer,
  ],
  ['exportAccount', (c) => c.exportAccount(), 'GET /v1/account/export', null, () => json(200, exported)],
  ['endOtherDevices', (c) => c.endOtherDevices(), 'POST /v1/sessions/end', null, done],
]

test.each(calls)('%s sends the token', async (_name, call, request, body, answer) => {
  const { client, network } = await signedInClient()
  network.answer = answer
  await call(client)
  const asked = network.asked.at(-1)
  expect(`${asked?.method} ${asked?.path}`).toBe(request)
  expect(asked).toMatchObject({ token: 'token-1', body })
  expect(client.state.is).toBe('signed_in')
})

test('sendCode needs no session and returns when the next code may be requested', async () => {
  const network = fakeNetwork(() => json(202, { resend_in: 60, expires_in: 300 }))
  let now = 0
  const client = createClient({ baseUrl, transport: network.transport, clock: { now: () => now } })
  const device = { platform: 'ios', id: 'd-1', appVersion: '2.1.0' } as const
  const { resendIn, expiresIn } = await client.sendCode({ phoneNumber, purpose: 'sign_in', device })
  expect(network.asked).toMatchObject([
    {
      method: 'POST',
      path: '/v1/codes',
      token: null,
      body: {
        phone_number: phoneNumber,
        purpose: 'sign_in',
        device: { platform: 'ios', id: 'd-1', app_version: '2.1.0' },
      },
    },
  ])
  now = 20_000
  expect([resendIn.secondsLeft(), expiresIn.secondsLeft()]).toEqual([40, 280])
})

test('A refused request for a code returns when the next one may be requested', async () => {
  const network = fakeNetwork(() => problem(429, 'rate_limited', {}, { 'retry-after': '42' }))
  const client = createClient({ baseUrl, transport: network.transport })
  await expect(client.sendCode({ phoneNumber, purpose: 'sign_in' })).rejects.toMatchObject({
    code: 'rate_limited',
    status: 429,
    retryAfterSeconds: 42,
  })
})

test('A sign-in by code sends the code and returns whether it created the account', async () => {
  const network = fakeNetwork(() => issued('1', { created: true }))
  const client = createClient({ baseUrl, transport: network.transport })
  const { created } = await client.signIn({ phoneNumber, code: '123456', nickname: '小明' })
  expect(created).toBe(true)
  expect(network.asked[0]?.body).toEqual({ phone_number: phoneNumber, code: '123456', nickname: '小明' })
})

test.each([
  [401, 'code_wrong'],
  [403, 'sign_up_closed'],
  [403, 'a_code_of_the_future'],
])('A refusal %d %s reaches the caller as it is', async (status, code) => {
  const network = fakeNetwork(() => problem(status, code))
  const client = createClient({ baseUrl, transport: network.transport })
  const failing = client.signIn({ phoneNumber, code: '1' })
  await expect(failing).rejects.toMatchObject({ code, status, message: `Title of ${code}`, requestId: 'r-2' })
})

test('A refused password names the rule that it breaks', async () => {
  const { client, network } = await signedInClient()
  network.answer = () => problem(422, 'password_refused', { rule: 'too_short' })
  const failing = client.setPassword({ newPassword: 'n', currentPassword: 'o' })
  await expect(failing).rejects.toMatchObject({ code: 'password_refused', rule: 'too_short' })
})

test('A wrong code while signed in does not sign out', async () => {
  const { client, network } = await signedInClient()
  network.answer = () => problem(401, 'code_wrong')
  await expect(client.setPassword({ newPassword: 'n', code: '1' })).rejects.toMatchObject({ signedOut: null })
  expect(client.state.is).toBe('signed_in')
})

test('resetPassword needs no session', async () => {
  const network = fakeNetwork(done)
  const client = createClient({ baseUrl, transport: network.transport })
  await client.resetPassword({ phoneNumber, code: '123456', newPassword: 'n' })
  expect(network.asked).toMatchObject([
    {
      method: 'POST',
      path: '/v1/password-resets',
      token: null,
      body: { phone_number: phoneNumber, code: '123456', new_password: 'n' },
    },
  ])
})

test('The account in a response is shown, and stored for the next start', async () => {
  const { client, network, storage } = await signedInClient()
  const states = vi.fn()
  client.subscribe(states)
  network.answer = () => accountAnswer({ nickname: '大明', has_password: false })
  await client.updateAccount({ nickname: '大明' })
  expect(states.mock.calls).toMatchObject([[{ account: { nickname: '大明', hasPassword: false } }]])
  const next = createClient({ baseUrl, transport: fakeNetwork().transport, storage })
  expect(await next.start()).toMatchObject({ account: { nickname: '大明' }, session: { id: 'session-1' } })
})

test('A check updates only the members of the account that its response contains, also after a restart', async () => {
  const { client, network, storage } = await signedInClient()
  network.answer = () => accountAnswer()
  const account = await client.account()
  expect(account).toMatchObject({ avatarUrl: 'https://img.example.com/1.png', locale: 'zh-CN' })
  network.answer = () => signedIn('1', '大明')
  const now = { ...account, nickname: '大明' }
  expect((await client.me()).account).toEqual(now)
  expect(client.state).toMatchObject({ account: now })
  const next = createClient({
    baseUrl,
    transport: fakeNetwork(() => signedIn('1', '大明')).transport,
    storage,
  })
  expect(await next.start()).toMatchObject({ account: now })
  expect((await next.me()).account).toEqual(now)
})

test('After setPassword, the account has a password', async () => {
  const { client, network } = await signedInClient()
  network.answer = () => accountAnswer({ has_password: false })
  await client.account()
  network.answer = done
  await client.setPassword({ newPassword: 'n', code: '123456' })
  expect(client.state).toMatchObject({ account: { hasPassword: true, nickname: '小明' } })
})

test('An export without an account is refused', async () => {
  const { client, network } = await signedInClient()
  network.answer = () => json(200, { ...exported, account: null })
  await expect(client.exportAccount()).rejects.toMatchObject({ code: 'not_hufu' })
})

test('Closing an account signs out if the server says that the session has ended', async () => {
  const { client, network } = await signedInClient()
  network.answer = ({ path }) =>
    path === '/v1/account/close'
      ? json(202, { closes_at: '2026-12-07T00:00:00.000Z' })
      : problem(401, 'session_account_closed')
  const { closesAt } = await client.closeAccount({ code: '123456' })
  expect(closesAt).toBe('2026-12-07T00:00:00.000Z')
  expect(network.asked[1]).toMatchObject({
    method: 'POST',
    path: '/v1/account/close',
    body: { code: '123456' },
  })
  expect(client.state).toMatchObject({ is: 'signed_out', reason: 'account_closed' })
})

test('Closing an account stays signed in if the server accepts the session', async () => {
  const { client, network } = await signedInClient()
  network.answer = ({ path }) =>
    path === '/v1/account/close' ? json(202, { closes_at: '2026-12-07T00:00:00.000Z' }) : signedIn('1')
  await client.closeAccount({ code: '123456' })
  expect(client.state.is).toBe('signed_in')
})

test('signOutEverywhere signs out on the server first, and on the device only if that succeeded', async () => {
  const { client, network, storage } = await signedInClient()
  const listener = vi.fn()
  client.onSignedOut(listener)
  network.answer = offline
  await expect(client.signOutEverywhere()).rejects.toMatchObject({ code: 'network' })
  expect(client.state.is).toBe('signed_in')
  network.answer = done
  await client.signOutEverywhere()
  expect(network.asked.at(-1)).toMatchObject({ method: 'POST', path: '/v1/sessions/end?all=true' })
  expect(client.state).toMatchObject({ is: 'signed_out', reason: null })
  expect(listener).toHaveBeenCalledOnce()
  expect(await storage.get('hufu')).toBeNull()
})
