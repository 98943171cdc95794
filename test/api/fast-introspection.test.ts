// POST /v1/introspect in front of Fastify returns the same bytes as Fastify's route, and leaves every request
// that is not plain to it.
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { connect } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { noOrigin } from '../../src/events/events.ts'
import type { KeyScope } from '../../src/service-keys/service-key.ts'
import { addPerson, person, type RunningApp, startApp } from '../support/app.ts'
import { databases, redisUrl, stores } from '../support/databases.ts'
import { phone } from '../support/in-process-server.ts'

const origin = 'https://app.example.com'
const byOperator = { by: null, origin: noOrigin }

async function createKey(app: RunningApp, scopes: readonly KeyScope[], networks: readonly string[] = []) {
  return await app.services.keys.create({ name: 'test', scopes, networks, expiresAt: null }, byOperator)
}

async function signIn(app: RunningApp) {
  const credential = { phoneNumber: person.phone, password: person.password }
  return await app.services.signIn.by('password', { device: phone, origin: noOrigin }, credential)
}

interface Request {
  readonly authorization: string
  readonly body: string
  readonly headers?: readonly string[]
}

function textOf({ authorization, body, headers = [] }: Request, connection = 'close'): string {
  return [
    'POST /v1/introspect HTTP/1.1',
    'host: x',
    `connection: ${connection}`,
    `authorization: ${authorization}`,
    'content-type: application/x-www-form-urlencoded',
    `content-length: ${body.length}`,
    ...headers,
    '',
    body,
  ].join('\r\n')
}

/** What the server sends for these pieces, without the parts that vary with time. */
async function sent(app: RunningApp, ...pieces: string[]): Promise<string> {
  const socket = connect(Number(new URL(app.url).port), '127.0.0.1')
  socket.setNoDelay(true)
  let bytes = ''
  socket.on('data', (chunk) => {
    bytes += chunk
  })
  const closed = new Promise((resolve) => socket.once('close', resolve))
  for (const piece of pieces) {
    await new Promise((resolve) => socket.write(piece, resolve))
    // The server, in this process, has read the piece.
    for (let i = 0; i < 20; i++) await setImmediate()
  }
  await closed
  return bytes.replaceAll(/^date: .*$/gim, 'date').replaceAll(/^x-request-id: .*$/gim, 'x-request-id')
}

const ask = async (app: RunningApp, request: Request) => await sent(app, textOf(request))

/** With its headers sorted: the two ways differ in the order of the headers alone. */
function sorted(answer: string) {
  const [head = '', body] = answer.split('\r\n\r\n')
  const [status, ...headers] = head.split('\r\n')
  return [status, ...headers.map((line) => line.toLowerCase()).sort(), body]
}

/** Requests that have reached a route of Fastify. */
let reached = 0
const count = () => reached++
beforeAll(() => subscribe('tracing:fastify.request.handler:start', count))
afterAll(() => unsubscribe('tracing:fastify.request.handler:start', count))
beforeEach(() => {
  reached = 0
})

describe.each(stores)('$name', ({ database, redis, skipped }) => {
  let app: RunningApp
  const keys = new Map<string, { id: string; text: string }>()
  const closers: (() => Promise<unknown>)[] = []

  beforeAll(async () => {
    if (skipped !== null) return
    const { url, drop } = await database.create()
    closers.push(drop)
    const allowed = { HUFU_ALLOWED_ORIGINS: origin }
    app = await startApp(url, {
      environment: { ...allowed, ...(redis && { HUFU_REDIS_URL: redisUrl() ?? '' }) },
    })
    closers.push(() => app.close())
    await addPerson(app.services)
    for (const scopes of [
      ['introspect'],
      ['introspect', 'introspect:reason', 'introspect:phone'],
    ] as KeyScope[][]) {
      const { key, text } = await createKey(app, scopes)
      keys.set(scopes.length === 1 ? 'a key with one scope' : 'a key with all scopes', { id: key.id, text })
    }
  })
  afterAll(async () => {
    for (const close of closers.reverse()) await close()
  })

  const schemes = {
    Bearer: ({ text }: { text: string }) => `Bearer ${text}`,
    Basic: ({ id, text }: { id: string; text: string }) =>
      `Basic ${Buffer.from(`${id}:${text}`).toString('base64')}`,
  }
  const cases = ['a key with one scope', 'a key with all scopes'].flatMap((name) =>
    (['Bearer', 'Basic'] as const).flatMap((scheme) =>
      [[], [`origin: ${origin}`], ['origin: https://evil.test']].map(
        (headers) => [name, scheme, headers.join() || 'no origin', headers] as const,
      ),
    ),
  )

  test.skipIf(skipped !== null).each(cases)(
    '%s as %s with %s: both ways return the same bytes and log the same line',
    async (name, scheme, _origin, headers) => {
      const { token } = await signIn(app)
      const authorization = schemes[scheme](keys.get(name) ?? expect.fail())
      app.lines.length = 0
      // An unknown parameter makes the request take Fastify's route; the first ones of a token do as well.
      const long = await ask(app, { authorization, body: `token=${token}&x=1`, headers })
      const first = await ask(app, { authorization, body: `token=${token}`, headers })
      expect(first).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
      expect(first).toContain('"active":true')
      expect(first.includes('"phone_number"')).toBe(name === 'a key with all scopes')
      reached = 0
      const quick = [
        await ask(app, { authorization, body: `token=${token}`, headers }),
        await ask(app, { authorization, body: `token=${token}&token_type_hint=access_token`, headers }),
      ]
      // On a database server without Redis, each check reads the database.
      expect(reached).toBe(redis || database.name === 'sqlite' ? 0 : 2)
      for (const answer of [first, ...quick]) expect(sorted(answer)).toEqual(sorted(long))
      await expect.poll(() => app.lines.filter((line) => line.includes('/v1/introspect')).length).toBe(4)
      const [line, ...others] = app.lines
        .filter((text) => text.includes('/v1/introspect'))
        .map((text) => ({ ...JSON.parse(text), ms: 0, requestId: '', time: '' }))
      for (const other of others) expect(other).toEqual(line)
    },
  )
})

describe('on one server', () => {
  let app: RunningApp
  let drop = async () => {}
  let authorization = ''
  let token = ''

  beforeAll(async () => {
    const fresh = await (databases[0] ?? expect.fail()).create()
    drop = fresh.drop
    app = await startApp(fresh.url, { environment: { HUFU_SESSION_MAX: '0' } })
    await addPerson(app.services)
    authorization = `Bearer ${(await createKey(app, ['introspect'])).text}`
    token = (await signIn(app)).token
    for (let i = 0; i < 3; i++) await ask(app, { authorization, body: `token=${token}` })
  })
  afterAll(async () => {
    await app?.close()
    await drop()
  })

  const plain = () => ({ authorization, body: `token=${token}` })
  const statusOf = (answer: string) => Number(answer.slice(9, 12))

  test('a plain request does not reach Fastify', async () => {
    expect(statusOf(await ask(app, plain()))).toBe(200)
    expect(reached).toBe(0)
  })

  test('a body that comes later than its head, or in two pieces, gets the same answer from Fastify', async () => {
    const text = textOf(plain())
    const quick = sorted(await sent(app, text))
    const bodyAt = text.indexOf('\r\n\r\n') + 4
    for (const at of [bodyAt, bodyAt + 1, text.length - 1]) {
      reached = 0
      expect(sorted(await sent(app, text.slice(0, at), text.slice(at)))).toEqual(quick)
      expect(reached).toBe(1)
    }
  })

  test('requests that come in one piece are answered in their order', async () => {
    const pieces = [
      textOf(plain(), 'keep-alive'),
      textOf({ authorization, body: 'token=x' }, 'keep-alive'),
      textOf(plain(), 'keep-alive'),
      textOf({ authorization, body: 'nothing' }, 'keep-alive'),
      textOf(plain()),
    ]
    const answers = await sent(app, pieces.join(''))
    expect(answers.match(/"active":\w+|"status":\d+/g)).toEqual([
      '"active":true',
      '"active":false',
      '"active":true',
      '"status":422',
      '"active":true',
    ])
  })

  test.each<[string, () => Partial<Request>, number]>([
    ['an escaped token', () => ({ body: `token=%68${token.slice(1)}` }), 200],
    ['another parameter in front', () => ({ body: `x=1&token=${token}` }), 200],
    ['a doubled token', () => ({ body: `token=${token}&token=${token}` }), 400],
    ['a doubled hint', () => ({ body: `token=${token}&token_type_hint=a&token_type_hint=b` }), 400],
    ['an empty token', () => ({ body: 'token=' }), 422],
    ['no body', () => ({ body: '' }), 422],
    ['two keys', () => ({ headers: [`authorization: ${authorization}`] }), 400],
    ['a key of another case', () => ({ authorization: authorization.toUpperCase() }), 401],
    ['no key', () => ({ authorization: '' }), 401],
    ['a token for a key', () => ({ authorization: `Bearer ${token}` }), 400],
    ['an offer of another protocol', () => ({ headers: ['upgrade: websocket', 'connection: upgrade'] }), 400],
    ['a compressed body', () => ({ headers: ['content-encoding: gzip'] }), 415],
    ['an unknown expectation', () => ({ headers: ['expect: nothing'] }), 400],
    ['a request to be asked for the body', () => ({ headers: ['expect: 100-continue'] }), 200],
  ])('%s goes to Fastify', async (_name, change, status) => {
    const answer = (await ask(app, { ...plain(), ...change() })).replace(
      /^HTTP\/1\.1 100 Continue\r\n\r\n/,
      '',
    )
    expect(statusOf(answer)).toBe(status)
    expect(reached).toBe(status === 200 ? 1 : 0)
  })

  test('other types, and chunks, go to Fastify', async () => {
    const text = textOf(plain())
    const form = 'application/x-www-form-urlencoded'
    expect(statusOf(await sent(app, text.replace(form, 'application/json')))).toBe(415)
    const chunked = text
      .replace(/content-length: \d+/, 'transfer-encoding: chunked')
      .replace(
        /\r\n\r\n(.*)$/,
        (_all, body: string) => `\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
      )
    expect(statusOf(await sent(app, chunked))).toBe(200)
    expect(reached).toBe(1)
    expect(statusOf(await sent(app, text.replace(form, `${form};charset=UTF-8`)))).toBe(200)
    expect(reached).toBe(1)
  })

  test('a session that was ended and a key that was revoked are not remembered', async () => {
    const created = await createKey(app, ['introspect'])
    const other = await signIn(app)
    const request = { authorization: `Bearer ${created.text}`, body: `token=${other.token}` }
    for (let i = 0; i < 3; i++) expect(await ask(app, request)).toContain('"active":true')
    const { id, accountId } = other.session
    await app.services.sessions.end({ id, accountId, reason: 'kicked', by: null })
    expect(await ask(app, request)).toContain('{"active":false}')
    await app.services.keys.revoke(created.key.id, byOperator)
    expect(statusOf(await ask(app, { ...request, body: `token=${token}` }))).toBe(401)
  })

  test('a key without the scope is refused, also when it is in memory', async () => {
    const { text } = await createKey(app, ['introspect:phone'])
    const request = { authorization: `Bearer ${text}`, body: `token=${token}` }
    for (let i = 0; i < 3; i++) expect(statusOf(await ask(app, request))).toBe(403)
  })
})

test('the lookups of a key are counted, also in front of Fastify', async () => {
  const { url, drop } = await (databases[0] ?? expect.fail()).create()
  const app = await startApp(url, { environment: { HUFU_KEY_LOOKUPS_PER_SECOND: '1' } })
  try {
    await addPerson(app.services)
    const { text } = await createKey(app, ['introspect'])
    const { token } = await signIn(app)
    const request = { authorization: `Bearer ${text}`, body: `token=${token}` }
    // After a pause, a full batch of 100 is possible; more are allowed meanwhile, one a second.
    const answers = await sent(app, textOf(request, 'keep-alive').repeat(199) + textOf(request))
    const statuses = answers.match(/HTTP\/1\.1 \d+/g) ?? []
    expect(statuses).toHaveLength(200)
    expect(statuses.slice(0, 100)).toEqual(Array(100).fill('HTTP/1.1 200'))
    expect(statuses.at(-1)).toBe('HTTP/1.1 429')
    expect(new Set(statuses)).toEqual(new Set(['HTTP/1.1 200', 'HTTP/1.1 429']))
  } finally {
    await app.close()
    await drop()
  }
})

test('behind a proxy, the key is checked for the address of its caller', async () => {
  const { url, drop } = await (databases[0] ?? expect.fail()).create()
  const app = await startApp(url, { environment: { HUFU_TRUSTED_PROXIES: '127.0.0.1' } })
  try {
    await addPerson(app.services)
    const { text } = await createKey(app, ['introspect'], ['203.0.113.0/24'])
    const { token } = await signIn(app)
    const from = async (address: string) => {
      const headers = [`x-forwarded-for: ${address}`]
      const answer = await ask(app, { authorization: `Bearer ${text}`, body: `token=${token}`, headers })
      return Number(answer.slice(9, 12))
    }
    for (let i = 0; i < 3; i++) expect(await from('203.0.113.7')).toBe(200)
    reached = 0
    expect(await from('203.0.113.7')).toBe(200)
    expect(reached).toBe(0)
    expect(await from('198.51.100.9')).toBe(403)
    expect(await from('203.0.113.8')).toBe(200)
  } finally {
    await app.close()
    await drop()
  }
})
