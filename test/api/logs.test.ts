// The log has one line for each request, and never a password, a token or a whole phone number.
import { connect } from 'node:net'
import { DatabaseSync } from 'node:sqlite'
import { sql } from 'kysely'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test, vi } from 'vitest'
import { openServices } from '../../src/app.ts'
import { migrate } from '../../src/database/migrate.ts'
import { keyOf } from '../../src/session-cache/redis-client.ts'
import { readSettings } from '../../src/settings/settings.ts'
import { type RunningApp, type ServerProcess, startApp, startProcess } from '../support/app.ts'
import { openCacheInRedis } from '../support/cache-in-redis.ts'
import { databases, type FreshDatabase, redisUrl } from '../support/databases.ts'

// Each text names where it was sent, and occurs nowhere else.
const phone = '13911112222'
const stranger = '13933334444'
const password = 'PASSWORD-right-7f3a'
const wrongPassword = 'PASSWORD-wrong-91bc'
const nickname = 'NICKNAME-5d20'
const device = { platform: 'ios', id: 'DEVICEID-88e1', name: 'DEVICENAME-0c47', app_version: 'VERSION-b6' }
const forged = `hf_FORGED${'x'.repeat(59)}`
const elsewhere = { query: 'QUERY-3e15', cookie: 'COOKIE-6f92', agent: 'AGENT-a0d8', referer: 'REFERER-2b7c' }

/** The texts that must not occur in a log, in any spelling that was sent. */
const secrets = [
  ...[password, wrongPassword, nickname, ...Object.values(elsewhere)],
  ...[device.id, device.name, device.app_version],
  ...[forged, forged.slice(25), 'PASSWORD', 'FORGED'],
  ...[phone, stranger, '139 1111 2222', '139-1111-2222', '11112222', '33334444'],
  '$argon2',
]

interface Sent {
  readonly method: string
  readonly path: string
  readonly headers?: Record<string, string>
  readonly body?: string
}

async function send(
  url: string,
  { method, path, headers = {}, body }: Sent,
): Promise<{ id: string; status: number; text: string }> {
  const response = await fetch(url + path, {
    method,
    headers: {
      'user-agent': elsewhere.agent,
      cookie: `token=${elsewhere.cookie}`,
      referer: `https://app.test/${elsewhere.referer}`,
      'content-type': 'application/json',
      ...headers,
    },
    ...(body !== undefined && { body }),
  })
  const id = response.headers.get('x-request-id') ?? ''
  return { id, status: response.status, text: await response.text() }
}

/** Writes bytes unchanged, and reads until the server ends the connection or `forMs` have passed. */
function sendBytes(url: string, bytes: Buffer | string, { destroy = false } = {}): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(text))
    socket.write(bytes, () => destroy && socket.destroy())
  })
}

function post(path: string, body: unknown, headers: Record<string, string> = {}): Sent {
  return { method: 'POST', path, headers, body: typeof body === 'string' ? body : JSON.stringify(body) }
}

/** A sign-in by each API, with a secret in every field. */
function signIns(phone_number: string, word: string): Sent[] {
  return [
    post('/login', { phone_number, password: word, nickname, device }),
    post('/v1/sessions', { phone_number, password: word, device }),
  ]
}

/** Requests that fail, with secrets in all the wrong places. */
const failures: Sent[] = [
  ...signIns(phone, wrongPassword),
  ...signIns(stranger, password),
  ...signIns('139 1111 2222', wrongPassword),
  ...signIns(`${phone}x`, password),
  ...['/login', '/v1/sessions'].flatMap((path) => [
    post(path, `{"phone_number":"${phone}","password":"${password}`),
    post(path, `${password} ${phone}`),
    post(path, { phone_number: Number(phone), password }),
    post(path, { phone_number: phone, password: [password] }),
    post(path, { phone_number: phone, password, device: { platform: device.name, id: `${phone}\n` } }),
    post(path, { phone_number: phone, password, [password]: 1 }),
    post(path, { phone_number: `${password}`, password: phone }),
    post(path, `phone_number=${phone}&password=${password}`, { 'content-type': `text/${password}` }),
    post(path, { phone_number: phone, password }, { 'content-encoding': password }),
    post(path, { phone_number: phone, password: password.repeat(2000) }),
    post(`${path}?password=${password}&phone=${phone}`, {}),
    { method: 'PUT', path, body: password },
  ]),
  ...['/user', '/logout'].flatMap((path) => [
    { method: 'GET', path, headers: { token: forged } },
    { method: 'GET', path, headers: { authorization: `Bearer ${forged}` } },
    { method: 'GET', path: `${path}?token=${forged}&q=${elsewhere.query}` },
  ]),
  ...['/v1/session', '/v1/sessions', `/v1/session?access_token=${forged}&q=${elsewhere.query}`].flatMap(
    (path) => [
      { method: 'GET', path, headers: { authorization: `Bearer ${forged}` } },
      { method: 'GET', path, headers: { authorization: `Basic ${btoa(`${phone}:${password}`)}` } },
      { method: 'GET', path, headers: { authorization: forged } },
    ],
  ),
  { method: 'DELETE', path: `/v1/sessions/${forged}`, headers: { authorization: `Bearer ${forged}` } },
  { method: 'GET', path: `/v1/sessions/${forged}` },
  { method: 'GET', path: `/nothing?q=${elsewhere.query}&token=${forged}` },
  { method: 'GET', path: `/nothing/${forged}/more` },
  { method: 'GET', path: `/v1/${forged}` },
]

/** Every request of a signed-in client. @returns the tokens that were used */
async function useEverything(url: string): Promise<string[]> {
  const [login, create] = signIns(phone, password)
  if (!login || !create) throw new Error('there are two ways to sign in')
  const tokens: string[] = []
  for (const signIn of [login, create, create]) {
    const { text } = await send(url, signIn)
    tokens.push(JSON.parse(text).token)
  }
  const [classic = '', replaced = '', current = ''] = tokens
  const asks: Sent[] = [
    { method: 'GET', path: '/user', headers: { token: classic } },
    { method: 'GET', path: '/v1/session', headers: { authorization: `Bearer ${current}` } },
    { method: 'GET', path: '/v1/sessions', headers: { authorization: `Bearer ${current}` } },
    { method: 'GET', path: '/v1/session', headers: { authorization: `Bearer ${replaced}` } },
    { method: 'GET', path: `/v1/session?token=${current}`, headers: { authorization: `Bearer ${current}` } },
    { method: 'GET', path: `/nothing/${current}` },
    { method: 'GET', path: '/logout', headers: { token: classic } },
    { method: 'GET', path: '/user', headers: { token: classic } },
  ]
  for (const ask of asks) await send(url, ask)
  return tokens
}

/** Fails with the line that contains the text. */
function expectNoSecret(lines: readonly string[], tokens: readonly string[]): void {
  expect(lines.length).toBeGreaterThan(0)
  const all = [...secrets, ...tokens, ...tokens.map((token) => token.slice(25))]
  for (const line of lines) {
    const found = all.filter((secret) => line.includes(secret))
    expect({ line, found }).toEqual({ line, found: [] })
  }
}

async function newSqlite(): Promise<FreshDatabase> {
  const sqlite = databases.find(({ name }) => name === 'sqlite')
  if (!sqlite) throw new Error('SQLite is always there')
  return await sqlite.create()
}

function addOwner({ services }: Pick<RunningApp, 'services'>) {
  return services.accounts.create({ phoneNumber: phone, nickname, password })
}

describe('the log', () => {
  let fresh: FreshDatabase
  let app: RunningApp
  beforeAll(async () => {
    fresh = await newSqlite()
    app = await startApp(fresh.url, { slowHashes: true })
    await addOwner(app)
  })
  afterAll(async () => {
    await app.close()
    await fresh.drop()
  })
  beforeEach(() => {
    app.lines.length = 0
  })

  /** The lines once there are `count` of them; a line is written shortly after its response. */
  async function linesOf(count: number): Promise<Record<string, unknown>[]> {
    await vi.waitFor(() => expect(app.lines.length).toBeGreaterThanOrEqual(count))
    return app.lines.map((line) => JSON.parse(line))
  }

  async function tokenOf(): Promise<string> {
    const { text } = await send(app.url, post('/v1/sessions', { phone_number: phone, password }))
    return JSON.parse(text).token
  }

  test.each([
    ['GET', '/', '/', 200],
    ['HEAD', '/', '/', 200],
    ['GET', '/user?x=1', '/user', 200],
    ['GET', '/logout', '/logout', 200],
    ['POST', '/login', '/login', 400],
    ['PUT', '/login', '/login', 405],
    ['POST', '/v1/sessions', '/v1/sessions', 400],
    ['GET', '/v1/session', '/v1/session', 401],
    ['DELETE', '/v1/sessions/abc', '/v1/sessions/:id', 401],
    ['GET', '/v1/sessions/abc', '/v1/sessions/:id', 405],
    ['GET', '/livez', '/livez', 200],
    ['GET', '/readyz', '/readyz', 200],
    ['GET', '/openapi.json', '/openapi.json', 200],
    ['GET', '/docs/', '/docs/', 200],
    ['GET', '/nothing/here?x=1', '/nothing/here', 404],
    ['GET', '/v1/nothing', '/v1/nothing', 404],
    ['GET', '/%zz', '/%zz', 400],
    ['GET', '/v1/%ff?x=1', '/v1/%ff', 400],
  ])('has one line for %s %s: its route, its status and the id of the answer', async (method, path, route, status) => {
    const body = method === 'POST' ? { body: '' } : {}
    const answer = await send(app.url, { method, path, ...body })
    expect(answer.status).toBe(status)
    const lines = await linesOf(1)
    expect(lines).toEqual([
      {
        level: 30,
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}Z$/),
        requestId: answer.id,
        method,
        path: route,
        status,
        ms: expect.any(Number),
        ip: '127.0.0.1',
      },
    ])
    expect(answer.id).toMatch(/^[\w.-]{1,64}$/)
  })

  test('has the duration of a request in milliseconds', async () => {
    const began = performance.now()
    await tokenOf()
    await send(app.url, { method: 'GET', path: '/livez' })
    const took = performance.now() - began
    const [signIn, live] = (await linesOf(2)).map(({ ms }) => Number(ms))
    // argon2id with 19 MiB takes more than a millisecond everywhere.
    expect(signIn).toBeGreaterThan(1)
    expect(signIn).toBeLessThan(took)
    expect(live).toBeGreaterThanOrEqual(0)
    expect(live).toBeLessThan(took)
  })

  test('names the session of the request by its public id', async () => {
    const token = await tokenOf()
    const { id } = await send(app.url, {
      method: 'GET',
      path: '/v1/session',
      headers: { authorization: `Bearer ${token}` },
    })
    const [, line] = await linesOf(2)
    expect(line).toMatchObject({ requestId: id, status: 200, session: token.slice(3, 25) })
  })

  test('gives every request an id of its own', async () => {
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => send(app.url, { method: 'GET', path: '/livez' })),
    )
    const lines = await linesOf(100)
    expect(new Set(answers.map(({ id }) => id)).size).toBe(100)
    expect(lines.map(({ requestId }) => requestId).toSorted()).toEqual(answers.map(({ id }) => id).toSorted())
  })

  test.each([
    'app-42',
    'A.b_c-9',
    '0',
    'x'.repeat(64),
    '018f3b1e-6b1c-7c3e-8f1a-2b3c4d5e6f70',
  ])("keeps a client's own id %s", async (own) => {
    const { id } = await send(app.url, { method: 'GET', path: '/livez', headers: { 'x-request-id': own } })
    expect(id).toBe(own)
    expect(await linesOf(1)).toMatchObject([{ requestId: own }])
  })

  test.each([
    ['nothing', ''],
    ['65 characters', 'x'.repeat(65)],
    ['a space', 'a b'],
    ['a quote', 'a"b'],
    ['markup', '<script>'],
    ['JSON', '{"level":60}'],
    ['a list', 'a,b'],
    ['a path', '../../etc/passwd'],
    ['a letter that is not ASCII', 'é'],
    ['a C1 control', '\u009b31m'],
    ['a token', forged],
  ])("replaces a client's own id that has %s", async (_what, own) => {
    const { id } = await send(app.url, { method: 'GET', path: '/livez', headers: { 'x-request-id': own } })
    expect(id).not.toBe(own)
    expect(id).toMatch(/^[\w.-]{1,64}$/)
    expect(await linesOf(1)).toMatchObject([{ requestId: id }])
  })

  test('masks two ids in one request', async () => {
    const headers = 'host: x\r\nx-request-id: one\r\nx-request-id: two\r\nconnection: close'
    const answer = await sendBytes(app.url, `GET /livez HTTP/1.1\r\n${headers}\r\n\r\n`)
    const id = /^x-request-id: (.*)\r$/m.exec(answer)?.[1]
    expect(id).toMatch(/^[\w.-]{1,64}$/)
    expect(['one', 'two']).not.toContain(id)
    expect(await linesOf(1)).toMatchObject([{ requestId: id }])
  })

  test.each([
    ['13800005223', '138****5223'],
    ['138 0000 5223', '138****5223'],
    ['(138) 0000-5223', '138****5223'],
    ['+8613800005223', '+86138****5223'],
    ['+86 138-0000-5223', '+86138****5223'],
    ['008613800005223', '0086138****5223'],
    ['+44 7400 123456', '+4474****3456'],
    ['13800005223x', '****'],
    ['12345678', '****'],
    ['', '****'],
    ['\u001b[31m13800005223\n{"level":60}', '****'],
  ])('shows the number %j as %s', async (number, masked) => {
    const { id, status } = await send(
      app.url,
      post('/login', { phone_number: number, password: wrongPassword }),
    )
    expect(status).toBe(200)
    expect(await linesOf(1)).toMatchObject([{ requestId: id, phone: masked }])
  })

  test('has the same mask for v1, whether the sign-in succeeds or not', async () => {
    for (const word of [password, wrongPassword])
      await send(app.url, post('/v1/sessions', { phone_number: `+86${phone}`, password: word }))
    expect(await linesOf(2)).toMatchObject([
      { status: 201, phone: '+86139****2222' },
      { status: 401, phone: '+86139****2222' },
    ])
  })

  test('contains no secret of successful sign-ins', async () => {
    const tokens = await useEverything(app.url)
    expect(tokens).toEqual([expect.any(String), expect.any(String), expect.any(String)])
    await linesOf(11)
    expectNoSecret(app.lines, tokens)
  })

  test('contains no secret of failed requests', async () => {
    for (const failure of failures) {
      const { status } = await send(app.url, failure)
      expect(status).toBeLessThan(500)
    }
    const lines = await linesOf(failures.length)
    expect(lines).toHaveLength(failures.length)
    expectNoSecret(app.lines, [])
  })

  const spaced = (separator: string) => [phone.slice(0, 3), phone.slice(3, 7), phone.slice(7)].join(separator)

  test.each([
    ['a classic account', `/user/${phone}`],
    ['an account in E.164', `/v1/accounts/+86${phone}`],
    ['an escaped plus', `/v1/accounts/%2B86${phone}/sessions`],
    ['hyphens', `/users/${spaced('-')}`],
    ['escaped spaces', `/users/${spaced('%20')}`],
    ['escaped digits', `/users/${[...phone].map((digit) => `%3${digit}`).join('')}`],
  ])('holds no whole number from an address that is not there: %s', async (_name, path) => {
    expect((await send(app.url, { method: 'GET', path })).status).toBe(404)
    const [line] = await linesOf(1)
    expectNoSecret(app.lines, [])
    expect(decodeURIComponent(String(line?.path)).replaceAll(/\D/g, '')).not.toContain(phone.slice(3))
  })

  test.each([
    ['ESC in the agent', 'user-agent: \u001b[2J\u001b[31mred\r\n'],
    ['C1 in the agent', 'user-agent: \u009b31mred\r\n'],
    ['UTF-8 in the agent', Buffer.from('user-agent: \u2028\u202e\u009b虎\r\n').toString('latin1')],
    ['a line feed in a header', 'user-agent: x\n{"level":60,"msg":"forged"}\r\n'],
    ['a line in the request id', 'x-request-id: x"}\\n{"level":60}\r\n'],
    ['a tab in the request id', 'x-request-id: a\tb\r\n'],
    ['C1 in the token', 'token: \u009b31m\r\nauthorization: Bearer \u009b31m\r\n'],
  ])('has no broken line after %s', async (_name, header) => {
    const request = `GET /v1/nothing%1b%5b31m%0a{%22level%22:60} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${header}\r\n`
    await sendBytes(app.url, Buffer.from(request, 'latin1'))
    const { id } = await send(app.url, { method: 'GET', path: '/livez' })
    await vi.waitFor(() => expect(app.lines.some((line) => line.includes(id))).toBe(true))
    expect(app.lines.length).toBeLessThanOrEqual(2)
    for (const line of app.lines) {
      expect(line).toMatch(/^\{[^\p{Cc}\u2028\u2029\u202e]*\}\n$/u)
      expect(JSON.parse(line)).toMatchObject({
        level: 30,
        requestId: expect.stringMatching(/^[\w.-]{1,64}$/),
      })
    }
  })

  test('truncates a very long address', async () => {
    await send(app.url, { method: 'GET', path: `/${'x'.repeat(10_000)}` })
    await linesOf(1)
    expect(app.lines[0]?.length).toBeLessThan(500)
  })

  const login = JSON.stringify({ phone_number: phone, password })
  const head = `POST /login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${login.length}\r\n\r\n`

  test('has no error when a client disconnects in the middle of its body', async () => {
    await sendBytes(app.url, head + login.slice(0, 20), { destroy: true })
    await linesOf(1)
    await send(app.url, { method: 'GET', path: '/livez' })
    const [line, ...more] = await linesOf(2)
    expect(line).toMatchObject({ level: 30, method: 'POST', path: '/login' })
    // A 4xx status: the client broke off.
    expect(String(line?.status)).toMatch(/^4\d\d$/)
    expect(more).toEqual([expect.objectContaining({ path: '/livez' })])
  })

  test('has the line of a sign-in whose client did not wait for the response', async () => {
    const before = await app.services.sessions.list((await app.services.accounts.get(phone)).id)
    await sendBytes(app.url, head + login, { destroy: true })
    await vi.waitFor(async () => {
      const now = await app.services.sessions.list((await app.services.accounts.get(phone)).id)
      expect(now.map(({ id }) => id)).not.toEqual(before.map(({ id }) => id))
    })
    const lines = await linesOf(1)
    expect(lines).toMatchObject([{ level: 30, method: 'POST', path: '/login', phone: '139****2222' }])
    expectNoSecret(app.lines, [])
  })
})

describe.each(databases)('an error with $name', ({ skipped, create }) => {
  let fresh: FreshDatabase | undefined
  let running: RunningApp | undefined
  beforeEach(async () => {
    if (skipped !== null) return
    fresh = await create()
    running = await startApp(fresh.url)
    await addOwner(running)
  })
  afterEach(async () => {
    await running?.close()
    await fresh?.drop()
  })

  test.skipIf(skipped).each(['hufu_accounts', 'hufu_sessions'])(
    'in %s is logged with its cause, and without a secret',
    async (table) => {
      if (!running) throw new Error('the app did not start')
      const { url, byHand, lines } = running
      const tokens = await useEverything(url)
      await byHand.schema.alterTable(table).renameTo('away').execute()
      lines.length = 0
      const [, , current] = tokens
      const asks: Sent[] = [
        ...signIns(phone, password),
        { method: 'GET', path: '/user', headers: { token: String(current) } },
        { method: 'GET', path: '/v1/session', headers: { authorization: `Bearer ${current}` } },
      ]
      const ids: string[] = []
      for (const ask of asks) {
        const { status, id, text } = await send(url, ask)
        expect(status).toBe(500)
        // Clients see no internal details.
        expect(text).not.toMatch(/away|accounts|select|table|sql/i)
        ids.push(id)
      }
      const errors = await vi.waitFor(() => {
        const found = lines.map((line) => JSON.parse(line)).filter(({ level }) => level === 50)
        expect(found).toHaveLength(asks.length)
        return found
      })
      expect(errors.map(({ requestId }) => requestId)).toEqual(ids)
      for (const { err } of errors) expect(err.message).toContain(table)
      for (const { err } of errors) expect(err.type).toMatch(/^[A-Z]\w+Error$|^Error$/)
      expectNoSecret(lines, tokens)
    },
  )

  test.skipIf(skipped)('that breaks a sign-in half-way is logged without its values', async () => {
    if (!running) throw new Error('the app did not start')
    const { url, services, lines } = running
    const [, signIn] = signIns(phone, password)
    if (!signIn) throw new Error('there are two ways to sign in')
    expect((await send(url, signIn)).status).toBe(201)
    // The second sign-in fails at its insert.
    await sql`create unique index one_session_an_account on hufu_sessions (account_id)`.execute(services.db)
    lines.length = 0
    expect((await send(url, signIn)).status).toBe(500)
    await vi.waitFor(() => expect(lines).toHaveLength(2))
    expectNoSecret(lines, [])
    for (const line of lines) expect(line).not.toMatch(/values \(['"]/)
  })
})

describe('a failure after the response', () => {
  class GatewayFault extends Error {}
  const moved = '13911115555'
  const code = '246810'
  let app: RunningApp
  let drop: () => Promise<void>
  beforeAll(async () => {
    const fresh = await newSqlite()
    drop = fresh.drop
    const environment = { HUFU_TEST_NUMBERS: `+86${moved}=${code}`, HUFU_TEST_NUMBERS_UNTIL: '2026-11-23' }
    app = await startApp(fresh.url, { environment })
    await addOwner(app)
    vi.spyOn(app.services.sms, 'send').mockRejectedValue(new GatewayFault('the gateway fell over'))
  })
  afterAll(async () => {
    await app.close()
    await drop()
  })

  const post = (path: string, body: object, headers: Record<string, string> = {}) =>
    send(app.url, { method: 'POST', path, headers, body: JSON.stringify(body) })
  /** The only log line of a failure. */
  const failureOf = async (work: string) =>
    await vi.waitFor(() => {
      const found = app.lines.map((line) => JSON.parse(line)).filter((line) => line.work === work)
      expect(found).toHaveLength(1)
      return found[0]
    }, 15_000)

  test('of the notice to the number before a change of number', async () => {
    const issued = JSON.parse((await post('/v1/sessions', { phone_number: phone, password, device })).text)
    expect((await post('/v1/codes', { phone_number: moved, purpose: 'change_phone' })).status).toBe(202)
    const change = { phone_number: moved, code, confirmation: { password } }
    const answer = await post('/v1/account/phone', change, { authorization: `Bearer ${issued.token}` })
    expect(answer.status).toBe(200)
    expect(await failureOf('tell_old_number')).toMatchObject({
      level: 40,
      msg: 'notice to the number before a change of number not sent',
      err: { type: 'GatewayFault', message: 'the gateway fell over', stack: expect.any(String) },
    })
  })

  test('of a code for the owner of an account', async () => {
    await addOwner(app)
    expect((await post('/v1/codes', { phone_number: phone, purpose: 'reset_password' })).status).toBe(202)
    expect(await failureOf('send_code_to_owner')).toMatchObject({
      level: 40,
      msg: 'code for the owner of an account not sent',
      err: { type: 'GatewayFault' },
    })
  })
})

describe.each(['json', 'text'])('a process that logs as %s', (format) => {
  const cleanUps: (() => unknown)[] = []
  afterEach(async () => {
    for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
  })

  /** A separate server, with Redis where it is installed, and an account that can sign in. */
  async function start(): Promise<{ server: ServerProcess; file: string }> {
    const fresh = await newSqlite()
    cleanUps.push(fresh.drop)
    const environment = {
      HUFU_DATABASE_URL: fresh.url,
      HUFU_REDIS_URL: redisUrl() ?? '',
      HUFU_LOG_FORMAT: format,
    }
    const services = await openServices(readSettings(environment))
    await migrate(services.db, 'sqlite')
    await addOwner({ services })
    await services.close()
    const server = await startProcess(environment)
    cleanUps.push(() => server.stop())
    return { server, file: fresh.url.slice('sqlite:'.length) }
  }

  test('writes no secret to its output or into Redis', async () => {
    const { server, file } = await start()
    const tokens = await useEverything(server.url)
    for (const failure of failures) await send(server.url, failure)
    await expectNothingInRedis(tokens)
    const database = new DatabaseSync(file)
    database.exec('alter table hufu_accounts rename to away')
    database.close()
    for (const ask of signIns(phone, password)) expect((await send(server.url, ask)).status).toBe(500)
    await server.stop()
    const lines = server.output().split('\n')
    const asked = lines.filter((line) => /\/(login|user|logout|v1|nothing)/.test(line))
    // Each request has a line, and the two with errors have a second one.
    expect(asked.length).toBeGreaterThanOrEqual(11 + failures.length + 2)
    expect(server.output()).toContain('no such table')
    expect(server.output()).toContain('139****2222')
    expectNoSecret(lines, tokens)
  })
})

/** Every key and value of this file's Redis: no password, no token, and not the secret half of one. */
async function expectNothingInRedis(tokens: readonly string[]): Promise<void> {
  const url = redisUrl()
  expect(url === null).toBe(inject('redis').skipped !== null)
  if (url === null) return
  const cache = await openCacheInRedis(url)
  try {
    const everything = await cache.everything()
    // The cache entries exist: they are what is searched.
    expect(everything).toContain(keyOf(tokens.at(-1)?.slice(3, 25) ?? ''))
    for (const secret of [
      password,
      wrongPassword,
      forged,
      '$argon2',
      ...tokens,
      ...tokens.map((one) => one.slice(25)),
    ])
      expect(everything).not.toContain(secret)
  } finally {
    await cache.close()
  }
}
