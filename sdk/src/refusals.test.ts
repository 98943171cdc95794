// Only the server's refusal signs out: responses that do, responses that never do, and late responses.
import { describe, expect, test, vi } from 'vitest'
import { createClient, memoryStorage, type SignedOut } from './client.ts'
import {
  type Answering,
  baseUrl,
  done,
  fakeNetwork,
  held,
  issued,
  json,
  offline,
  portal,
  problem,
  replaced,
  signedIn,
} from './fake-network.ts'

const input = { phoneNumber: '12345678901', password: '123456' }
const clock = { now: () => Date.UTC(2026, 10, 22, 4, 5, 6) }

async function signedInClient({ timeoutMs = 1_000 } = {}) {
  const network = fakeNetwork(() => issued('1'))
  const storage = memoryStorage()
  const client = createClient({ baseUrl, transport: network.transport, storage, clock, timeoutMs })
  await client.signIn(input)
  const ends: SignedOut[] = []
  client.onSignedOut((end) => void ends.push(end))
  return { client, network, storage, ends }
}

/** A body that is cut off or never ends. */
function brokenBody(how: 'breaks' | 'hangs'): Response {
  const body = new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode('{"session":'))
      if (how === 'breaks') controller.error(new TypeError('terminated'))
    },
  })
  return new Response(body, { status: 401, headers: { 'content-type': 'application/problem+json' } })
}

const unlike = { 'content-type': 'application/json' }
/** The app learns that a proxy has replaced the answer of the server. */
const reasonReplaced = {
  code: 'not_hufu',
  status: 401,
  detail: expect.stringMatching(/proxy, a gateway or a Wi-Fi page has replaced the answer/),
}
const harmless: [string, Answering, object][] = [
  ['no network', offline, { code: 'network', status: null }],
  ['an answer that never comes', () => held<Response>().promise, { code: 'timeout', status: null }],
  ['an answer that breaks off', () => brokenBody('breaks'), { code: 'network' }],
  ['an answer that never ends', () => brokenBody('hangs'), { code: 'timeout' }],
  ['a Wi-Fi page with status 200', () => portal(), { code: 'not_hufu', status: 200, detail: null }],
  ['a Wi-Fi page with status 401', () => portal(401), reasonReplaced],
  ['a Wi-Fi page with status 511', () => portal(511), { code: 'not_hufu', status: 511 }],
  ['a redirect', () => new Response(null, { status: 302 }), { code: 'not_hufu', status: 302 }],
  ['a redirect as browsers hide it', () => Response.error(), { code: 'not_hufu', status: null }],
  ['status 204 without an answer', done, { code: 'not_hufu', status: 204 }],
  ['JSON of another server', () => json(200, { login: true }), { code: 'not_hufu', status: 200 }],
  ['401 with JSON of another server', () => json(401, { code: 'token_unknown' }), reasonReplaced],
  ['401 without a body', () => new Response(null, { status: 401 }), reasonReplaced],
  [
    "401 with nginx's page for the reason of the server",
    () =>
      new Response('<html><head><title>401 Authorization Required</title></head></html>', {
        status: 401,
        headers: { 'content-type': 'text/html', 'www-authenticate': 'Bearer error="invalid_token"' },
      }),
    reasonReplaced,
  ],
  [
    "Traefik's 401 for a large body",
    () => new Response('Unauthorized\n', { status: 401, headers: { 'content-type': 'text/plain' } }),
    reasonReplaced,
  ],
  ['429 of a proxy', () => portal(429), { code: 'not_hufu', status: 429 }],
  ['429 of the server', () => problem(429, 'overloaded'), { code: 'overloaded', status: 429 }],
  ['500', () => problem(500, 'internal'), { code: 'internal', status: 500 }],
  ['502 of a proxy', () => portal(502), { code: 'not_hufu', status: 502 }],
  ['503', () => problem(503, 'unavailable'), { code: 'unavailable', status: 503 }],
  ['503 that speaks of tokens', () => problem(503, 'token_unknown'), { code: 'token_unknown', status: 503 }],
  ['401 token_missing', () => problem(401, 'token_missing'), { code: 'token_missing', status: 401 }],
  ['401 credentials_wrong', () => problem(401, 'credentials_wrong'), { code: 'credentials_wrong' }],
  ['401 session_not_found', () => problem(401, 'session_not_found'), { code: 'session_not_found' }],
  ['404 session_not_found', () => problem(404, 'session_not_found'), { code: 'session_not_found' }],
  ['401 in a body that says 403', () => problem(401, 'session_replaced', { status: 403 }), reasonReplaced],
  ['401 as plain JSON', () => problem(401, 'nope', { type: 'about:blank' }, unlike), reasonReplaced],
]

describe.each(harmless)('After %s', (_name, answer, error) => {
  test('the app stays signed in, now and at the next start', async () => {
    const { client, network, storage, ends } = await signedInClient({ timeoutMs: 30 })
    network.answer = answer
    await expect(client.me()).rejects.toMatchObject({ name: 'HufuError', signedOut: null, ...error })
    await expect(client.devices()).rejects.toMatchObject(error)
    expect(client.state).toMatchObject({ is: 'signed_in', account: { nickname: '小明' } })
    expect(ends).toEqual([])

    const next = createClient({ baseUrl, transport: network.transport, storage })
    expect(await next.start()).toMatchObject({ is: 'signed_in', account: { nickname: '小明' } })
    network.answer = () => signedIn('1')
    await expect(client.me()).resolves.toMatchObject({ session: { id: 'session-1' } })
  })
})

const reasons = [
  'signed_out',
  'replaced',
  'kicked',
  'banned',
  'password_changed',
  'phone_changed',
  'account_closed',
  'expired',
  'token_reused',
  'a_reason_of_the_future',
]

test.each(reasons)('A 401 session_%s signs out with that reason', async (reason) => {
  const { client, network, ends } = await signedInClient()
  network.answer = () => problem(401, `session_${reason}`)
  await expect(client.me()).rejects.toMatchObject({ code: `session_${reason}`, signedOut: { reason } })
  expect(client.state).toMatchObject({ is: 'signed_out', reason })
  expect(ends).toMatchObject([{ reason, message: `Title of session_${reason}` }])
})

test('A sign-out by the server has a reason, a time, a device and a sentence', async () => {
  const { client, network, ends } = await signedInClient()
  network.answer = replaced
  await expect(client.me()).rejects.toMatchObject({ code: 'session_replaced' })
  const end = {
    reason: 'replaced',
    at: '2026-11-22T01:02:03.000Z',
    byDevice: { platform: 'android', name: '华为 Mate 60' },
    message: 'Title of session_replaced',
  }
  expect(ends).toEqual([end])
  expect(client.state).toEqual({ is: 'signed_out', ...end })
})

test('A token that the server does not know signs out, at the time of the client’s clock', async () => {
  const { client, network, ends } = await signedInClient()
  network.answer = () => problem(401, 'token_unknown')
  await expect(client.devices()).rejects.toMatchObject({ code: 'token_unknown' })
  const message = 'Title of token_unknown'
  expect(ends).toEqual([{ reason: 'token_unknown', at: '2026-11-22T04:05:06.000Z', byDevice: null, message }])
})

test('The reason is still known at the next start, until the next sign-in', async () => {
  const { client, network, storage } = await signedInClient()
  network.answer = replaced
  await client.me().catch(() => {})
  const next = createClient({ baseUrl, transport: network.transport, storage })
  expect(await next.start()).toMatchObject({ is: 'signed_out', reason: 'replaced' })
  network.answer = () => issued('2')
  await next.signIn(input)
  expect(await storage.get('hufu')).not.toContain('replaced')
})

test('Several refusals at once are one sign-out', async () => {
  const { client, network, ends } = await signedInClient()
  network.answer = replaced
  const calls = await Promise.allSettled([client.me(), client.devices(), client.me(), client.endDevice('x')])
  expect(calls.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected', 'rejected'])
  expect(ends).toHaveLength(1)
})

test('A refusal of the old token does not affect a later sign-in', async () => {
  const { client, network, storage, ends } = await signedInClient()
  const late = held<Response>()
  network.answer = () => late.promise
  const asking = client.me()
  await vi.waitFor(() => expect(network.asked).toHaveLength(2))
  network.answer = ({ path }) => (path.endsWith('/end') ? replaced() : issued('2'))
  await client.signIn(input)

  late.resolve(replaced())
  await expect(asking).rejects.toMatchObject({ code: 'session_replaced' })
  expect(client.state).toMatchObject({ is: 'signed_in', session: { id: 'session-2' } })
  expect(await storage.get('hufu')).toContain('token-2')
  expect(ends).toEqual([])
})

test('A late response to the old token does not overwrite the new session', async () => {
  const { client, network } = await signedInClient()
  const late = held<Response>()
  network.answer = () => late.promise
  const asking = client.me()
  await vi.waitFor(() => expect(network.asked).toHaveLength(2))
  network.answer = ({ path }) => (path.endsWith('/end') ? done() : issued('2'))
  await client.signIn(input)
  late.resolve(signedIn('1', 'old'))
  expect((await asking).account.nickname).toBe('old')
  expect(client.state).toMatchObject({ account: { nickname: '小明' }, session: { id: 'session-2' } })
})

test('A late response after a sign-out does not sign in again', async () => {
  const { client, network, storage } = await signedInClient()
  const late = held<Response>()
  network.answer = ({ path }) => (path.endsWith('/end') ? done() : late.promise)
  const asking = client.me()
  await vi.waitFor(() => expect(network.asked).toHaveLength(2))
  await client.signOut()
  late.resolve(signedIn('1'))
  await asking
  expect(client.state.is).toBe('signed_out')
  expect(await storage.get('hufu')).toBeNull()
})
