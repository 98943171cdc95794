// The requests on the wire, and the facts of a response.
import { expect, test, vi } from 'vitest'
import { type ClientOptions, createClient, type Fetch, fetchTransport, HufuError } from './client.ts'
import { baseUrl, fakeNetwork, held, issued, offline, portal, problem, signedIn } from './fake-network.ts'

const input = { phoneNumber: '12345678901', password: 'secret-password' }
const clock = { now: () => Date.UTC(2026, 10, 22) }

async function signedInClient(options: Partial<ClientOptions> = {}) {
  const network = fakeNetwork(() => issued('1'))
  const client = createClient({ baseUrl, transport: network.transport, clock, ...options })
  await client.signIn(input)
  return { client, network }
}

async function failureOf(call: Promise<unknown>): Promise<HufuError> {
  const error = await call.then(
    () => null,
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof HufuError)) throw new Error(`no HufuError: ${error}`)
  return error
}

test('A request carries the token, the language and no cookie, and follows no redirect', async () => {
  const { client, network } = await signedInClient({ language: 'zh-CN' })
  network.answer = () => signedIn('1')
  await client.me()
  expect(network.asked[1]?.init).toEqual({
    method: 'GET',
    headers: {
      accept: 'application/json, application/problem+json',
      'accept-language': 'zh-CN',
      authorization: 'Bearer token-1',
    },
    redirect: 'manual',
    credentials: 'omit',
    signal: expect.any(AbortSignal),
  })
  expect(network.asked[0]?.init.headers).toMatchObject({ 'content-type': 'application/json' })
})

test('A base URL may have a path and trailing slashes', async () => {
  const network = fakeNetwork(() => issued('1'))
  await createClient({ baseUrl: `${baseUrl}/accounts//`, transport: network.transport }).signIn(input)
  expect(network.asked[0]?.path).toBe('/accounts/v1/sessions')
})

test.each([
  '',
  'hufu.test',
  '/accounts',
  'https://',
  'ftp://hufu.test',
  'https://hufu.test?x',
  'https://h/#x',
])('The base URL %j is refused', (url) => {
  expect(() => createClient({ baseUrl: url })).toThrow(TypeError)
})

test.each([
  0,
  -1,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  2 ** 31,
])('A time limit of %d ms is refused', (timeoutMs) => {
  expect(() => createClient({ baseUrl, timeoutMs })).toThrow(TypeError)
})

test('A language that is no valid header value is refused', () => {
  expect(() => createClient({ baseUrl, language: '中文' })).toThrow(TypeError)
})

test('The platform’s fetch is looked up for each request', async () => {
  const { fetch } = globalThis
  const client = createClient({ baseUrl: 'http://127.0.0.1:9' })
  globalThis.fetch = async () => issued('1')
  try {
    expect(await client.signIn(input)).toMatchObject({ session: { id: 'session-1' } })
  } finally {
    globalThis.fetch = fetch
  }
})

test('A request that takes too long is aborted', async () => {
  const { client, network } = await signedInClient({ timeoutMs: 20 })
  network.answer = () => held<Response>().promise
  const error = await failureOf(client.me())
  expect(error).toMatchObject({ code: 'timeout', status: null })
  expect(network.asked[1]?.init.signal?.aborted).toBe(true)
})

test('Where the platform cannot abort, the deadline applies as well', async () => {
  vi.stubGlobal('AbortController', undefined)
  const { client, network } = await signedInClient({ timeoutMs: 20 })
  network.answer = () => held<Response>().promise
  expect(await failureOf(client.me())).toMatchObject({ code: 'timeout' })
  expect(network.asked[1]?.init).not.toHaveProperty('signal')
  vi.unstubAllGlobals()
})

test('Without fetch and without a transport, a call names what is missing', async () => {
  vi.stubGlobal('fetch', undefined)
  const error = await failureOf(createClient({ baseUrl }).signIn(input))
  expect(error).toHaveProperty('cause.message', expect.stringContaining('transport'))
  vi.unstubAllGlobals()
})

test('A network error keeps its cause', async () => {
  const { client, network } = await signedInClient()
  network.answer = offline
  expect((await failureOf(client.me())).cause).toBeInstanceOf(TypeError)
})

test.each([
  ['7', 7],
  ['Sun, 22 Nov 2026 00:01:30 GMT', 90],
  ['Sat, 21 Nov 2026 00:00:00 GMT', 0],
  ['soon', null],
])('Retry-After: %s is %s seconds', async (header, seconds) => {
  const { client, network } = await signedInClient()
  network.answer = () => problem(503, 'overloaded', {}, { 'retry-after': header })
  expect((await failureOf(client.me())).retryAfterSeconds).toBe(seconds)
})

test('An error has the server’s request id and message', async () => {
  const { client, network } = await signedInClient()
  network.answer = () => problem(503, 'unavailable', { request_id: 'r-9' })
  const error = await failureOf(client.me())
  expect(error).toMatchObject({ requestId: 'r-9', message: 'Title of unavailable', retryAfterSeconds: null })
})

test('A refused request names the wrong fields', async () => {
  const { client, network } = await signedInClient()
  const fields = [{ pointer: '/password', problem: 'is_missing' }]
  network.answer = () => problem(422, 'invalid_request', { fields })
  expect((await failureOf(client.signIn(input))).fields).toEqual(fields)
  network.answer = () => problem(422, 'phone_number_invalid')
  expect((await failureOf(client.signIn(input))).fields).toEqual([])
})

test('A refusal has the server’s detail for people, or null', async () => {
  const { client, network } = await signedInClient()
  const detail = 'Codes go to: China.'
  network.answer = () => problem(422, 'country_not_served', { detail })
  expect((await failureOf(client.signIn(input))).detail).toBe(detail)
  network.answer = () => problem(422, 'country_not_served')
  expect((await failureOf(client.signIn(input))).detail).toBeNull()
  network.answer = offline
  expect((await failureOf(client.signIn(input))).detail).toBeNull()
})

test('The error of a banned account has the end of the ban', async () => {
  const { client, network } = await signedInClient()
  network.answer = () => problem(403, 'account_banned', { banned_until: '2027-01-01T00:00:00.000Z' })
  const error = await failureOf(client.signIn(input))
  expect(error).toMatchObject({
    code: 'account_banned',
    bannedUntil: '2027-01-01T00:00:00.000Z',
    signedOut: null,
  })
})

test.each([
  ['zh-CN', '网络不可用，请检查网络后重试'],
  ['en', 'There is no connection; check the network and try again'],
])('What the client says by itself is in the language %s', async (language, message) => {
  const { client, network } = await signedInClient({ language })
  network.answer = offline
  expect((await failureOf(client.me())).message).toBe(message)
})

test('No error contains the token or the password', async () => {
  const { inspect } = await import('node:util')
  const { client, network } = await signedInClient()
  for (const answer of [offline, () => portal(), () => problem(401, 'credentials_wrong')]) {
    network.answer = answer
    const errors = [await failureOf(client.me()), await failureOf(client.signIn(input))]
    const text = inspect(errors, { depth: 9, showHidden: true })
    expect(text).not.toMatch(/token-1|secret-password/)
  }
})

/**
 * A page of `origin`, and a network on which it reaches the server but may not read the responses, as in
 * browsers.
 */
function pageOn(origin: string, { isServerThere = true, language = 'en' } = {}) {
  vi.stubGlobal('location', { origin })
  const modes: (string | undefined)[] = []
  let isAllowed = false
  const fetch: Fetch = async (_url, init) => {
    modes.push(init.mode)
    if (isAllowed) return issued('1')
    if (init.mode === 'no-cors' && isServerThere) return new Response(null, { status: 200 })
    throw new TypeError('Failed to fetch')
  }
  const client = createClient({ baseUrl, language, transport: fetchTransport(fetch) })
  const allow = (allowed: boolean) => {
    isAllowed = allowed
  }
  return { client, modes, allow }
}

test.each([
  [
    'https://app.example.com',
    'en',
    /HUFU_ALLOWED_ORIGINS on the server probably lacks https:\/\/app\.example\.com$/,
  ],
  ['capacitor://localhost', 'zh-CN', /HUFU_ALLOWED_ORIGINS 中可能没有 capacitor:\/\/localhost$/],
  ['file://', 'en', /a page from a file has no origin/],
  ['null', 'en', /a page from a file has no origin/],
])('A page of %s that the server does not allow is told so (%s)', async (origin, language, message) => {
  const { client } = pageOn(origin, { language })
  const error = await failureOf(client.signIn(input))
  vi.unstubAllGlobals()
  expect(error).toMatchObject({ code: 'network', status: null, message: expect.stringMatching(message) })
  expect(error).toHaveProperty('cause.message', 'Failed to fetch')
})

test('Without a network, a page gets a network error without a hint at origins', async () => {
  const { client } = pageOn('https://app.example.com', { isServerThere: false })
  const error = await failureOf(client.signIn(input))
  vi.unstubAllGlobals()
  expect(error.message).toBe('There is no connection; check the network and try again')
})

test('A page of the server’s origin gets no hint at origins, and sends no further request', async () => {
  const { client, modes } = pageOn(baseUrl)
  const error = await failureOf(client.signIn(input))
  vi.unstubAllGlobals()
  expect(error.message).not.toMatch(/ORIGINS/)
  expect(modes).toEqual([undefined])
})

test('A page that the server has answered before gets no hint at origins', async () => {
  const { client, modes, allow } = pageOn('https://app.example.com')
  allow(true)
  await client.signIn(input)
  allow(false)
  const error = await failureOf(client.signIn(input))
  vi.unstubAllGlobals()
  expect(error.message).not.toMatch(/ORIGINS/)
  expect(modes).toEqual([undefined, undefined])
})

test('Outside of a page, no further request is sent after a failure', async () => {
  const network = fakeNetwork(offline)
  const client = createClient({ baseUrl, transport: network.transport })
  await failureOf(client.signIn(input))
  expect(network.asked).toHaveLength(1)
})
