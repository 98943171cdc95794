// Signing out with a bad network: at once on the device, and later on the server.
import { expect, test, vi } from 'vitest'
import { createClient, memoryStorage } from './client.ts'
import {
  type Answering,
  baseUrl,
  done,
  fakeNetwork,
  held,
  issued,
  offline,
  portal,
  problem,
  signedIn,
} from './fake-network.ts'

const input = { phoneNumber: '12345678901', password: '123456' }
const clock = { now: () => Date.UTC(2026, 10, 22) }

async function signedInClient() {
  const network = fakeNetwork(() => issued('1'))
  const storage = memoryStorage()
  const client = createClient({
    baseUrl,
    transport: network.transport,
    storage,
    clock,
    timeoutMs: 1_000,
    language: 'zh',
  })
  await client.signIn(input)
  return { client, network, storage }
}

/** The requests with a token, since the first request. */
const tokensAsked = ({ asked }: ReturnType<typeof fakeNetwork>) =>
  asked.filter(({ token }) => token).map(({ method, path, token }) => `${method} ${path} ${token}`)

test('A sign-out is done on the device before it is sent to the server', async () => {
  const { client, network, storage } = await signedInClient()
  const listener = vi.fn()
  client.onSignedOut(listener)
  const answer = held<Response>()
  network.answer = () => answer.promise
  const signingOut = client.signOut()
  await vi.waitFor(() => expect(network.asked).toHaveLength(2))

  expect(client.state).toMatchObject({ is: 'signed_out', reason: null })
  const message = '已退出登录'
  const end = { reason: 'signed_out', at: '2026-11-22T00:00:00.000Z', byDevice: null, message }
  expect(listener.mock.calls).toEqual([[end]])
  await expect(client.me()).rejects.toMatchObject({ code: 'token_missing' })
  answer.resolve(done())
  await signingOut
  expect(await storage.get('hufu')).toBeNull()
  expect(tokensAsked(network)).toEqual(['POST /v1/session/end token-1'])
})

const untold: [string, Answering][] = [
  ['there is no network', offline],
  ['a Wi-Fi page answers', () => portal()],
  ['a Wi-Fi page answers 401', () => portal(401)],
  ['the server is overloaded', () => problem(503, 'overloaded')],
  ['the server has a fault', () => problem(500, 'internal')],
]

test.each(
  untold,
)('When %s, a sign-out holds, and the server is told at the next start', async (_name, answer) => {
  const { client, network, storage } = await signedInClient()
  network.answer = answer
  await client.signOut()
  expect(client.state.is).toBe('signed_out')

  const next = createClient({ baseUrl, transport: network.transport, storage })
  expect(await next.start()).toMatchObject({ is: 'signed_out', reason: null })
  await expect(next.me()).rejects.toMatchObject({ code: 'token_missing' })
  network.answer = done
  await next.start()
  await vi.waitFor(async () => expect(await storage.get('hufu')).toBeNull())
  expect(new Set(tokensAsked(network))).toEqual(new Set(['POST /v1/session/end token-1']))
})

test('After an offline sign-out, the next call that reaches the server sends it', async () => {
  const { client, network, storage } = await signedInClient()
  network.answer = offline
  await client.signOut()
  network.answer = ({ path }) => (path.endsWith('/end') ? done() : issued('2'))
  await client.signIn(input)
  await vi.waitFor(async () => expect(await storage.get('hufu')).not.toContain('token-1'))
  expect(tokensAsked(network).at(-1)).toBe('POST /v1/session/end token-1')
  expect(client.state).toMatchObject({ is: 'signed_in', session: { id: 'session-2' } })
})

test('Any call that reaches the server sends the pending sign-out', async () => {
  const { client, network, storage } = await signedInClient()
  network.answer = offline
  await client.signOut()
  network.answer = ({ path }) => (path.endsWith('/end') ? offline() : issued('2'))
  await client.signIn(input)
  await vi.waitFor(() => expect(tokensAsked(network)).toHaveLength(2))
  network.answer = ({ path }) => (path.endsWith('/end') ? done() : signedIn('2'))
  await client.me()
  await vi.waitFor(async () => expect(await storage.get('hufu')).not.toContain('token-1'))
})

test('A token that waits for its sign-out is used for nothing else, and the new token is not ended', async () => {
  const { client, network } = await signedInClient()
  network.answer = offline
  await client.signOut()
  network.answer = ({ path }) => {
    if (path.endsWith('/end')) throw new TypeError('fetch failed')
    return path === '/v1/sessions' ? issued('2') : signedIn('2')
  }
  await client.signIn(input)
  await client.me()
  await client.me()
  const asked = new Set(tokensAsked(network))
  expect(asked).toEqual(new Set(['POST /v1/session/end token-1', 'GET /v1/session token-2']))
})

test.each([
  'token_unknown',
  'session_expired',
  'session_replaced',
])('A token that is already over on the server (%s) is not sent again, and signs nothing out', async (code) => {
  const { client, network, storage } = await signedInClient()
  network.answer = offline
  await client.signOut()
  network.answer = ({ path }) => (path.endsWith('/end') ? problem(401, code) : issued('2'))
  const listener = vi.fn()
  client.onSignedOut(listener)
  await client.signIn(input)
  await vi.waitFor(async () => expect(await storage.get('hufu')).not.toContain('token-1'))
  expect(client.state.is).toBe('signed_in')
  expect(listener).not.toHaveBeenCalled()
})

test('A sign-in over another session ends that session', async () => {
  const { client, network, storage } = await signedInClient()
  network.answer = ({ path }) => (path.endsWith('/end') ? done() : issued('2'))
  await client.signIn(input)
  await vi.waitFor(() => expect(tokensAsked(network)).toEqual(['POST /v1/session/end token-1']))
  await vi.waitFor(async () => expect(await storage.get('hufu')).not.toContain('token-1'))
  expect(client.state).toMatchObject({ session: { id: 'session-2' } })
})

test('Repeated starts send one sign-out while the server has not answered', async () => {
  const { client, network } = await signedInClient()
  network.answer = offline
  await client.signOut()
  const answer = held<Response>()
  network.answer = () => answer.promise
  await Promise.all([client.start(), client.start(), client.start()])
  expect(network.asked).toHaveLength(3)
  answer.resolve(done())
})

test('A start does not wait for the network', async () => {
  const { client, network, storage } = await signedInClient()
  network.answer = offline
  await client.signOut()
  network.answer = () => held<Response>().promise
  const next = createClient({ baseUrl, transport: network.transport, storage, timeoutMs: 60_000 })
  expect(await next.start()).toMatchObject({ is: 'signed_out', reason: null })
})

test('Signing out without a session does nothing', async () => {
  const network = fakeNetwork()
  const client = createClient({ baseUrl, transport: network.transport })
  const listener = vi.fn()
  client.onSignedOut(listener)
  await client.signOut()
  expect(network.asked).toEqual([])
  expect(listener).not.toHaveBeenCalled()
})
