// The fast path in front of Fastify returns the same bytes as Fastify's routes, and leaves every request that
// is not plain to them.
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { noOrigin } from '../../src/events/events.ts'
import { addPerson, person, type RunningApp, startApp } from '../support/app.ts'
import { databases, redisUrl, stores } from '../support/databases.ts'
import { phone } from '../support/in-process-server.ts'

const origin = 'https://app.example.com'

describe.each(stores)('$name', ({ database, redis, skipped }) => {
  let app: RunningApp
  let token = ''
  const closers: (() => Promise<unknown>)[] = []

  beforeAll(async () => {
    if (skipped !== null) return
    const { url, drop } = await database.create()
    closers.push(drop)
    const allowed = { HUFU_ALLOWED_ORIGINS: origin }
    const environment = { ...allowed, ...(redis && { HUFU_REDIS_URL: redisUrl() ?? '' }) }
    app = await startApp(url, { environment })
    closers.push(() => app.close())
    await addPerson(app.services)
    const answer = await fetch(`${app.url}/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ phone_number: person.phone, password: person.password }),
    })
    token = ((await answer.json()) as { token: string }).token
  })
  afterAll(async () => {
    for (const close of closers.reverse()) await close()
  })

  test.skipIf(skipped !== null)('a session with constant requests ends when it expires', async () => {
    const { url, drop } = await database.create()
    const environment = { HUFU_SESSION_LIFE_DAYS: '0', HUFU_SESSION_MAX_LIFE_DAYS: '7' }
    const short = await startApp(url, {
      environment: { ...environment, ...(redis && { HUFU_REDIS_URL: redisUrl() ?? '' }) },
    })
    await addPerson(short.services)
    const context = { device: phone, origin: noOrigin }
    const credential = { phoneNumber: person.phone, password: person.password }
    const issued = await short.services.signIn.by('password', context, credential)
    const status = async () =>
      (await fetch(`${short.url}/v1/session`, { headers: { authorization: `Bearer ${issued.token}` } }))
        .status
    short.clock.advance(7 * 86_400_000 - 30_000)
    for (let i = 0; i < 5; i++) expect(await status()).toBe(200)
    short.clock.advance(29_999)
    expect(await status()).toBe(200)
    short.clock.advance(1)
    expect(await status()).toBe(401)
    await short.close()
    await drop()
  })

  /** The bytes of the response to these lines, without the parts that vary with time. */
  async function raw(lines: readonly string[]): Promise<string> {
    const socket = connect(Number(new URL(app.url).port), '127.0.0.1')
    socket.write([...lines, 'host: x', 'connection: close', '', ''].join('\r\n'))
    let bytes = ''
    for await (const chunk of socket) bytes += chunk
    return bytes.replace(/^date: .*$/im, 'date').replace(/^x-request-id: .*$/im, 'x-request-id')
  }

  /** The bytes with their headers sorted: the two ways differ in the order of the headers alone. */
  const sorted = (answer: string) => {
    const [head = '', body] = answer.split('\r\n\r\n')
    const [status, ...headers] = head.split('\r\n')
    return [status, ...headers.map((line) => line.toLowerCase()).sort(), body]
  }

  const routes = [
    ['/user', () => `token: ${token}`],
    ['/v1/session', () => `authorization: Bearer ${token}`],
  ] as const

  const pages = [
    ['of no page', []],
    ['of a page that may call', [`origin: ${origin}`]],
    ['of another page', ['origin: https://evil.test']],
  ] as const
  const asked = routes.flatMap(([path, header]) =>
    pages.map(([whose, lines]) => [path, whose, () => [header(), ...lines]] as const),
  )
  test.skipIf(skipped !== null).each(asked)(
    'GET %s %s: both ways return the same bytes',
    async (path, whose, lines) => {
      const quick: string[] = []
      // A query makes the request take Fastify's route; the first ones of a token do as well.
      for (let i = 0; i < 4; i++) quick.push(await raw([`GET ${path} HTTP/1.1`, ...lines()]))
      const long = await raw([`GET ${path}?x HTTP/1.1`, ...lines()])
      expect(long).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
      for (const answer of quick) expect(sorted(answer)).toEqual(sorted(long))
      expect(long.includes(`\r\naccess-control-allow-origin: ${origin}\r\n`)).toBe(
        whose === 'of a page that may call',
      )
      expect(long).toContain('\r\nvary: Origin\r\n')
    },
  )

  test.skipIf(skipped !== null).each(routes)('GET %s: both ways log the same line', async (path, header) => {
    app.lines.length = 0
    for (const url of [path, path, `${path}?x`]) await raw([`GET ${url} HTTP/1.1`, header()])
    const found = () =>
      app.lines
        .map((line) => JSON.parse(line) as { path?: string })
        .filter((line) => line.path === path)
        .map((line) => ({ ...line, ms: 0, requestId: '', time: '' }))
    await expect.poll(() => found().length).toBe(3)
    const [first, ...others] = found()
    for (const line of others) expect(line).toEqual(first)
  })

  test.skipIf(skipped !== null)(
    'a request that is not plain takes the route in Fastify with the same answer',
    async () => {
      const bearer = `authorization: Bearer ${token}`
      const status = async (...lines: string[]) => Number((await raw(lines)).slice(9, 12))
      expect(await status('GET /v1/session HTTP/1.1', bearer)).toBe(200)
      expect(await status('GET /v1/session HTTP/1.1', bearer, bearer)).toBe(400)
      expect(await status(`GET /v1/session?token=${token} HTTP/1.1`, bearer)).toBe(400)
      expect(await status('GET /v1/session HTTP/1.1')).toBe(401)
      expect(await status('GET /v1/session HTTP/1.1', `authorization: Bearer ${token}x`)).toBe(401)
      expect(await status('POST /v1/session HTTP/1.1', bearer)).toBe(405)
      expect(await status('GET /v1/session HTTP/1.1', bearer, 'upgrade: websocket')).toBe(400)
      const end = await fetch(`${app.url}/logout`, { headers: { token } })
      expect(await end.json()).toMatchObject({ code: 1 })
      expect(await status('GET /v1/session HTTP/1.1', bearer)).toBe(401)
    },
  )
})

test('both ways return the same bytes while no other origin is allowed, whichever page sends the request', async () => {
  const [sqlite = expect.fail()] = databases
  const { url, drop } = await sqlite.create()
  const app = await startApp(url)
  await addPerson(app.services)
  const context = { device: phone, origin: noOrigin }
  const credential = { phoneNumber: person.phone, password: person.password }
  const { token } = await app.services.signIn.by('password', context, credential)
  const namesOf = async (path: string, more: Record<string, string>) =>
    [...(await fetch(app.url + path, { headers: { token, ...more } })).headers.keys()].toSorted()
  const plain = await namesOf('/user?long', {})
  for (let i = 0; i < 4; i++) expect(await namesOf('/user', { origin })).toEqual(plain)
  expect(plain.filter((name) => name === 'vary' || name.startsWith('access-control'))).toEqual([])
  await app.close()
  await drop()
})

describe.each([
  ['without a list of proxies', {}, '127.0.0.1'],
  ['behind a proxy on the list', { HUFU_TRUSTED_PROXIES: '127.0.0.1' }, '203.0.113.7'],
])('%s', (_name, environment, address) => {
  test('a remembered token does not reach Fastify, and the log has the same address', async () => {
    const [sqlite = expect.fail()] = databases
    const { url, drop } = await sqlite.create()
    const app = await startApp(url, { environment: environment as Record<string, string> })
    await addPerson(app.services)
    const context = { device: phone, origin: noOrigin }
    const credential = { phoneNumber: person.phone, password: person.password }
    const { token } = await app.services.signIn.by('password', context, credential)
    const headers = { token, 'x-forwarded-for': '198.51.100.9, 203.0.113.7' }
    let reached = 0
    const count = () => reached++
    subscribe('tracing:fastify.request.handler:start', count)
    try {
      for (let i = 0; i < 5; i++) expect((await fetch(`${app.url}/user`, { headers })).status).toBe(200)
      // A token is remembered once its cache entry was found.
      expect(reached).toBe(1)
      await fetch(`${app.url}/user?long`, { headers })
      expect(reached).toBe(2)
    } finally {
      unsubscribe('tracing:fastify.request.handler:start', count)
    }
    const asked = () => app.lines.filter((line) => line.includes('"/user"'))
    await expect.poll(() => asked().length).toBe(6)
    expect(asked().map((line) => (JSON.parse(line) as { ip: string }).ip)).toEqual(Array(6).fill(address))
    await app.close()
    await drop()
  })
})
