// The client library against the real server: the behaviour that app developers rely on, over HTTP.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import {
  type ClientOptions,
  type CodePurpose,
  createClient,
  fetchTransport,
  type HufuClient,
  type HufuStorage,
  memoryStorage,
  type PlatformRequest,
  requestTransport,
  type SignedOut,
} from '../../sdk/src/client.ts'
import { codeOf } from '../../src/codes/code-digits.ts'
import { findCode } from '../../src/codes/code-rows.ts'
import { getOrCreateKey } from '../../src/signing-keys/stored-key.ts'
import { addPerson, person, type RunningApp, startApp } from '../support/app.ts'
import { databases, type FreshDatabase } from '../support/databases.ts'

const iphone = { platform: 'ios', id: 'device-1', name: 'iPhone 15', appVersion: '2.1.0' } as const
const mate = { platform: 'android', name: '华为 Mate 60' } as const
const credentials = { phoneNumber: person.phone, password: person.password }

let database: FreshDatabase
let app: RunningApp

beforeEach(async () => {
  const sqlite = databases.find(({ name }) => name === 'sqlite')
  if (!sqlite) throw new Error('there is no SQLite among the databases')
  database = await sqlite.create()
  app = await startApp(database.url)
  await addPerson(app.services)
})

afterEach(async () => {
  await app.close()
  await database.drop()
})

/** A phone that finds the server at its latest address. */
function phone(storage: HufuStorage = memoryStorage(), options: Partial<ClientOptions> = {}) {
  const { url: baseUrl } = app
  const client = createClient({
    baseUrl,
    transport: fetchTransport((url, init) => fetch(url.replace(baseUrl, app.url), init)),
    storage,
    language: 'zh-CN',
    ...options,
  })
  const ends: SignedOut[] = []
  client.onSignedOut((end) => void ends.push(end))
  return { client, storage, ends }
}

async function restart(): Promise<void> {
  app = await startApp(database.url)
}

const newPhone = '+8613800005223'
const otherPhone = '+8613900005224'
const goodPassword = 'correct horse battery'
const betterPassword = 'staple the better horse'

/** Requests a code, and derives what the message would contain. */
async function codeFor(client: HufuClient, phoneNumber: string, purpose: CodePurpose): Promise<string> {
  await client.sendCode({ phoneNumber, purpose, device: iphone })
  const { db, codeSender } = app.services
  // If the number has an account, the message is sent after the response.
  await codeSender.close()
  const row = await findCode(db, { phoneNumber, purpose })
  if (!row) throw new Error('no code was sent')
  return codeOf(await getOrCreateKey(db), { phoneNumber, purpose, nonce: row.nonce })
}

const wrong = (code: string) => String((Number(code) + 1) % 1_000_000).padStart(6, '0')

/** A client that has signed up by code on an iPhone. */
async function signedUp(options: Partial<ClientOptions> = {}) {
  const all = phone(memoryStorage(), options)
  const code = await codeFor(all.client, newPhone, 'sign_in')
  const signedIn = await all.client.signIn({
    phoneNumber: newPhone,
    code,
    nickname: '小明',
    device: iphone,
  })
  return { ...all, signedIn }
}

/** The same account on another device. */
async function alsoOn(device: typeof mate, phoneNumber = newPhone) {
  const all = phone()
  const code = await codeFor(all.client, phoneNumber, 'sign_in')
  return { ...all, signedIn: await all.client.signIn({ phoneNumber, code, device }) }
}

const accountOf = async (client: HufuClient) => (await client.me()).account

test('A sign-in returns the account and the session, and so does the server afterwards', async () => {
  const { client } = phone()
  const signedIn = await client.signIn({ ...credentials, device: iphone })
  expect(signedIn.account).toMatchObject({ phoneNumber: '+8612345678901', nickname: '测试用户1' })
  expect(signedIn.session).toMatchObject({
    platform: 'ios',
    device: { id: 'device-1', name: 'iPhone 15', appVersion: '2.1.0' },
    ip: '127.0.0.1',
    createdAt: '2026-11-22T00:00:00.000Z',
    expiresAt: '2026-12-22T00:00:00.000Z',
    current: true,
  })
  const { account, session } = signedIn
  expect(await client.me()).toEqual({ account, session })
  expect(client.state).toEqual({ is: 'signed_in', account, session, verified: true })
})

test('A wrong password, an invalid number and an empty field are refused, in Chinese', async () => {
  const { client } = phone()
  await expect(client.signIn({ ...credentials, password: 'wrong' })).rejects.toMatchObject({
    name: 'HufuError',
    code: 'credentials_wrong',
    status: 401,
    message: '手机号或密码错误',
    signedOut: null,
    requestId: expect.stringMatching(/./),
  })
  await expect(client.signIn({ ...credentials, phoneNumber: 'abc' })).rejects.toMatchObject({
    code: 'phone_number_invalid',
    status: 422,
  })
  await expect(client.signIn({ ...credentials, password: '' })).rejects.toMatchObject({
    code: 'invalid_request',
    status: 422,
    fields: [{ pointer: '/password', problem: expect.any(String) }],
  })
  expect(client.state).toMatchObject({ is: 'signed_out', reason: null })
})

test('Each device lists all devices and marks itself', async () => {
  const { client: first } = phone()
  const { client: second } = phone()
  await first.signIn({ ...credentials, device: iphone })
  app.clock.advance(1)
  await second.signIn({ ...credentials, device: mate })
  const devices = await second.devices()
  expect(devices.map(({ device, current }) => [device.name, current])).toEqual([
    ['iPhone 15', false],
    ['华为 Mate 60', true],
  ])
})

test('A phone that another device removed gets the reason, the time and the device', async () => {
  const { client: first, ends } = phone()
  const { client: second } = phone()
  const { session } = await first.signIn({ ...credentials, device: iphone })
  await second.signIn({ ...credentials, device: mate })
  app.clock.advance(60_000)
  await second.endDevice(session.id)

  await expect(first.me()).rejects.toMatchObject({ code: 'session_kicked' })
  const end = {
    reason: 'kicked',
    at: '2026-11-22T00:01:00.000Z',
    byDevice: { platform: 'android', name: '华为 Mate 60' },
    message: '此设备已被强制退出登录，请重新登录',
  }
  expect(ends).toEqual([end])
  expect(first.state).toEqual({ is: 'signed_out', ...end })
  await expect(second.endDevice('made-up')).rejects.toMatchObject({ code: 'session_not_found', status: 404 })
  expect(second.state.is).toBe('signed_in')
})

test('A replaced phone gets the device that replaced it', async () => {
  const { client: first, ends } = phone()
  const { client: second } = phone()
  await first.signIn({ ...credentials, device: iphone })
  await second.signIn({ ...credentials, device: { platform: 'ios', name: 'iPhone 17' } })
  await expect(first.devices()).rejects.toMatchObject({ code: 'session_replaced' })
  expect(ends).toMatchObject([{ reason: 'replaced', byDevice: { platform: 'ios', name: 'iPhone 17' } }])
})

test('A session that was not used for too long has expired', async () => {
  const { client, ends } = phone()
  await client.signIn(credentials)
  app.clock.advance(31 * 86_400_000)
  await expect(client.me()).rejects.toMatchObject({ code: 'session_expired' })
  expect(ends).toMatchObject([{ reason: 'expired', byDevice: null }])
})

test('A token that the server never issued signs out', async () => {
  const { client, storage } = phone()
  await client.signIn(credentials)
  const text = (await storage.get('hufu')) ?? ''
  await storage.set('hufu', text.replace(/"hf_[^"]*"/, '"hf_made_up"'))
  const { client: next, ends } = phone(storage)
  await expect(next.me()).rejects.toMatchObject({ code: 'token_unknown' })
  expect(ends).toMatchObject([{ reason: 'token_unknown' }])
})

test('A sign-out ends the session on the server', async () => {
  const { client, ends } = phone()
  const { account } = await client.signIn(credentials)
  await client.signOut()
  expect(client.state).toMatchObject({ is: 'signed_out', reason: null })
  expect(ends).toMatchObject([{ reason: 'signed_out', byDevice: null, message: '已退出登录' }])
  expect(await app.services.sessions.list(account.id)).toEqual([])
})

test('While the server is down the phone stays signed in, also after a restart, and continues when it is back', async () => {
  const { client, storage, ends } = phone()
  const { account } = await client.signIn({ ...credentials, device: iphone })
  await app.close()

  await expect(client.me()).rejects.toMatchObject({ code: 'network' })
  expect(client.state).toMatchObject({ is: 'signed_in', account })
  const { client: restarted } = phone(storage)
  expect(await restarted.start()).toMatchObject({ is: 'signed_in', account, verified: false })
  await expect(restarted.devices()).rejects.toMatchObject({ code: 'network' })
  await expect(restarted.me()).rejects.toMatchObject({ code: 'network' })
  expect(restarted.state).toMatchObject({ is: 'signed_in', verified: false })

  await restart()
  await restarted.start()
  await vi.waitFor(() => expect(restarted.state).toMatchObject({ is: 'signed_in', verified: true }))
  expect(await accountOf(client)).toEqual(account)
  expect(await accountOf(restarted)).toEqual(account)
  expect(ends).toEqual([])
})

test('A sign-out without a server is sent when the server is back', async () => {
  const { client, storage } = phone()
  const { account } = await client.signIn(credentials)
  await app.close()
  await client.signOut()
  expect(client.state.is).toBe('signed_out')

  await restart()
  expect(await app.services.sessions.list(account.id)).toHaveLength(1)
  const { client: restarted } = phone(storage)
  expect(await restarted.start()).toMatchObject({ is: 'signed_out', reason: null })
  await vi.waitFor(async () => expect(await app.services.sessions.list(account.id)).toEqual([]))
  await vi.waitFor(async () => expect(await storage.get('hufu')).toBeNull())
})

test('Signing in again on the same phone leaves one session, and calls no sign-out listener', async () => {
  const { client, storage, ends } = phone()
  const { account } = await client.signIn({ ...credentials, device: iphone })
  const { session } = await client.signIn({ ...credentials, device: mate })
  await vi.waitFor(async () => expect(await storage.get('hufu')).toContain('"toEnd":[]'))
  expect((await app.services.sessions.list(account.id)).map(({ id }) => id)).toEqual([session.id])
  expect(ends).toEqual([])
})

test('A base URL of another site is not mistaken for the server', async () => {
  const { client, ends } = phone(undefined, { baseUrl: `${app.url}/docs`, transport: fetchTransport() })
  await expect(client.signIn(credentials)).rejects.toMatchObject({ code: expect.stringMatching(/not_/) })
  expect(ends).toEqual([])
})

test('A code signs a new number up, and a known one in', async () => {
  const { client, signedIn } = await signedUp()
  const { account } = signedIn
  expect(signedIn).toMatchObject({ created: true, account: { phoneNumber: newPhone, nickname: '小明' } })
  const again = await alsoOn(mate)
  expect(again.signedIn).toMatchObject({ created: false, account: { id: account.id, nickname: '小明' } })
  expect(await client.devices()).toHaveLength(2)
})

test('A wrong code is refused, and the client stays signed in', async () => {
  const { client } = phone()
  const code = await codeFor(client, newPhone, 'sign_in')
  const failing = client.signIn({ phoneNumber: newPhone, code: wrong(code) })
  await expect(failing).rejects.toMatchObject({ code: 'code_wrong', status: 401, signedOut: null })
  expect(client.state.is).toBe('signed_out')

  await client.signIn({ phoneNumber: newPhone, code })
  const confirm = await codeFor(client, newPhone, 'confirm')
  const setting = client.setPassword({ newPassword: goodPassword, code: wrong(confirm) })
  await expect(setting).rejects.toMatchObject({ code: 'code_wrong', status: 401, signedOut: null })
  const closing = client.closeAccount({ code: '000000' })
  await expect(closing).rejects.toMatchObject({ code: 'code_wrong', signedOut: null })
  expect(client.state.is).toBe('signed_in')
})

test('The account is returned in full, changed in part, and kept by a check', async () => {
  const { client, storage } = await signedUp()
  expect(await client.account()).toEqual({
    id: expect.any(String),
    phoneNumber: newPhone,
    nickname: '小明',
    avatarUrl: null,
    locale: null,
    hasPassword: false,
    registeredAt: '2026-11-22T00:00:00.000Z',
  })
  await client.updateAccount({ avatarUrl: 'https://example.com/a.png', locale: 'zh-CN' })
  const account = await client.updateAccount({ nickname: null })
  expect(account).toMatchObject({ nickname: null, avatarUrl: 'https://example.com/a.png', locale: 'zh-CN' })
  expect(await client.account()).toEqual(account)

  expect(await accountOf(client)).toEqual(account)
  expect(client.state).toMatchObject({ account })
  const { client: restarted } = phone(storage)
  expect(await restarted.start()).toMatchObject({ account })
  expect(await accountOf(restarted)).toEqual(account)
  await expect(client.updateAccount({ avatarUrl: 'http://example.com' })).rejects.toMatchObject({
    code: 'invalid_request',
    fields: [{ pointer: '/avatar_url', problem: expect.any(String) }],
  })
})

test('The first password is set by a code, the next one by the current one; all other devices are signed out', async () => {
  const { client } = await signedUp()
  const other = await alsoOn(mate)
  const code = await codeFor(client, newPhone, 'confirm')
  await expect(client.setPassword({ newPassword: '123', code })).rejects.toMatchObject({
    code: 'password_refused',
    rule: 'too_short',
  })
  await client.setPassword({ newPassword: goodPassword, code: await codeFor(client, newPhone, 'confirm') })
  expect(client.state).toMatchObject({ is: 'signed_in', account: { hasPassword: true } })
  expect(await client.account()).toMatchObject({ hasPassword: true })
  await expect(other.client.me()).rejects.toMatchObject({ code: 'session_password_changed' })
  expect(other.ends).toMatchObject([{ reason: 'password_changed', byDevice: { name: 'iPhone 15' } }])

  const guess = client.setPassword({ newPassword: betterPassword, currentPassword: 'not this one' })
  await expect(guess).rejects.toMatchObject({ code: 'credentials_wrong', signedOut: null })
  await client.setPassword({ newPassword: betterPassword, currentPassword: goodPassword })
  expect(client.state.is).toBe('signed_in')
  await other.client.signIn({ phoneNumber: newPhone, password: betterPassword, device: mate })
  expect(other.client.state.is).toBe('signed_in')
})

test('A forgotten password is reset without a session, and all sessions end', async () => {
  const { client, ends } = await signedUp()
  const { client: stranger } = phone()
  const code = await codeFor(stranger, newPhone, 'reset_password')
  await stranger.resetPassword({ phoneNumber: newPhone, code, newPassword: goodPassword })
  await expect(client.me()).rejects.toMatchObject({ code: 'session_password_changed' })
  expect(ends).toMatchObject([{ reason: 'password_changed' }])
  const { created } = await client.signIn({ phoneNumber: newPhone, password: goodPassword })
  expect(created).toBe(false)
})

test('An account moves to another number, confirmed by a code or by the password', async () => {
  const { client } = await signedUp()
  const other = await alsoOn(mate)
  const confirmation = { code: await codeFor(client, newPhone, 'confirm') }
  const code = await codeFor(client, otherPhone, 'change_phone')
  const account = await client.changePhone({ phoneNumber: otherPhone, code, confirmation })
  expect(account).toMatchObject({ phoneNumber: otherPhone, hasPassword: false })
  expect(client.state).toMatchObject({ is: 'signed_in', account })
  await expect(other.client.me()).rejects.toMatchObject({ code: 'session_phone_changed' })
  expect(other.ends).toMatchObject([{ reason: 'phone_changed' }])

  const confirm = await codeFor(client, otherPhone, 'confirm')
  await client.setPassword({ newPassword: goodPassword, code: confirm })
  const back = await codeFor(client, newPhone, 'change_phone')
  const moved = await client.changePhone({
    phoneNumber: newPhone,
    code: back,
    confirmation: { password: goodPassword },
  })
  expect(moved).toMatchObject({ id: account.id, phoneNumber: newPhone, hasPassword: true })
})

test('The number of an account is refused to every other account', async () => {
  const { client } = await signedUp()
  await addPerson(app.services, otherPhone)
  const confirmation = { code: await codeFor(client, newPhone, 'confirm') }
  const code = await codeFor(client, otherPhone, 'change_phone')
  const failing = client.changePhone({ phoneNumber: otherPhone, code, confirmation })
  await expect(failing).rejects.toMatchObject({ code: 'phone_number_taken', status: 409 })
})

test('Closing the account signs out with that reason, and can be undone in time', async () => {
  const { client, ends, signedIn } = await signedUp()
  const code = await codeFor(client, newPhone, 'close_account')
  const { closesAt } = await client.closeAccount({ code })
  expect(Date.parse(closesAt)).toBeGreaterThan(app.clock.now())
  expect(client.state).toMatchObject({ is: 'signed_out', reason: 'account_closed' })
  expect(ends).toMatchObject([{ reason: 'account_closed', byDevice: { name: 'iPhone 15' } }])

  const again = await alsoOn(mate)
  expect(again.signedIn).toMatchObject({ created: false, account: { id: signedIn.account.id } })
})

test('All data of an account can be exported', async () => {
  const { client, signedIn } = await signedUp()
  const { account, sessions, events } = await client.exportAccount()
  expect(account).toMatchObject({ id: signedIn.account.id, phone_number: newPhone, has_password: false })
  expect(sessions).toMatchObject([{ id: signedIn.session.id, device_name: 'iPhone 15', ended_at: null }])
  expect(events.length).toBeGreaterThan(0)
})

test('All other devices are signed out at once, or all devices', async () => {
  const { client, ends } = await signedUp()
  const other = await alsoOn(mate)
  await client.endOtherDevices()
  expect(await client.devices()).toMatchObject([{ current: true }])
  await expect(other.client.me()).rejects.toMatchObject({ code: 'session_kicked' })

  const { client: third, signedIn } = await alsoOn(mate)
  await client.signOutEverywhere()
  expect(ends).toMatchObject([{ reason: 'signed_out' }])
  expect(client.state).toMatchObject({ is: 'signed_out', reason: null })
  await expect(third.me()).rejects.toMatchObject({ code: 'session_kicked' })
  expect(await app.services.sessions.list(signedIn.account.id)).toEqual([])
})

test('A rotated token continues the session; a later use of the previous one ends it', async () => {
  const { client, storage, ends, signedIn } = await signedUp()
  const stolen = memoryStorage()
  await stolen.set('hufu', (await storage.get('hufu')) ?? '')
  expect(await client.rotate()).toMatchObject({ id: signedIn.session.id, current: true })
  expect(await storage.get('hufu')).not.toBe(await stolen.get('hufu'))
  expect(await client.me()).toMatchObject({ session: { id: signedIn.session.id } })

  const thief = phone(stolen)
  await expect(thief.client.me()).rejects.toMatchObject({ code: 'session_token_reused' })
  await expect(client.me()).rejects.toMatchObject({ code: 'session_token_reused' })
  expect(ends).toMatchObject([{ reason: 'token_reused', byDevice: null }])
})

test('Rotations among other calls, by two clients on one storage, end nothing', async () => {
  const { client, storage, ends } = await signedUp()
  const { client: sibling } = phone(storage)
  const { client: tab } = phone({ ...storage })
  await Promise.all([sibling.start(), tab.start()])
  await tab.me()
  for (let round = 0; round < 5; round++) {
    await Promise.all([
      client.me(),
      sibling.devices(),
      client.rotate(),
      client.devices(),
      sibling.me(),
      sibling.rotate(),
      client.account(),
    ])
    // Another tab, which was not open meanwhile, continues with the current token.
    await tab.devices()
  }
  expect(ends).toEqual([])
  expect(await client.devices()).toHaveLength(1)
})

test('The next call recovers a rotation whose response was lost', async () => {
  let isLost = false
  const { url: baseUrl } = app
  const { client, storage, ends } = await signedUp({
    transport: fetchTransport(async (url, init) => {
      const answer = await fetch(url.replace(baseUrl, app.url), init)
      if (isLost) throw new TypeError('fetch failed')
      return answer
    }),
  })
  const before = await storage.get('hufu')
  isLost = true
  await expect(client.rotate()).rejects.toMatchObject({ code: 'network' })
  isLost = false
  app.clock.advance(30_000)
  const [devices] = await Promise.all([client.devices(), client.me()])
  expect(devices).toHaveLength(1)
  expect(await storage.get('hufu')).toContain('"rotating":false')
  expect(await storage.get('hufu')).not.toBe(before)
  expect(ends).toEqual([])
})

test('A client that requests codes too often learns how long to wait, before and after', async () => {
  await app.close()
  app = await startApp(database.url, { environment: { HUFU_LIMITS: 'on' } })
  const { client } = phone(undefined, { clock: app.clock })
  const ask = () => client.sendCode({ phoneNumber: newPhone, purpose: 'sign_in' })
  const { resendIn, expiresIn } = await ask()
  expect([resendIn.secondsLeft(), expiresIn.secondsLeft()]).toEqual([60, 300])
  app.clock.advance(20_000)
  await expect(ask()).rejects.toMatchObject({ code: 'rate_limited', status: 429, retryAfterSeconds: 40 })
  app.clock.advance(40_000)
  expect(resendIn.secondsLeft()).toBe(0)
  expect((await ask()).expiresIn.secondsLeft()).toBe(300)
})

/** A platform that sends GET and POST alone, and a content type with every POST, as mini-programs do. */
function miniProgram(emptyBody: string | undefined): PlatformRequest {
  return ({ url, method, header, data, success, fail }) => {
    if (!/^(GET|POST)$/.test(method)) return fail({ errMsg: 'request:fail method is invalid' })
    const posts = method === 'POST'
    const body = data ?? (posts ? emptyBody : undefined)
    const init = { method, headers: { ...header, ...(posts && { 'content-type': 'application/json' }) } }
    void fetch(url, { ...init, ...(body !== undefined && { body }) }).then(async (answer) => {
      const headers = Object.fromEntries(answer.headers)
      success({ statusCode: answer.status, header: headers, data: await answer.text() })
    }, fail)
  }
}

test.each([
  ['nothing', undefined],
  ['an empty text', ''],
  ['an empty object', '{}'],
])('All that a person can do works by GET and POST, where a POST without a body has %s', async (_name, body) => {
  const transport = requestTransport(miniProgram(body))
  const { client, signedIn } = await signedUp({ transport })
  const other = await alsoOn(mate)
  await client.endDevice(other.signedIn.session.id)
  expect(await client.devices()).toHaveLength(1)
  await alsoOn(mate)
  await client.endOtherDevices()
  expect(await client.devices()).toHaveLength(1)
  expect(await client.updateAccount({ nickname: '大明' })).toMatchObject({ nickname: '大明' })
  await client.setPassword({ newPassword: goodPassword, code: await codeFor(client, newPhone, 'confirm') })
  const code = await codeFor(client, otherPhone, 'change_phone')
  await client.changePhone({ phoneNumber: otherPhone, code, confirmation: { password: goodPassword } })
  expect(await client.rotate()).toMatchObject({ id: signedIn.session.id })
  expect(await client.exportAccount()).toMatchObject({ account: { phone_number: otherPhone } })
  await client.signOutEverywhere()
  await client.signIn({ phoneNumber: otherPhone, password: goodPassword, device: iphone })
  await client.signOut()
  expect(await app.services.sessions.list(signedIn.account.id)).toEqual([])
  await client.signIn({ phoneNumber: otherPhone, password: goodPassword, device: iphone })
  await client.closeAccount({ code: await codeFor(client, otherPhone, 'close_account') })
  expect(client.state).toMatchObject({ is: 'signed_out', reason: 'account_closed' })
})

test('An app that has signed in here before signs in while a botnet guesses at its number', async () => {
  await app.close()
  const environment = { HUFU_LIMITS: 'on', HUFU_TRUSTED_PROXIES: '127.0.0.1' }
  app = await startApp(database.url, { environment })
  const { client, storage } = phone()
  await client.signIn({ ...credentials, device: iphone })
  await client.signOut()
  for (let i = 0; i < 15; i++) {
    const body = JSON.stringify({ phone_number: person.phone, password: 'wrong' })
    const headers = { 'content-type': 'application/json', 'x-forwarded-for': `198.18.${i}.7` }
    const answer = await fetch(`${app.url}/v1/sessions`, { method: 'POST', headers, body })
    expect(answer.status).toBe(401)
  }
  const refused = phone().client.signIn({ ...credentials, device: iphone })
  await expect(refused).rejects.toMatchObject({ code: 'credentials_wrong' })
  const { client: restarted } = phone(storage)
  await restarted.start()
  await restarted.signIn({ phoneNumber: '+8612345678901', password: person.password, device: iphone })
  expect(restarted.state.is).toBe('signed_in')
})

test('A double tap with a code signs in once, and both calls resolve', async () => {
  const { client } = phone()
  const code = await codeFor(client, newPhone, 'sign_in')
  const input = { phoneNumber: newPhone, code, device: iphone }
  const [first, second] = await Promise.all([client.signIn(input), client.signIn(input)])
  expect(second.session.id).toBe(first.session.id)
  expect((await client.signIn(input)).session.id).toBe(first.session.id)
  expect(await client.devices()).toHaveLength(1)
})

/** A phone that loses responses on demand, after the server has executed the request. */
function losingPhone() {
  const network = { loses: false }
  const { url: baseUrl } = app
  const all = phone(memoryStorage(), {
    transport: fetchTransport(async (url, init) => {
      const answer = await fetch(url.replace(baseUrl, app.url), init)
      if (network.loses) throw new TypeError('fetch failed')
      return answer
    }),
  })
  return { ...all, network }
}

test('A sign-up by code whose response was lost is repeated: one account, one session, and the code is used once', async () => {
  const { client, network, ends } = losingPhone()
  const code = await codeFor(client, newPhone, 'sign_in')
  const input = { phoneNumber: newPhone, code, nickname: '小明', device: iphone }
  network.loses = true
  await expect(client.signIn(input)).rejects.toMatchObject({ code: 'network' })
  network.loses = false
  app.clock.advance(60_000)
  const { account } = await client.signIn(input)
  expect(client.state).toMatchObject({ is: 'signed_in', account: { nickname: '小明' } })
  expect(await client.devices()).toHaveLength(1)
  expect((await app.services.sessions.list(account.id)).length).toBe(1)
  expect(ends).toEqual([])
})

test('A sign-in by password whose response was lost three times replaces the other device once', async () => {
  const other = phone()
  await other.client.signIn({ ...credentials, device: { platform: 'ios', name: 'iPhone 12' } })
  const { client, network } = losingPhone()
  network.loses = true
  for (let i = 0; i < 3; i++) await client.signIn({ ...credentials, device: iphone }).catch(() => {})
  network.loses = false
  const { account, session } = await client.signIn({ ...credentials, device: iphone })
  expect((await app.services.sessions.list(account.id)).map(({ id }) => id)).toEqual([session.id])
  await expect(other.client.me()).rejects.toMatchObject({ code: 'session_replaced' })
  const { events } = await client.exportAccount()
  expect(events.filter(({ detail }) => detail?.reason === 'replaced')).toHaveLength(1)
})

test.each([
  'code',
  'password',
] as const)('a sign-in by %s whose answer was lost succeeds when the person taps again, and replaces nothing', async (method) => {
  let losesAnswers = true
  const losing: ClientOptions['transport'] = fetchTransport(async (url, init) => {
    const answer = await fetch(url, init)
    if (!losesAnswers || !url.endsWith('/v1/sessions')) return answer
    losesAnswers = false
    await answer.arrayBuffer()
    throw new TypeError('the network is gone')
  })
  const { client } = phone(memoryStorage(), { transport: losing })
  const input =
    method === 'password'
      ? { ...credentials, device: iphone }
      : { phoneNumber: newPhone, code: await codeFor(client, newPhone, 'sign_in'), device: iphone }
  await expect(client.signIn(input)).rejects.toMatchObject({ code: 'network' })
  const { account, created } = await client.signIn(input)
  expect(created).toBe(method === 'code')
  expect(await client.me()).toMatchObject({ account: { id: account.id } })
  const rows = await app.services.db
    .selectFrom('hufu_sessions')
    .select('end_reason')
    .where('account_id', '=', account.id)
    .execute()
  expect(rows).toEqual([{ end_reason: null }])
})
