// The client library against the real server: what an app's developer relies on, over HTTP.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import {
  type ClientOptions,
  createClient,
  fetchTransport,
  type HufuClient,
  type HufuStorage,
  memoryStorage,
  type SignedOut,
} from '../sdk/src/client.ts'
import { addPerson, person, type RunningApp, startApp } from './running.ts'
import { databases, type FreshDatabase } from './stores.ts'

const iphone = { platform: 'ios', id: 'device-1', name: 'iPhone 15', appVersion: '2.1.0' } as const
const mate = { platform: 'android', name: '华为 Mate 60' } as const
const who = { phoneNumber: person.phone, password: person.password }

let database: FreshDatabase
let app: RunningApp

beforeEach(async () => {
  const sqlite = databases.find(({ name }) => name === 'sqlite')
  if (!sqlite) throw new Error('there is no SQLite among the databases')
  database = await sqlite.create()
  app = await startApp(database.url)
  await addPerson(app.house)
})

afterEach(async () => {
  await app.close()
  await database.drop()
})

/** A phone that finds the server wherever it was started last. */
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

const accountOf = async (client: HufuClient) => (await client.me()).account

test('Who signs in is told who they are, by the sign-in and by the server afterwards', async () => {
  const { client } = phone()
  const signedIn = await client.signIn({ ...who, device: iphone })
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

test('A wrong password, a number that is none and an empty field are refused, in Chinese', async () => {
  const { client } = phone()
  await expect(client.signIn({ ...who, password: 'wrong' })).rejects.toMatchObject({
    name: 'HufuError',
    code: 'credentials_wrong',
    status: 401,
    message: '手机号或密码错误',
    signedOut: null,
    requestId: expect.stringMatching(/./),
  })
  await expect(client.signIn({ ...who, phoneNumber: 'abc' })).rejects.toMatchObject({
    code: 'phone_number_invalid',
    status: 422,
  })
  await expect(client.signIn({ ...who, password: '' })).rejects.toMatchObject({
    code: 'invalid_request',
    status: 422,
    fields: [{ pointer: '/password', problem: expect.any(String) }],
  })
  expect(client.state).toMatchObject({ is: 'signed_out', reason: null })
})

test('Each device sees all of them, and which one it is itself', async () => {
  const { client: first } = phone()
  const { client: second } = phone()
  await first.signIn({ ...who, device: iphone })
  app.clock.advance(1)
  await second.signIn({ ...who, device: mate })
  const devices = await second.devices()
  expect(devices.map(({ device, current }) => [device.name, current])).toEqual([
    ['iPhone 15', false],
    ['华为 Mate 60', true],
  ])
})

test('A phone that was removed by another device learns the reason, the time and the device', async () => {
  const { client: first, ends } = phone()
  const { client: second } = phone()
  const { session } = await first.signIn({ ...who, device: iphone })
  await second.signIn({ ...who, device: mate })
  app.clock.advance(60_000)
  await second.endDevice(session.id)

  await expect(first.me()).rejects.toMatchObject({ code: 'session_kicked' })
  const end = {
    reason: 'kicked',
    at: '2026-11-22T00:01:00.000Z',
    byDevice: { platform: 'android', name: '华为 Mate 60' },
    message: '此会话已被移除，请重新登录',
  }
  expect(ends).toEqual([end])
  expect(first.state).toEqual({ is: 'signed_out', ...end })
  await expect(second.endDevice('made-up')).rejects.toMatchObject({ code: 'session_not_found', status: 404 })
  expect(second.state.is).toBe('signed_in')
})

test('A phone that was replaced learns by which device', async () => {
  const { client: first, ends } = phone()
  const { client: second } = phone()
  await first.signIn({ ...who, device: iphone })
  await second.signIn({ ...who, device: { platform: 'ios', name: 'iPhone 17' } })
  await expect(first.devices()).rejects.toMatchObject({ code: 'session_replaced' })
  expect(ends).toMatchObject([{ reason: 'replaced', byDevice: { platform: 'ios', name: 'iPhone 17' } }])
})

test('A session that was not used for too long has expired', async () => {
  const { client, ends } = phone()
  await client.signIn(who)
  app.clock.advance(31 * 86_400_000)
  await expect(client.me()).rejects.toMatchObject({ code: 'session_expired' })
  expect(ends).toMatchObject([{ reason: 'expired', byDevice: null }])
})

test('A token that the server never gave signs out', async () => {
  const { client, storage } = phone()
  await client.signIn(who)
  const text = (await storage.get('hufu')) ?? ''
  await storage.set('hufu', text.replace(/"hf_[^"]*"/, '"hf_made_up"'))
  const { client: next, ends } = phone(storage)
  await expect(next.me()).rejects.toMatchObject({ code: 'token_unknown' })
  expect(ends).toMatchObject([{ reason: 'token_unknown' }])
})

test('A sign-out ends the session at the server', async () => {
  const { client, ends } = phone()
  const { account } = await client.signIn(who)
  await client.signOut()
  expect(client.state).toMatchObject({ is: 'signed_out', reason: null })
  expect(ends).toMatchObject([{ reason: 'signed_out', byDevice: null, message: '已退出登录' }])
  expect(await app.house.sessions.list(account.id)).toEqual([])
})

test('While the server is down the phone stays signed in, also over a restart, and goes on when it is back', async () => {
  const { client, storage, ends } = phone()
  const { account } = await client.signIn({ ...who, device: iphone })
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

test('A sign-out without a server is made good when the server is back', async () => {
  const { client, storage } = phone()
  const { account } = await client.signIn(who)
  await app.close()
  await client.signOut()
  expect(client.state.is).toBe('signed_out')

  await restart()
  expect(await app.house.sessions.list(account.id)).toHaveLength(1)
  const { client: restarted } = phone(storage)
  expect(await restarted.start()).toMatchObject({ is: 'signed_out', reason: null })
  await vi.waitFor(async () => expect(await app.house.sessions.list(account.id)).toEqual([]))
  await vi.waitFor(async () => expect(await storage.get('hufu')).toBeNull())
})

test('Signing in again on the same phone leaves one session, and says nothing of a sign-out', async () => {
  const { client, storage, ends } = phone()
  const { account } = await client.signIn({ ...who, device: iphone })
  const { session } = await client.signIn({ ...who, device: mate })
  await vi.waitFor(async () => expect(await storage.get('hufu')).toContain('"toEnd":[]'))
  expect((await app.house.sessions.list(account.id)).map(({ id }) => id)).toEqual([session.id])
  expect(ends).toEqual([])
})

test('A base URL that leads somewhere else is not taken for the server', async () => {
  const { client, ends } = phone(undefined, { baseUrl: `${app.url}/docs`, transport: fetchTransport() })
  await expect(client.signIn(who)).rejects.toMatchObject({ code: expect.stringMatching(/not_/) })
  expect(ends).toEqual([])
})
