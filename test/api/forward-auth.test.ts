// /v1/forward-auth: only the credential of the copied request decides, and no other part of it.
import { METHODS } from 'node:http'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { noOrigin } from '../../src/events/events.ts'
import type { KeyScope } from '../../src/service-keys/service-key.ts'
import { addPerson, person, type RunningApp, startApp } from '../support/app.ts'
import { databases } from '../support/databases.ts'
import { phone } from '../support/in-process-server.ts'
import { lookupClasses } from '../support/lookup-classes.ts'
import { startProxy } from '../support/tcp-proxy.ts'

const origin = 'https://app.example.com'
const byOperator = { by: null, origin: noOrigin }
const path = '/v1/forward-auth'

async function createKey(app: RunningApp, scopes: readonly KeyScope[], more = {}) {
  const rights = { scopes, networks: [], expiresAt: null, ...more }
  return await app.services.keys.create({ name: 'gateway', ...rights }, byOperator)
}

async function signIn(app: RunningApp) {
  const credential = { phoneNumber: person.phone, password: person.password }
  return await app.services.signIn.by('password', { device: phone, origin: noOrigin }, credential)
}

interface Answer {
  readonly status: number
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** Sends one request as it is written, with a connection of its own. */
async function ask(app: RunningApp, lines: readonly string[], body = ''): Promise<Answer> {
  const socket = connect(Number(new URL(app.url).port), '127.0.0.1')
  socket.write([...lines, 'host: api.example.com', 'connection: close', '', body].join('\r\n'))
  let bytes = ''
  for await (const chunk of socket) bytes += chunk
  const [head = '', ...rest] = bytes.split('\r\n\r\n')
  const [status = '', ...headers] = head.split('\r\n')
  const pairs = headers.map((line) => [
    line.slice(0, line.indexOf(':')).toLowerCase(),
    line.slice(line.indexOf(':') + 1).trim(),
  ])
  return { status: Number(status.slice(9, 12)), headers: Object.fromEntries(pairs), body: rest.join('') }
}

let app: RunningApp
let drop = async () => {}
let key = ''
let token = ''
let known: Record<string, string> = {}

beforeAll(async () => {
  const fresh = await (databases[0] ?? expect.fail()).create()
  drop = fresh.drop
  const environment = {
    HUFU_ALLOWED_ORIGINS: origin,
    HUFU_SESSION_MAX: '0',
    HUFU_TRUSTED_PROXIES: '127.0.0.1',
  }
  app = await startApp(fresh.url, { environment })
  await addPerson(app.services)
  key = (await createKey(app, ['forward-auth'])).text
  const { session, account, token: issued } = await signIn(app)
  token = issued
  known = {
    hufuaccount: account.id,
    hufusession: session.id,
    hufuplatform: session.platform,
    hufuexpires: String(Math.floor((session.expiresAt ?? 0) / 1000)),
    hufuassertion: '',
  }
})
afterAll(async () => {
  await app?.close()
  await drop()
})

const nobody = { hufuaccount: '', hufusession: '', hufuplatform: '', hufuexpires: '', hufuassertion: '' }
const credentials = (gateway = key, user = token) => [`Hufukey: ${gateway}`, `Authorization: Bearer ${user}`]

/** A refusal names its code in the body and in two headers. */
function expectRefusal(answer: Answer, status: number, code: string): void {
  expect(answer.status).toBe(status)
  expect(JSON.parse(answer.body)).toMatchObject({ status, code })
  expect(answer.headers.hufucode).toBe(code)
  expect(answer.headers['content-type']).toBe('application/problem+json; charset=utf-8')
  expect(answer.headers['cache-control']).toBe('no-store')
  const challenge = answer.headers['www-authenticate']
  if (status !== 401) expect(challenge).toBeUndefined()
  else expect(challenge).toContain(`error_description="${code}"`)
  for (const name of Object.keys(known)) expect(answer.headers[name] ?? '').toBe('')
}

test('a live token gives 200 without a body, and each header', async () => {
  const { status, headers, body } = await ask(app, [`GET ${path} HTTP/1.1`, ...credentials()])
  expect([status, body]).toEqual([200, ''])
  expect(headers).toMatchObject({ ...known, 'content-length': '0', 'cache-control': 'no-store' })
})

describe('no other part of the request decides', () => {
  const methods = METHODS.filter((method) => method !== 'CONNECT')
  test.each(methods)('the method %s', async (method) => {
    const { status, headers } = await ask(app, [`${method} ${path} HTTP/1.1`, ...credentials()])
    expect(status).toBe(200)
    expect(headers).toMatchObject(known)
    const bad = await ask(app, [`${method} ${path} HTTP/1.1`, `Hufukey: ${key}`])
    expect([bad.status, bad.headers.hufucode]).toEqual([401, 'token_missing'])
  })

  test.each([
    '/',
    '/a/b',
    '/a%2Fb/%E0%A4%',
    '/%',
    '/../../v1/session',
    '//x',
    '?token=x&mode=anonymous',
    '/a?token=x',
    '#x',
    '/user;jsessionid=1',
    `/${'x'.repeat(8_000)}`,
  ])('the path and the query %s', async (more) => {
    const { status, headers } = await ask(app, [`GET ${path}${more} HTTP/1.1`, ...credentials()])
    expect(status).toBe(200)
    expect(headers).toMatchObject(known)
    const bad = await ask(app, [`GET ${path}${more} HTTP/1.1`, `Hufukey: ${key}`])
    expectRefusal(bad, 401, 'token_missing')
  })

  test.each<[string, string[]]>([
    ['an upgrade', ['Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Key: x']],
    ['a preflight', [`Origin: ${origin}`, 'Access-Control-Request-Method: PUT']],
    ['forwarded headers', ['X-Forwarded-Uri: /public', 'X-Forwarded-Method: OPTIONS', 'X-Original-URL: /x']],
    ['forged answers', ['Hufuaccount: evil', 'Hufu-Account: evil', 'Hufusession: evil']],
    ['a type that is none', ['Content-Type: !!', 'Content-Length: 3']],
    ['JSON', ['Content-Type: application/json', 'Content-Length: 3']],
    ['a compressed body', ['Content-Encoding: gzip', 'Content-Length: 3']],
  ])('%s', async (_name, lines) => {
    for (const method of ['OPTIONS', 'POST']) {
      const { status, headers } = await ask(
        app,
        [`${method} ${path} HTTP/1.1`, ...credentials(), ...lines],
        'abc',
      )
      expect(status).toBe(200)
      expect(headers).toMatchObject(known)
      const bad = await ask(app, [`${method} ${path} HTTP/1.1`, `Hufukey: ${key}`, ...lines], 'abc')
      expectRefusal(bad, 401, 'token_missing')
    }
  })

  test('another path that begins the same is unknown', async () => {
    for (const other of [`${path}x`, `${path}-x/y`, '/v1/Forward-auth'])
      expect((await ask(app, [`GET ${other} HTTP/1.1`, ...credentials()])).status).toBe(404)
  })
})

describe('the user', () => {
  test.each<[string, () => string[], number, string]>([
    ['no token', () => [], 401, 'token_missing'],
    ['an empty header', () => ['Authorization: '], 401, 'token_missing'],
    ['another scheme', () => ['Authorization: Basic eDp5'], 401, 'token_missing'],
    ['a made-up token', () => ['Authorization: Bearer hf_x'], 401, 'token_unknown'],
    ['a service key', () => [`Authorization: Bearer ${key}`], 400, 'token_expected'],
    ['the classic header alone', () => [`token: ${token}`], 401, 'token_missing'],
    [
      'two Authorization headers',
      () => Array(2).fill(`Authorization: Bearer ${token}`),
      400,
      'credentials_conflict',
    ],
    ['two classic headers', () => Array(2).fill(`token: ${token}`), 400, 'credentials_conflict'],
    [
      'both headers',
      () => [`Authorization: Bearer ${token}`, `TOKEN: ${token}`],
      400,
      'credentials_conflict',
    ],
    [
      'both headers, one of them empty',
      () => [`Authorization: Bearer ${token}`, 'token: '],
      400,
      'credentials_conflict',
    ],
  ])('%s is refused', async (_name, lines, status, code) => {
    expectRefusal(await ask(app, [`GET ${path} HTTP/1.1`, `Hufukey: ${key}`, ...lines()]), status, code)
  })

  test('an ended session is refused with its reason', async () => {
    const other = await signIn(app)
    const { id, accountId } = other.session
    await app.services.sessions.end({ id, accountId, reason: 'kicked', by: null })
    const answer = await ask(app, [`GET ${path} HTTP/1.1`, ...credentials(key, other.token)])
    expectRefusal(answer, 401, 'session_kicked')
    expect(answer.headers['www-authenticate']).toBe(
      'Bearer error="invalid_token", error_description="session_kicked"',
    )
  })

  test('the classic header counts for a key that allows it', async () => {
    const { text } = await createKey(app, ['forward-auth', 'forward-auth:classic'])
    const classic = [`GET ${path} HTTP/1.1`, `Hufukey: ${text}`]
    expect((await ask(app, [...classic, `token: ${token}`])).headers).toMatchObject(known)
    expect((await ask(app, [...classic, `Authorization: Bearer ${token}`])).headers).toMatchObject(known)
    expectRefusal(await ask(app, [...classic, 'token: x']), 401, 'token_unknown')
    expectRefusal(await ask(app, [...classic, `token: ${key}`]), 400, 'token_expected')
  })

  test('a key with the anonymous mode lets a request without a token through, and no wrong token', async () => {
    const { text } = await createKey(app, ['forward-auth', 'forward-auth:anonymous'])
    const anonymous = [`GET ${path} HTTP/1.1`, `Hufukey: ${text}`]
    for (const lines of [[], ['Authorization: '], [`token: ${token}`]]) {
      const { status, headers } = await ask(app, [...anonymous, ...lines])
      expect(status).toBe(200)
      expect(headers).toMatchObject(nobody)
    }
    expect((await ask(app, [...anonymous, `Authorization: Bearer ${token}`])).headers).toMatchObject(known)
    expectRefusal(await ask(app, [...anonymous, 'Authorization: Bearer x']), 401, 'token_unknown')
    expectRefusal(await ask(app, [...anonymous, 'Authorization: Basic x']), 401, 'token_missing')
  })

  test('it is a use of the session', async () => {
    const other = await signIn(app)
    app.clock.advance(86_400_000 * 20)
    const lines = [`GET ${path} HTTP/1.1`, ...credentials(key, other.token)]
    expect((await ask(app, lines)).status).toBe(200)
    await app.services.verification.close()
    app.clock.advance(86_400_000 * 20)
    expect((await ask(app, lines)).status).toBe(200)
  })
})

describe('the gateway', () => {
  test.each<[string, () => Promise<string[]>, number, string]>([
    ['no key', async () => [], 403, 'gateway_key_refused'],
    ['an empty key', async () => ['Hufukey: '], 403, 'gateway_key_refused'],
    ['a made-up key', async () => ['Hufukey: hfk_x'], 403, 'gateway_key_refused'],
    ['a token', async () => [`Hufukey: ${token}`], 400, 'key_expected'],
    ['two keys', async () => [`Hufukey: ${key}`, `hufukey: ${key}`], 400, 'credentials_conflict'],
    [
      'a key without the scope',
      async () => [`Hufukey: ${(await createKey(app, ['introspect'])).text}`],
      403,
      'key_scope_missing',
    ],
    [
      'a key of another network',
      async () => [`Hufukey: ${(await createKey(app, ['forward-auth'], { networks: ['10.0.0.0/8'] })).text}`],
      403,
      'key_network_refused',
    ],
    [
      'a revoked key',
      async () => {
        const created = await createKey(app, ['forward-auth'])
        await app.services.keys.revoke(created.key.id, byOperator)
        return [`Hufukey: ${created.text}`]
      },
      403,
      'gateway_key_refused',
    ],
  ])('with %s is refused, and never with a 401', async (_name, lines, status, code) => {
    const answer = await ask(app, [
      `GET ${path} HTTP/1.1`,
      `Authorization: Bearer ${token}`,
      ...(await lines()),
    ])
    expectRefusal(answer, status, code)
  })

  test('the networks of a key are compared with its own address', async () => {
    const { text } = await createKey(app, ['forward-auth'], { networks: ['127.0.0.0/8'] })
    const user = (await signIn(app)).token
    const lines = [`GET ${path} HTTP/1.1`, ...credentials(text, user), 'X-Forwarded-For: 203.0.113.7']
    expect((await ask(app, lines)).status).toBe(200)
    const other = await createKey(app, ['forward-auth'], { networks: ['203.0.113.0/24'] })
    const forged = [`GET ${path} HTTP/1.1`, ...credentials(other.text, user), 'X-Forwarded-For: 203.0.113.7']
    expectRefusal(await ask(app, forged), 403, 'key_network_refused')
  })

  test('the key in Authorization is no key here', async () => {
    const answer = await ask(app, [`GET ${path} HTTP/1.1`, `Authorization: Bearer ${key}`])
    expectRefusal(answer, 403, 'gateway_key_refused')
  })
})

test('the key of a gateway does not move the lookup of a token into the class of signed-in clients', async () => {
  const made = `hf_${'A'.repeat(65)}`
  const classes = await lookupClasses(app, async () => {
    for (const method of ['GET', 'POST'])
      expectRefusal(
        await ask(app, [`${method} ${path} HTTP/1.1`, ...credentials(key, made)]),
        401,
        'token_unknown',
      )
  })
  expect(classes).toEqual(['reading', 'reading'])
})

test('only what may be a token takes the allowance of the key', async () => {
  const fresh = await (databases[0] ?? expect.fail()).create()
  const limited = await startApp(fresh.url, { environment: { HUFU_KEY_LOOKUPS_PER_SECOND: '1' } })
  try {
    await addPerson(limited.services)
    const { text } = await createKey(limited, ['forward-auth'])
    const user = (await signIn(limited)).token
    const statuses = async (count: number, lines: readonly string[]) => {
      const head = [`GET ${path} HTTP/1.1`, `Hufukey: ${text}`, ...lines]
      const answers = await Promise.all(Array.from({ length: count }, () => ask(limited, head)))
      return new Set(answers.map(({ status }) => status))
    }
    const bearer = `Authorization: Bearer ${user}`
    expect(await statuses(110, [])).toEqual(new Set([401]))
    expect(await statuses(110, ['Authorization: Bearer x'])).toEqual(new Set([401]))
    expect(await statuses(110, [bearer, bearer])).toEqual(new Set([400]))
    expect(await statuses(1, [bearer])).toEqual(new Set([200]))
    const made = `Authorization: Bearer hf_${'A'.repeat(65)}`
    expect(await statuses(120, [made])).toEqual(new Set([401, 429]))
  } finally {
    await limited.close()
    await fresh.drop()
  }
})

test('a body over the limit is refused', async () => {
  const answer = await ask(app, [`POST ${path} HTTP/1.1`, ...credentials(), 'Content-Length: 1000000'])
  expectRefusal(answer, 413, 'body_too_large')
})

test('no line of the log has the original path, a key or a token', async () => {
  app.lines.length = 0
  await ask(app, [`GET ${path}/secret/13800005223?x=1 HTTP/1.1`, ...credentials()])
  await expect.poll(() => app.lines.length).toBeGreaterThan(0)
  expect(app.lines.join('')).toContain(`"path":"${path}"`)
  for (const text of ['secret', '13800005223', key.slice(17), token.slice(25)])
    expect(app.lines.join('')).not.toContain(text)
})

const server = databases.find(({ name, skipped }) => name !== 'sqlite' && skipped === null)
test.skipIf(server === undefined)('while the database is away, the answer is 503 with its code', async () => {
  const fresh = await (server ?? expect.fail()).create()
  const proxy = await startProxy(fresh.url)
  const other = await startApp(proxy.url)
  try {
    await addPerson(other.services)
    const { text } = await createKey(other, ['forward-auth'])
    const { token } = await signIn(other)
    const lines = [`GET ${path} HTTP/1.1`, ...credentials(text, token)]
    expect((await ask(other, lines)).status).toBe(200)
    proxy.set('refuse')
    await expect.poll(async () => (await ask(other, lines)).status, { timeout: 10_000 }).toBe(503)
    const answer = await ask(other, lines)
    expectRefusal(answer, 503, 'unavailable')
    expect(answer.headers['retry-after']).toMatch(/^\d+$/)
  } finally {
    proxy.set('pass')
    await other.close()
    await proxy.close()
    await fresh.drop()
  }
})
