// Text that makes a careless pattern take quadratic time or worse, in every place that a refusal looks at.
// It compares the CPU time of a long text with that of a short one, so a slow machine changes nothing.
import { request } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type RunningApp, startApp } from '../support/app.ts'
import { databases, type FreshDatabase } from '../support/databases.ts'

const [sqlite = expect.fail()] = databases

interface Hostile {
  readonly method: string
  readonly path: string
  readonly headers?: Record<string, string>
  readonly body?: string
}

const post = { method: 'POST', path: '/v1/codes' }
const json = { 'content-type': 'application/json' }
const names = (one: string, length: number) =>
  Object.fromEntries(Array.from({ length: length / 60 }, (_, i) => [`${one.repeat(55)}`.slice(0, 55) + i, 1]))

const places: Readonly<Record<string, (text: string) => Hostile>> = {
  'the path': (text) => ({ method: 'GET', path: `/${text}` }),
  'a path of /v1': (text) => ({ method: 'GET', path: `/v1/${text}~` }),
  'a query': (text) => ({ method: 'GET', path: `/v1/session?${text}` }),
  Authorization: (authorization) => ({ method: 'GET', path: '/v1/session', headers: { authorization } }),
  'Content-Type': (type) => ({ ...post, headers: { 'content-type': type }, body: '{}' }),
  'Content-Encoding': (encoding) => ({
    ...post,
    headers: { ...json, 'content-encoding': encoding },
    body: '{}',
  }),
  'Accept-Language': (language) => ({
    ...post,
    headers: { ...json, 'accept-language': language },
    body: '{}',
  }),
  'X-Forwarded-For': (address) => ({ ...post, headers: { ...json, 'x-forwarded-for': address }, body: '{}' }),
  'Idempotency-Key': (key) => ({
    method: 'POST',
    path: '/v1/sessions',
    headers: { ...json, 'idempotency-key': key },
    body: '{}',
  }),
  'the body': (text) => ({ ...post, headers: json, body: text }),
  'a phone number': (text) => ({ ...post, headers: json, body: JSON.stringify({ phone_number: text }) }),
  'names of the body': (text) => ({
    ...post,
    headers: json,
    body: JSON.stringify(names(text.slice(0, 1), text.length)),
  }),
}

const texts = ['a', 'A1', '1', '-', '/', '/v1', 'v1/', ';', ',', ' ', '%20', '"', '{"a":', '[', '=a', '+86']

describe.skipIf(sqlite.skipped !== null)('hostile text', () => {
  let fresh: FreshDatabase
  let app: RunningApp

  beforeAll(async () => {
    fresh = await sqlite.create()
    app = await startApp(fresh.url)
  })
  afterAll(async () => {
    await app?.close()
    await fresh?.drop()
  })

  /** Returns the status and the milliseconds of CPU that the process has used meanwhile. */
  async function send({ method, path, headers = {}, body }: Hostile): Promise<[number, number]> {
    const before = process.cpuUsage()
    const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }
    const status = await new Promise<number>((resolve, reject) => {
      const sent = request(app.url + path.replaceAll(/[ "]/g, '%20'), {
        method,
        headers: { ...headers, ...length },
        agent: false,
      })
      sent.on('error', reject)
      sent.on('response', (response) => {
        response.resume()
        response.on('end', () => resolve(response.statusCode ?? 0))
      })
      sent.end(body)
    })
    const { user, system } = process.cpuUsage(before)
    return [status, (user + system) / 1_000]
  }

  test.each(Object.entries(places))('in %s takes no longer than its length', async (_name, place) => {
    for (const one of texts) {
      const ofLength = (length: number) => place(one.repeat(length / one.length))
      const [short] = [await send(ofLength(500)), await send(ofLength(500))].toSorted((a, b) => a[1] - b[1])
      const [status, ms] = await send(ofLength(12_000))
      expect(status, one).toBeGreaterThanOrEqual(400)
      expect(status, one).toBeLessThan(500)
      // 24 times the length, and some noise.
      expect(ms, `${one}: ${ms} ms`).toBeLessThan(24 * Math.max(short?.[1] ?? 0, 5))
    }
  })

  const marks = [...'\u0345\u0360\u035C\u0315\u0300\u0316\u031B\u0321\u0334']
  const manyMarks = marks.map((mark) => mark.repeat(800)).join('')
  const login = (fields: object): Hostile => ({
    method: 'POST',
    path: '/login',
    headers: json,
    body: JSON.stringify({ phone_number: '13800005223', password: 'x', ...fields }),
  })

  test.each([
    [
      'a path with invalid and nested escapes',
      { method: 'GET', path: `/${'%FFg'.repeat(125)}%${'25'.repeat(245)}` },
      { method: 'GET', path: `/${'a'.repeat(990)}` },
    ],
    [
      'combining marks as a phone number of /login',
      login({ phone_number: manyMarks }),
      login({ phone_number: 'a'.repeat(14_400) }),
    ],
    [
      'combining marks as a password of /login',
      login({ password: manyMarks }),
      login({ password: 'a'.repeat(14_400) }),
    ],
  ] as const)('%s takes no longer than plain text of its length', async (_name, hostile, plain) => {
    const [quick] = [await send(plain), await send(plain)].toSorted((a, b) => a[1] - b[1])
    const [slow] = [await send(hostile), await send(hostile)].toSorted((a, b) => a[1] - b[1])
    expect(slow?.[0]).toBeLessThan(500)
    expect(slow?.[1]).toBeLessThan(6 * Math.max(quick?.[1] ?? 0, 5))
  })
})
