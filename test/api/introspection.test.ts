// POST /v1/introspect and /batch, with service keys: what libraries send, what they get, and what is refused.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { noOrigin } from '../../src/events/events.ts'
import { issueKeyText, newKeyId } from '../../src/service-keys/key-text.ts'
import type { KeyScope } from '../../src/service-keys/service-key.ts'
import { addPerson, person, type RunningApp, startApp } from '../support/app.ts'
import { databases, redisUrl } from '../support/databases.ts'
import { holdRequest } from '../support/held-request.ts'
import { phone } from '../support/in-process-server.ts'
import { lookupClasses } from '../support/lookup-classes.ts'
import { send as sendRaw } from '../support/raw-http.ts'
import { whyMissing } from '../support/services/binaries.ts'
import { startProxy, type TcpProxy } from '../support/tcp-proxy.ts'

const noPython = whyMissing(['python3'], 'python3')
const formType = 'application/x-www-form-urlencoded'
const byOperator = { by: null, origin: noOrigin }

interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: Record<string, unknown>
}

async function send(app: RunningApp, path: string, init: RequestInit): Promise<Answer> {
  const response = await fetch(app.url + path, {
    method: 'POST',
    signal: AbortSignal.timeout(20_000),
    ...init,
  })
  return { status: response.status, headers: response.headers, body: JSON.parse(await response.text()) }
}

const introspect = (app: RunningApp, key: string, body: string, headers: Record<string, string> = {}) =>
  send(app, '/v1/introspect', {
    headers: { authorization: `Bearer ${key}`, 'content-type': formType, ...headers },
    body,
  })

const batch = (app: RunningApp, key: string, body: unknown) =>
  send(app, '/v1/introspect/batch', {
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })

async function signIn(app: RunningApp) {
  const credential = { phoneNumber: person.phone, password: person.password }
  return await app.services.signIn.by('password', { device: phone, origin: noOrigin }, credential)
}

async function createKey(app: RunningApp, scopes: readonly KeyScope[], more = {}) {
  return await app.services.keys.create(
    { name: 'test', scopes, networks: [], expiresAt: null, ...more },
    byOperator,
  )
}

describe('on one server', () => {
  let app: RunningApp
  let drop = async () => {}
  let url: string
  let key: string
  let keyId: string
  let knowing: string

  beforeAll(async () => {
    const fresh = await (databases[0] ?? expect.fail()).create()
    drop = fresh.drop
    url = fresh.url
    app = await startApp(url)
    await addPerson(app.services)
    const created = await createKey(app, ['introspect'])
    key = created.text
    keyId = created.key.id
    knowing = (await createKey(app, ['introspect', 'introspect:reason', 'introspect:phone'])).text
  })
  afterAll(async () => {
    await app?.close()
    await drop()
  })

  test('a valid token gives its account and its session, and no phone number', async () => {
    const { token, session, account } = await signIn(app)
    const { status, headers, body } = await introspect(
      app,
      key,
      `token=${token}&token_type_hint=access_token`,
    )
    expect(status).toBe(200)
    expect(headers.get('cache-control')).toBe('no-store')
    expect(body).toEqual({
      active: true,
      sub: account.id,
      sid: session.id,
      jti: session.id,
      exp: Math.floor((session.expiresAt ?? 0) / 1000),
      iat: Math.floor(session.createdAt / 1000),
      client_id: session.platform,
      token_type: 'Bearer',
      scope: '',
    })
    expect((await introspect(app, knowing, `token=${token}`)).body).toEqual({
      ...body,
      phone_number: account.phoneNumber,
    })
  })

  test('a token that is not valid gives nothing more; the reason only with its scope', async () => {
    const { token, session, account } = await signIn(app)
    const made = `hf_${'A'.repeat(65)}`
    await app.services.sessions.end({ id: session.id, accountId: account.id, reason: 'kicked', by: null })
    for (const other of [token, made, 'x', key, token.slice(0, -1)])
      expect((await introspect(app, key, `token=${encodeURIComponent(other)}`)).body).toEqual({
        active: false,
      })
    expect((await introspect(app, knowing, `token=${token}`)).body).toEqual({
      active: false,
      reason: 'session_kicked',
      ended_at: expect.stringMatching(/^\d{4}-.*Z$/),
    })
    for (const unknown of [made, 'x', key])
      expect((await introspect(app, knowing, `token=${unknown}`)).body).toEqual({
        active: false,
        reason: 'token_unknown',
      })
  })

  test('it is a use of the session: a session that is only introspected lives on', async () => {
    const { token, session } = await signIn(app)
    app.clock.advance(86_400_000 * 20)
    expect((await introspect(app, key, `token=${token}`)).body).toMatchObject({ active: true })
    await app.services.verification.close()
    app.clock.advance(86_400_000 * 20)
    expect((await introspect(app, key, `token=${token}`)).body).toMatchObject({ active: true })
    const { seen_at } = await app.byHand
      .selectFrom('hufu_sessions')
      .select('seen_at')
      .where('id', '=', session.id)
      .executeTakeFirstOrThrow()
    expect(seen_at).toBeGreaterThan(session.createdAt)
  })

  // SpringOpaqueTokenIntrospector (Spring Security 6): RestTemplate with Basic authentication.
  test('the request of Spring Security is answered', async () => {
    const { token, account } = await signIn(app)
    const body = `token=${token}`
    const basic = Buffer.from(`${keyId}:${key}`).toString('base64')
    const { status, headers, text } = await sendRaw(
      app,
      [
        'POST /v1/introspect HTTP/1.1',
        'Accept: application/json',
        'Content-Type: application/x-www-form-urlencoded;charset=UTF-8',
        `Authorization: Basic ${basic}`,
        'User-Agent: Java/21.0.4',
        'Host: accounts.internal',
        'Connection: close',
        `Content-Length: ${body.length}`,
        '',
        body,
      ].join('\r\n'),
    )
    expect(status).toBe(200)
    expect(headers['content-type']).toMatch(/^application\/json/)
    expect(JSON.parse(text)).toMatchObject({ active: true, sub: account.id })
  })

  test.skipIf(noPython !== null)('a program of the standard library of Python reads the answer', async () => {
    const { token, account } = await signIn(app)
    const program = `
import base64, json, sys, urllib.parse, urllib.request
url, key_id, key, token = sys.argv[1:]
basic = base64.b64encode(f"{key_id}:{key}".encode()).decode()
form = urllib.parse.urlencode({"token": token}).encode()
request = urllib.request.Request(url + "/v1/introspect", form, {"Authorization": "Basic " + basic})
print(json.load(urllib.request.urlopen(request))["sub"])`
    const args = ['-c', program, app.url, keyId, key, token]
    const { stdout } = await promisify(execFile)('python3', args, { timeout: 15_000 })
    expect(stdout.trim()).toBe(account.id)
  })

  test.each<[string, () => string]>([
    ['the whole key as the password', () => `${keyId}:${key}`],
    ['the part of the key behind its id', () => `${keyId}:${key.slice(17)}`],
  ])('Basic with %s', async (_name, credentials) => {
    const authorization = `Basic ${Buffer.from(credentials()).toString('base64')}`
    expect((await introspect(app, key, 'token=x', { authorization })).body).toEqual({ active: false })
  })

  const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`
  test.each<[string, () => string, number, string]>([
    ['no key', () => '', 401, 'key_missing'],
    ['another scheme', () => 'Digest x', 401, 'key_missing'],
    ['two words', () => 'Bearer a b', 401, 'key_missing'],
    ['a made-up key', () => `Bearer ${issueKeyText(newKeyId())}`, 401, 'key_unknown'],
    ['another secret', () => `Bearer ${issueKeyText(keyId)}`, 401, 'key_unknown'],
    [
      'a wrong checksum',
      () => `Bearer ${key.slice(0, -1)}${key.endsWith('a') ? 'b' : 'a'}`,
      401,
      'key_unknown',
    ],
    ['half of a key', () => `Bearer ${key.slice(0, 40)}`, 401, 'key_unknown'],
    ['what is no key', () => 'Bearer x', 401, 'key_unknown'],
    ['Basic without a colon', () => basic(key), 401, 'key_unknown'],
    ['Basic with another id', () => basic(`abcdefghijkl:${key}`), 401, 'key_unknown'],
    ['Basic with no Base64', () => 'Basic %%%', 401, 'key_unknown'],
    ['Basic with no password', () => basic(`${keyId}:`), 401, 'key_unknown'],
    ["a user's token", () => `Bearer hf_${'A'.repeat(65)}`, 400, 'key_expected'],
    ["a user's token in Basic", () => basic(`${keyId}:hf_${'A'.repeat(65)}`), 400, 'key_expected'],
  ])('%s is refused', async (_name, authorization, status, code) => {
    for (const path of ['/v1/introspect', '/v1/introspect/batch']) {
      const answer = await send(app, path, { headers: { authorization: authorization() } })
      expect(answer).toMatchObject({ status, body: { code } })
      const challenge = answer.headers.get('www-authenticate')
      if (status === 400) expect(challenge).toBe(null)
      else if (code === 'key_missing') expect(challenge).toBe('Bearer, Basic realm="hufu"')
      else expect(challenge).toBe('Bearer error="invalid_token", Basic realm="hufu"')
    }
  })

  test('two keys in one request are refused', async () => {
    const { status, text } = await sendRaw(
      app,
      `POST /v1/introspect HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer ${key}\r\nAuthorization: Bearer ${key}\r\nContent-Type: ${formType}\r\nContent-Length: 7\r\n\r\ntoken=x`,
    )
    expect([status, JSON.parse(text).code]).toEqual([400, 'credentials_conflict'])
  })

  test('a key that is revoked, has expired, or comes from another network says so', async () => {
    const revoked = await createKey(app, ['introspect'])
    await app.services.keys.revoke(revoked.key.id, byOperator)
    const expired = await createKey(app, ['introspect'], { expiresAt: app.clock.now() + 1_000 })
    app.clock.advance(1_000)
    const elsewhere = await createKey(app, ['introspect'], { networks: ['10.0.0.0/8'] })
    const answers: [string, number, string][] = [
      [revoked.text, 401, 'key_revoked'],
      [expired.text, 401, 'key_expired'],
      [elsewhere.text, 403, 'key_network_refused'],
    ]
    for (const [text, status, code] of answers)
      expect(await introspect(app, text, 'token=x')).toMatchObject({ status, body: { code } })
  })

  test('a key that is revoked while its request arrives is refused', async () => {
    const created = await createKey(app, ['introspect'])
    const url = `${app.url}/v1/introspect/batch`
    const held = await holdRequest({ method: 'POST', url, token: created.text, body: '{"tokens":["x"]}' })
    await app.services.keys.revoke(created.key.id, byOperator)
    held.release()
    const { status, text } = await held.answer
    expect([status, JSON.parse(text).code]).toEqual([401, 'key_revoked'])
  })

  test('a key without the scope is refused', async () => {
    const { text } = await createKey(app, ['introspect:phone'])
    expect(await introspect(app, text, 'token=x')).toMatchObject({
      status: 403,
      body: { code: 'key_scope_missing' },
    })
  })

  test.each<[string, string, Record<string, string>, number, string]>([
    ['JSON', '{"token":"x"}', { 'content-type': 'application/json' }, 415, 'form_expected'],
    ['another charset', 'token=x', { 'content-type': `${formType}; charset=gbk` }, 415, 'form_expected'],
    ['a compressed form', 'token=x', { 'content-encoding': 'gzip' }, 415, 'form_expected'],
    ['no type', 'token=x', { 'content-type': 'text/plain' }, 415, 'form_expected'],
    ['a doubled token', 'token=x&token=y', {}, 400, 'bad_request'],
    ['an escaped name twice', 'token=x&%74oken=y', {}, 400, 'bad_request'],
    ['no token', 'tokens=x', {}, 422, 'invalid_request'],
    ['an empty token', 'token=', {}, 422, 'invalid_request'],
    ['an empty body', '', {}, 422, 'invalid_request'],
    ['a body of 1 MB', `token=${'x'.repeat(1_000_000)}`, {}, 413, 'body_too_large'],
  ])('%s is refused', async (_name, body, headers, status, code) => {
    expect(await introspect(app, key, body, headers)).toMatchObject({ status, body: { code } })
  })

  test('a batch has one result for each token, in order', async () => {
    const { token, account } = await signIn(app)
    const { body } = await batch(app, key, { tokens: ['x', token, key, token] })
    const live = expect.objectContaining({ active: true, sub: account.id })
    expect(body).toEqual({ results: [{ active: false }, live, { active: false }, live] })
    const full = await batch(app, key, { tokens: Array(100).fill(token) })
    expect(full.body).toEqual({ results: Array(100).fill(live) })
  })

  test.each<[string, unknown, number, string]>([
    ['101 tokens', { tokens: Array(101).fill('x') }, 422, 'invalid_request'],
    ['no tokens', { tokens: [] }, 422, 'invalid_request'],
    ['a text', { tokens: 'x' }, 422, 'invalid_request'],
    ['a number', { tokens: [1] }, 422, 'invalid_request'],
    ['another field', { tokens: ['x'], token: 'x' }, 422, 'invalid_request'],
    ['no JSON', 'tokens', 400, 'invalid_json'],
    ['1 MB', { tokens: ['x'.repeat(1_000_000)] }, 413, 'body_too_large'],
  ])('a batch with %s is refused', async (_name, body, status, code) => {
    expect(await batch(app, key, body)).toMatchObject({ status, body: { code } })
  })

  test('a key that looks up too many tokens waits, and another key does not', async () => {
    const limited = await startApp(url, { environment: { HUFU_KEY_LOOKUPS_PER_SECOND: '1' } })
    try {
      const [one, other] = [
        await createKey(limited, ['introspect']),
        await createKey(limited, ['introspect']),
      ]
      expect(await batch(limited, one.text, { tokens: Array(100).fill('x') })).toMatchObject({ status: 200 })
      const { status, headers, body } = await batch(limited, one.text, { tokens: Array(100).fill('x') })
      expect([status, body.code]).toEqual([429, 'rate_limited'])
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(90)
      expect(await introspect(limited, other.text, 'token=x')).toMatchObject({ status: 200 })
    } finally {
      await limited.close()
    }
  })

  test('a key does not move the lookup of a token into the class of signed-in clients', async () => {
    const made = `hf_${'A'.repeat(65)}`
    const classes = await lookupClasses(app, async () => {
      expect(await introspect(app, key, `token=${made}`)).toMatchObject({ status: 200 })
      expect(await batch(app, key, { tokens: [made, made] })).toMatchObject({ status: 200 })
    })
    expect(classes).toEqual(['reading', 'reading', 'reading'])
  })

  test('a key is no token: /v1 says so, and the session of the app is not touched', async () => {
    const response = await fetch(`${app.url}/v1/session`, { headers: { authorization: `Bearer ${key}` } })
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ code: 'token_expected' })
  })

  test('no line of the log and no answer contains a key or a token', async () => {
    const { token } = await signIn(app)
    await introspect(app, key, `token=${token}`)
    await introspect(app, key, `${key}=${token}&${key}=x`)
    const { body } = await batch(app, key, { [key]: 1 })
    for (const text of [...app.lines, JSON.stringify(body)]) {
      expect(text).not.toContain(key.slice(17))
      expect(text).not.toContain(token.slice(25))
    }
  })

  test('the routes have a document of their own', async () => {
    const document = await (await fetch(`${app.url}/openapi/service.json`)).json()
    expect(document).toMatchObject({
      openapi: '3.1.0',
      paths: { '/v1/introspect': { post: {} }, '/v1/introspect/batch': { post: {} } },
      components: { securitySchemes: { serviceKey: {}, serviceKeyBasic: {} } },
    })
  })
})

const server = databases.find(({ name, skipped }) => name !== 'sqlite' && skipped === null)

describe.skipIf(server === undefined)('while the database is away', () => {
  let drop = async () => {}
  let proxy: TcpProxy
  let url: string

  beforeAll(async () => {
    const fresh = await (server ?? expect.fail()).create()
    drop = fresh.drop
    proxy = await startProxy(fresh.url)
    url = proxy.url
  })
  afterAll(async () => {
    await proxy?.close()
    await drop()
  })

  test.each([
    ['without Redis', {}],
    ['with Redis', { HUFU_REDIS_URL: redisUrl() ?? '' }],
  ] as const)(
    '%s, no token is called inactive: the answer is 503',
    async (name, environment) => {
      if (name === 'with Redis' && redisUrl() === null) return
      proxy.set('pass')
      const app = await startApp(url, { environment })
      try {
        await addPerson(app.services).catch(() => {})
        const { text } = await createKey(app, ['introspect'])
        const { token } = await signIn(app)
        expect((await introspect(app, text, `token=${token}`)).body).toMatchObject({ active: true })
        for (const mode of ['refuse', 'stall'] as const) {
          proxy.set(mode)
          const deadline = performance.now() + 1_500
          while (performance.now() < deadline) {
            const { status, headers, body } = await introspect(app, text, `token=${token}`)
            if (status === 200) expect(body).toMatchObject({ active: true })
            else expect([status, headers.get('retry-after')]).toEqual([503, expect.stringMatching(/^\d+$/)])
          }
          const { status, body } = await batch(app, text, { tokens: [token, 'x'] })
          if (status === 200)
            expect(body).toMatchObject({ results: [{ unavailable: true }, { active: false }] })
          else expect(status).toBe(503)
        }
        proxy.set('pass')
        await vi.waitFor(
          async () => {
            const { body } = await introspect(app, text, `token=${token}`)
            expect(body).toMatchObject({ active: true })
          },
          { timeout: 20_000, interval: 200 },
        )
      } finally {
        proxy.set('pass')
        await app.close()
      }
    },
    90_000,
  )
})
