// The common headers of all responses are written once: a header that is added to the one list is on every
// response, whichever way it takes.
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { noOrigin } from '../../src/events/events.ts'
import { addPerson, person, type RunningApp, startApp } from '../support/app.ts'
import { databases } from '../support/databases.ts'
import { phone } from '../support/in-process-server.ts'

vi.mock('../../src/http/answer-headers.ts', async (original) => {
  const module = await original<typeof import('../../src/http/answer-headers.ts')>()
  return { ...module, everyAnswer: [...module.everyAnswer, 'x-made-up', 'everywhere'] }
})

const origin = 'https://app.example.com'
let app: RunningApp
let token: string
let drop: () => Promise<void>

beforeAll(async () => {
  const fresh = await (databases[0] ?? expect.fail()).create()
  drop = fresh.drop
  app = await startApp(fresh.url, {
    environment: { HUFU_ALLOWED_ORIGINS: origin, HUFU_MAX_CONNECTIONS: '20' },
  })
  await addPerson(app.services)
  const context = { device: phone, origin: noOrigin }
  const credential = { phoneNumber: person.phone, password: person.password }
  token = (await app.services.signIn.by('password', context, credential)).token
})

afterAll(async () => {
  await app.close()
  await drop()
})

const bearer = () => ({ authorization: `Bearer ${token}` })
const json = { 'content-type': 'application/json' }

test.each<[string, string, () => RequestInit, number]>([
  ['a page', '/', () => ({}), 200],
  ['a route', '/v1/account', () => ({ headers: bearer() }), 200],
  ['health', '/livez', () => ({}), 200],
  ['the document, which may be stored', '/openapi.json', () => ({}), 200],
  ['an error of v1', '/v1/session', () => ({}), 401],
  ['an error of the classic API', '/login', () => ({ method: 'POST', headers: json, body: '{' }), 400],
  ['a method that is not there', '/livez', () => ({ method: 'PUT' }), 405],
  ['an address that is not there', '/nothing', () => ({}), 404],
  ['an address that cannot be read', '/%zz', () => ({}), 400],
  [
    'a preflight',
    '/v1/sessions',
    () => ({ method: 'OPTIONS', headers: { origin, 'access-control-request-method': 'POST' } }),
    204,
  ],
])('%s', async (_name, path, init, status) => {
  const answer = await fetch(app.url + path, init())
  expect({ status: answer.status, header: answer.headers.get('x-made-up') }).toEqual({
    status,
    header: 'everywhere',
  })
})

test.each([
  ['/user', () => ({ token })],
  ['/v1/session', bearer],
] as const)('the fast path of %s, with and without an origin', async (path, headers) => {
  let reached = 0
  const count = () => reached++
  subscribe('tracing:fastify.request.handler:start', count)
  try {
    // The first response for a token may come from Fastify's route.
    await (await fetch(app.url + path, { headers: headers() })).text()
    reached = 0
    for (const more of [{}, { origin }, {}] as Record<string, string>[]) {
      const answer = await fetch(app.url + path, { headers: { ...headers(), ...more } })
      expect(answer.headers.get('x-made-up')).toBe('everywhere')
      expect(answer.headers.get('access-control-allow-origin')).toBe(more.origin ?? null)
      await answer.text()
    }
    expect(reached).toBe(0)
  } finally {
    unsubscribe('tracing:fastify.request.handler:start', count)
  }
})

/** Everything that the server sends in response to these bytes on a connection of its own. */
async function rawAnswer(bytes: string): Promise<string> {
  const socket = connect(Number(new URL(app.url).port), '127.0.0.1')
  socket.write(bytes)
  let text = ''
  for await (const chunk of socket) text += chunk
  return text
}

test('bytes that are not HTTP', async () => {
  expect(await rawAnswer('GET / FTP/9\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 .*\r\nx-made-up: everywhere\r\n/s)
})

test.each([
  ['without Host', 'GET / HTTP/1.1\r\n\r\n'],
  ['with an expectation that no server can meet', 'GET / HTTP/1.1\r\nhost: h\r\nexpect: 200-ok\r\n\r\n'],
  ['whose target is no path', 'GET *livez HTTP/1.1\r\nhost: h\r\n\r\n'],
])('a request %s', async (_name, bytes) => {
  const answer = await rawAnswer(bytes.replace(/\r\n$/, `origin: ${origin}\r\n\r\n`))
  expect(answer).toMatch(/^HTTP\/1\.1 400 /)
  for (const header of ['x-made-up: everywhere', 'x-request-id: ', `access-control-allow-origin: ${origin}`])
    expect(answer).toContain(`\r\n${header}`)
})

test('a connection beyond the limit', async () => {
  const port = Number(new URL(app.url).port)
  const others = Array.from({ length: 20 }, () => connect(port, '127.0.0.1'))
  await Promise.all(others.map((socket) => once(socket, 'connect')))
  expect(await rawAnswer('')).toMatch(/^HTTP\/1\.1 503 .*\r\nx-made-up: everywhere\r\n/s)
  for (const socket of others) socket.destroy()
})
