// Pages of another origin: those of HUFU_ALLOWED_ORIGINS can read every response; all others can read none.
import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { noOrigin } from '../../src/events/events.ts'
import { addPerson, person, type RunningApp, startApp } from '../support/app.ts'
import { databases } from '../support/databases.ts'
import { phone } from '../support/in-process-server.ts'
import { RawConnection, send } from '../support/raw-http.ts'
import { whyMissing } from '../support/services/binaries.ts'
import { replaceOnce, startNginx } from '../support/services/nginx.ts'

const origin = 'https://app.example.com'
const allowed = [origin, 'capacitor://localhost', 'http://localhost:5173']
const environment = { HUFU_ALLOWED_ORIGINS: allowed.join(', ') }
const exposed = 'Retry-After, WWW-Authenticate, X-Request-Id'

const closers: (() => Promise<unknown>)[] = []
afterAll(async () => {
  for (const close of closers.reverse()) await close()
})

async function start(more: Record<string, string> = environment): Promise<RunningApp> {
  const { url, drop } = await (databases[0] ?? expect.fail()).create()
  closers.push(drop)
  const app = await startApp(url, { environment: more })
  closers.push(() => app.close())
  await addPerson(app.services)
  return app
}

async function tokenOf({ services }: RunningApp): Promise<string> {
  const context = { device: phone, origin: noOrigin }
  const credential = { phoneNumber: person.phone, password: person.password }
  return (await services.signIn.by('password', context, credential)).token
}

interface Asked {
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly body?: string
}

/** The headers of a response that concern origins. Some responses also vary with the accepted encodings. */
function corsOf(headers: Headers): Record<string, string> {
  const found = [...headers].filter(([name]) => /^(access-control-|vary$)/.test(name))
  const pairs = found.map(([name, value]) => [name, value.replace(/(^|, )accept-encoding$/i, '')] as const)
  return Object.fromEntries(pairs.filter(([, value]) => value !== ''))
}

let app: RunningApp
let off: RunningApp
let token: string
beforeAll(async () => {
  app = await start()
  off = await start({})
})
beforeEach(async () => {
  token = await tokenOf(app)
})

const json = { 'content-type': 'application/json' }
/**
 * Each way in which the server responds: the fast path, a handler, a hook, an error, or before any route was
 * found.
 */
const answers: [number, string, () => Asked][] = [
  [200, '/v1/session', () => ({ headers: { authorization: `Bearer ${token}` } })],
  [200, '/v1/session?long', () => ({ headers: { authorization: `Bearer ${token}` } })],
  [200, '/v1/sessions', () => ({ headers: { authorization: `Bearer ${token}` } })],
  [200, '/user', () => ({ headers: { token } })],
  [200, '/openapi.json', () => ({})],
  [200, '/docs/', () => ({})],
  [200, '/livez', () => ({ method: 'HEAD' })],
  [201, '/v1/sessions', () => ({ method: 'POST', headers: json, body: JSON.stringify(login) })],
  [204, '/v1/sessions/end', () => ({ method: 'POST', headers: { authorization: `Bearer ${token}` } })],
  [400, '/v1/sessions', () => ({ method: 'POST', headers: json, body: '{' })],
  [400, '/v1/%zz', () => ({})],
  [401, '/v1/session', () => ({})],
  [401, '/v1/session', () => ({ headers: { authorization: 'Bearer hf_x' } })],
  [404, '/v1/nothing', () => ({})],
  [404, '/nothing', () => ({})],
  [404, `/v1/sessions/${'a'.repeat(201)}`, () => ({ method: 'DELETE' })],
  [405, '/v1/account', () => ({ method: 'POST' })],
  [405, '/login', () => ({ method: 'OPTIONS' })],
  [413, '/v1/sessions', () => ({ method: 'POST', headers: json, body: ' '.repeat(20_000) })],
  [415, '/v1/sessions', () => ({ method: 'POST', headers: { 'content-type': 'text/plain' }, body: 'x' })],
  [422, '/v1/sessions', () => ({ method: 'POST', headers: json, body: '{}' })],
]
const login = { phone_number: person.phone, password: person.password, device: { platform: 'web' } }

async function ask({ url }: RunningApp, path: string, { headers, ...asked }: Asked, from: string | null) {
  const answer = await fetch(url + path, {
    redirect: 'manual',
    ...asked,
    headers: { ...headers, ...(from !== null && { origin: from }) },
  })
  await answer.arrayBuffer()
  return answer
}

test.each(
  answers,
)('an answer %i to %s can be read by a page of an allowed origin', async (status, path, asked) => {
  for (const from of allowed) {
    const answer = await ask(app, path, asked(), from)
    expect({ status: answer.status, ...corsOf(answer.headers) }).toEqual({
      status,
      vary: 'Origin',
      'access-control-allow-origin': from,
      'access-control-expose-headers': exposed,
    })
    token = await tokenOf(app)
  }
})

test.each(
  answers,
)('an answer %i to %s has no header for other origins, but varies', async (status, path, asked) => {
  for (const from of [null, 'https://evil.test']) {
    const answer = await ask(app, path, asked(), from)
    expect({ status: answer.status, ...corsOf(answer.headers) }).toEqual({ status, vary: 'Origin' })
    token = await tokenOf(app)
  }
})

test.each(
  answers,
)('an answer %i to %s carries nothing of it while the setting is empty', async (status, path, asked) => {
  token = await tokenOf(off)
  const answer = await ask(off, path, asked(), origin)
  expect({ status: answer.status, ...corsOf(answer.headers) }).toEqual({ status })
})

test('a compressed answer varies with origin and encoding', async () => {
  const answer = await ask(app, '/openapi.json', { headers: { 'accept-encoding': 'gzip' } }, origin)
  expect([answer.headers.get('vary'), answer.headers.get('content-encoding')]).toEqual([
    'Origin, accept-encoding',
    'gzip',
  ])
})

test('the fast path is one of these ways', async () => {
  const spy = vi.spyOn(app.services.verification, 'verify')
  try {
    for (let i = 0; i < 3; i++) {
      const answer = await ask(app, '/v1/session', { headers: { authorization: `Bearer ${token}` } }, origin)
      expect(answer.headers.get('access-control-allow-origin')).toBe(origin)
    }
    expect(spy.mock.calls.length).toBeLessThan(3)
  } finally {
    spy.mockRestore()
  }
})

test.each([
  'null',
  'https://evil.test',
  'https://app.example.com.evil.test',
  'https://xapp.example.com',
  'https://app.example.com:443',
  'https://app.example.com:8443',
  'https://app.example.com/',
  'http://app.example.com',
  'HTTPS://APP.EXAMPLE.COM',
  'http://localhost',
  'http://localhost:51730',
  '*',
  'app.example.com',
  'constructor',
  `${origin}, ${origin}`,
  `${origin} ${origin}`,
])('an origin that is not exactly in the list learns nothing: %s', async (from) => {
  for (const [method, path] of [
    ['GET', '/v1/session'],
    ['OPTIONS', '/v1/session'],
  ] as const) {
    const headers = `origin: ${from}\r\naccess-control-request-method: DELETE\r\n`
    const reply = await send(
      app,
      `${method} ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${headers}\r\n`,
    )
    expect(reply.status).toBe(method === 'GET' ? 401 : 405)
    expect(Object.keys(reply.headers).filter((name) => name.startsWith('access-control'))).toEqual([])
    expect(reply.headers.vary).toBe('Origin')
  }
})

test('two Origin headers match no allowed origin', async () => {
  const headers = `origin: ${origin}\r\norigin: https://evil.test\r\n`
  const reply = await send(app, `GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${headers}\r\n`)
  expect(Object.keys(reply.headers).filter((name) => name.startsWith('access-control'))).toEqual([])
})

test('an internal error and a limit are readable, with the time to wait', async () => {
  const limited = await start({ ...environment, HUFU_LIMITS: 'on' })
  const wrong = JSON.stringify({ ...login, password: 'wrong' })
  let answer = await ask(limited, '/v1/sessions', { method: 'POST', headers: json, body: wrong }, origin)
  for (let i = 0; i < 500 && answer.status !== 429; i++)
    answer = await ask(limited, '/v1/sessions', { method: 'POST', headers: json, body: wrong }, origin)
  expect(answer.status).toBe(429)
  expect(answer.headers.get('retry-after')).toMatch(/^\d+$/)
  expect(corsOf(answer.headers)['access-control-allow-origin']).toBe(origin)

  const spy = vi.spyOn(limited.services.verification, 'verify').mockRejectedValue(new Error('planted'))
  const failed = await ask(limited, '/v1/session', { headers: { authorization: 'Bearer x' } }, origin)
  spy.mockRestore()
  expect([failed.status, corsOf(failed.headers)['access-control-allow-origin']]).toEqual([500, origin])
})

test('a request that breaks off after its headers is refused readably for its page', async () => {
  const broken = (from: string) =>
    `POST /v1/sessions HTTP/1.1\r\nhost: x\r\norigin: ${from}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n`
  const reply = await send(app, broken(origin))
  expect([reply.status, reply.headers['access-control-allow-origin'], reply.headers.vary]).toEqual([
    400,
    origin,
    'Origin',
  ])
  const other = await send(app, broken('https://evil.test'))
  expect([other.status, other.headers['access-control-allow-origin'], other.headers.vary]).toEqual([
    400,
    undefined,
    'Origin',
  ])
  expect((await send(off, broken(origin))).headers).not.toHaveProperty('vary')
})

test('data that is not HTTP is refused alike for every origin', async () => {
  const request = `GET / HTTP/1.1\r\norigin: ${origin}\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`
  const reply = await send(app, request)
  expect([reply.status, reply.headers.vary]).toEqual([431, 'Origin'])
})

describe('a preflight', () => {
  const preflight = (more: Record<string, string> = {}, path = '/v1/sessions/x') =>
    ask(
      app,
      path,
      { method: 'OPTIONS', headers: { 'access-control-request-method': 'DELETE', ...more } },
      origin,
    )

  test.each([
    '/v1/session',
    '/v1/sessions/x',
    '/login',
    '/nothing',
    '/v1/nothing',
    '/docs',
  ])('of an allowed origin may call %s with any method that there is', async (path) => {
    const answer = await preflight({ 'access-control-request-headers': 'authorization,content-type' }, path)
    expect({ status: answer.status, ...corsOf(answer.headers) }).toEqual({
      status: 204,
      vary: 'Origin',
      'access-control-allow-origin': origin,
      'access-control-allow-methods': 'GET, HEAD, POST, PUT, PATCH, DELETE',
      'access-control-allow-headers': 'authorization,content-type',
      'access-control-expose-headers': exposed,
      'access-control-max-age': '7200',
    })
    expect(answer.headers.get('x-request-id')).not.toBeNull()
    expect(answer.headers.get('cache-control')).toBe('no-store')
  })

  test.each([
    ['idempotency-key,traceparent,x-requested-with', true],
    ['a', true],
    ['', false],
    ['a b', false],
    ['a,,b', false],
    ['a;b', false],
    ['a'.repeat(1025), false],
  ])('that asks for the headers "%s" gets them back: %s', async (names, isAllowed) => {
    const answer = await preflight({ 'access-control-request-headers': names })
    expect(answer.status).toBe(204)
    expect(answer.headers.get('access-control-allow-headers')).toBe(isAllowed ? names : null)
  })

  test('counts in no limit and reads no database', async () => {
    const limited = await start({ ...environment, HUFU_LIMITS: 'on' })
    const headers = { 'access-control-request-method': 'POST' }
    for (let i = 0; i < 300; i++)
      expect((await ask(limited, '/v1/codes', { method: 'OPTIONS', headers }, origin)).status).toBe(204)
    const body = JSON.stringify({ phone_number: '13800005223', purpose: 'sign_in' })
    expect((await ask(limited, '/v1/codes', { method: 'POST', headers: json, body }, origin)).status).toBe(
      202,
    )
    await limited.services.db.destroy()
    expect((await ask(limited, '/v1/sessions', { method: 'OPTIONS', headers }, origin)).status).toBe(204)
  })

  test('is handled as any other OPTIONS request without its header, or while the setting is empty', async () => {
    expect((await ask(app, '/v1/session', { method: 'OPTIONS' }, origin)).status).toBe(405)
    const headers = { 'access-control-request-method': 'GET' }
    expect((await ask(off, '/v1/session', { method: 'OPTIONS', headers }, origin)).status).toBe(405)
  })

  test('leaves the connection open', async () => {
    const connection = await RawConnection.open(app)
    const head = `host: x\r\norigin: ${origin}\r\n`
    const ask = `OPTIONS /v1/session HTTP/1.1\r\n${head}access-control-request-method: DELETE\r\n\r\n`
    connection.write(`${ask}GET /livez HTTP/1.1\r\n${head}\r\n`)
    expect((await connection.answer())?.status).toBe(204)
    expect((await connection.answer())?.status).toBe(200)
    await connection.close()
  })
})

/**
 * The part of the fetch standard that concerns other origins: it sends preflights, and hides what the page
 * may not read.
 */
async function browserFetch(from: string, url: string, init: Asked = {}) {
  const { method = 'GET', headers = {} } = init
  const isJson = headers['content-type'] === 'application/json'
  const isSimple = /^(GET|HEAD|POST)$/.test(method) && !isJson && headers.authorization === undefined
  if (!isSimple) {
    const asked = {
      origin: from,
      'access-control-request-method': method,
      'access-control-request-headers': Object.keys(headers).toSorted().join(','),
    }
    const answer = await fetch(url, { method: 'OPTIONS', headers: asked })
    const names = (answer.headers.get('access-control-allow-headers') ?? '').split(',')
    const isIn = answer.headers.get('access-control-allow-methods')?.split(', ').includes(method)
    if (!answer.ok || answer.headers.get('access-control-allow-origin') !== from || !isIn)
      throw new TypeError()
    if (Object.keys(headers).some((name) => !names.includes(name))) throw new TypeError()
  }
  const answer = await fetch(url, { ...init, headers: { ...headers, origin: from } })
  if (answer.headers.get('access-control-allow-origin') !== from) throw new TypeError('Failed to fetch')
  const seen = (answer.headers.get('access-control-expose-headers') ?? '').toLowerCase().split(', ')
  return {
    status: answer.status,
    text: await answer.text(),
    header: (name: string) => (seen.includes(name) ? answer.headers.get(name) : null),
  }
}

test('a page of an allowed origin signs in, reads why it is refused, and signs out; another page cannot', async () => {
  const post = { method: 'POST', headers: json, body: JSON.stringify(login) }
  const signedIn = await browserFetch(origin, `${app.url}/v1/sessions`, post)
  expect(signedIn.status).toBe(201)
  const { token: mine } = JSON.parse(signedIn.text) as { token: string }
  const headers = { authorization: `Bearer ${mine}`, 'x-request-id': 'a-page' }
  const out = await browserFetch(origin, `${app.url}/v1/session`, { method: 'DELETE', headers })
  expect([out.status, out.header('x-request-id')]).toEqual([204, 'a-page'])
  const refused = await browserFetch(origin, `${app.url}/v1/session`, { headers })
  expect([refused.status, refused.header('www-authenticate')]).toEqual([401, 'Bearer error="invalid_token"'])
  await expect(browserFetch('https://evil.test', `${app.url}/v1/sessions`, post)).rejects.toThrow(TypeError)
  await expect(browserFetch(origin, `${off.url}/v1/sessions`, post)).rejects.toThrow(TypeError)
})

describe.skipIf(whyMissing(['nginx'], 'nginx') !== null)('nginx with what docs/browsers.md adds', () => {
  const text = readFileSync(fileURLToPath(new URL('../../docs/browsers.md', import.meta.url)), 'utf8')
  const blocks = [...text.matchAll(/^```nginx\n(.*?)^```/gms)].map(([, block = '']) => block)
  const [sameOrigin = '', map = '', add = ''] = blocks

  test('reports a missing server to a page, and does not change the answers of a server', async () => {
    const change = (conf: string) =>
      map + replaceOnce(conf, '  server_tokens off;', `  server_tokens off;\n  ${add}`)
    const { port } = app.server.server.address() as AddressInfo
    const nginx = await startNginx([port, port], change)
    const dead = await startNginx([1, 1], change)
    try {
      const headers = { origin }
      const answer = await fetch(`${nginx.url}/v1/session`, { headers })
      expect([answer.status, corsOf(answer.headers)['access-control-allow-origin']]).toEqual([401, origin])
      const none = await fetch(`${dead.url}/v1/session`, { headers })
      expect([none.status, corsOf(none.headers)['access-control-allow-origin']]).toEqual([502, origin])
      const other = await fetch(`${dead.url}/v1/session`, { headers: { origin: 'https://evil.test' } })
      expect([other.status, corsOf(other.headers)]).toEqual([502, {}])
    } finally {
      await nginx.stop()
      await dead.stop()
    }
  })

  test('serves a page and the API from one origin', async () => {
    const { port } = off.server.server.address() as AddressInfo
    const nginx = await startNginx([port, port], (conf) => {
      const [before = ''] = conf.split('  location / {')
      const page = sameOrigin.replace('/srv/app', fileURLToPath(new URL('../../docs', import.meta.url)))
      return `${before}${page.replace('/index.html', '/api.md')}}\n`
    })
    try {
      expect((await fetch(`${nginx.url}/v1/session`)).status).toBe(401)
      expect(await (await fetch(`${nginx.url}/some/page`)).text()).toMatch(/^# API/)
    } finally {
      await nginx.stop()
    }
  })
})
