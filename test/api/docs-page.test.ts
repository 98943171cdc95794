// /docs and /openapi.json have the same bytes for every client: compressed once, off the event loop, and not
// sent again to a client that has them.
import { request } from 'node:http'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { codingFor } from '../../src/http/docs/stored-answer.ts'
import { type RunningApp, startApp } from '../support/app.ts'
import { databases } from '../support/databases.ts'

let app: RunningApp
let drop: () => Promise<void>

beforeAll(async () => {
  const fresh = await (databases[0] ?? expect.fail()).create()
  drop = fresh.drop
  app = await startApp(fresh.url)
})

afterAll(async () => {
  await app.close()
  await drop()
})

/** Sends one request by node:http, which adds no header and decodes nothing. */
function ask(path: string, headers: Record<string, string> = {}, method = 'GET') {
  return new Promise<{ status: number; headers: Record<string, unknown>; body: Buffer }>(
    (resolve, reject) => {
      const asking = request(`${app.url}${path}`, { method, headers }, (answer) => {
        const pieces: Buffer[] = []
        answer.on('data', (piece: Buffer) => pieces.push(piece))
        answer.on('end', () => {
          const body = Buffer.concat(pieces)
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body })
        })
      })
      asking.on('error', reject)
      asking.end()
    },
  )
}

const script = '/docs/js/scalar.js'

// This must be the first test of the file, because the first use happens once in a process.
test('the first request for the script does not block others for long', async () => {
  const began = performance.now()
  let longest = 0
  let last = began
  const turns = setInterval(() => {
    longest = Math.max(longest, performance.now() - last)
    last = performance.now()
  }, 1)
  expect(await ask(script)).toMatchObject({ status: 200 })
  clearInterval(turns)
  expect(longest / (performance.now() - began)).toBeLessThan(0.25)
})

test.each([
  { accept: 'gzip, deflate, br', coding: 'br' },
  { accept: 'gzip', coding: 'gzip' },
  { accept: null, coding: 'gzip' },
  { accept: 'identity', coding: 'gzip' },
])('the script is sent as $coding to a client that accepts $accept: a quarter of its size', async ({
  accept,
  coding,
}) => {
  const { status, headers, body } = await ask(script, accept === null ? {} : { 'accept-encoding': accept })
  expect({ status, ...headers }).toMatchObject({
    status: 200,
    'content-encoding': coding,
    'cache-control': 'public, max-age=3600',
    vary: 'accept-encoding',
    etag: expect.stringMatching(/^"[\w-]+"$/),
    'content-length': String(body.byteLength),
  })
  const whole = coding === 'br' ? brotliDecompressSync(body) : gunzipSync(body)
  expect(whole.byteLength).toBeGreaterThan(1_000_000)
  expect(body.byteLength / whole.byteLength).toBeLessThan(0.35)
})

test.each([
  script,
  '/docs',
  '/docs/',
  '/openapi.json',
])('a client that has %s gets 304 without a byte', async (path) => {
  const accept = { 'accept-encoding': 'br' }
  const first = await ask(path, accept)
  if (first.status !== 200) return expect(first.headers.location).toMatch(/^\/docs/)
  const etag = String(first.headers.etag)
  for (const known of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
    const again = await ask(path, { ...accept, 'if-none-match': known })
    expect(again).toMatchObject({
      status: 304,
      body: Buffer.alloc(0),
      headers: { etag, vary: 'accept-encoding' },
    })
    expect(again.headers['cache-control']).toBe(first.headers['cache-control'])
  }
  expect(await ask(path, { ...accept, 'if-none-match': '"other"' })).toMatchObject({ status: 200 })
  // Another content coding is another representation.
  expect((await ask(path, { 'accept-encoding': 'gzip' })).headers.etag).not.toBe(etag)
})

test.each([
  script,
  '/docs',
  '/docs/',
  '/openapi.json',
])('HEAD %s has the headers of GET and no body', async (path) => {
  const accept = { 'accept-encoding': 'br' }
  const [get, head] = [await ask(path, accept), await ask(path, accept, 'HEAD')]
  const without = ({ date: _, 'x-request-id': __, ...headers }: Record<string, unknown>) => headers
  expect(without(head.headers)).toEqual(without(get.headers))
  expect(head).toMatchObject({ status: get.status, body: Buffer.alloc(0) })
})

test('the small pages are sent uncompressed to a client that names no coding', async () => {
  const plain = await ask('/openapi.json')
  expect(plain.headers['content-encoding']).toBeUndefined()
  expect(JSON.parse(plain.body.toString())).toMatchObject({ openapi: '3.1.0' })
  const small = await ask('/openapi.json', { 'accept-encoding': 'gzip' })
  expect(gunzipSync(small.body)).toEqual(plain.body)
})

test.each([
  [undefined, 'identity'],
  ['', 'identity'],
  ['gzip', 'gzip'],
  ['GZIP;q=0.5, br;q=1', 'br'],
  ['br;q=0.2, gzip;q=0.8', 'gzip'],
  ['br;q=0, gzip;q=0', 'identity'],
  ['*', 'br'],
  ['*;q=0, gzip;q=0.1', 'gzip'],
  ['identity, gzip;q=0.5', 'identity'],
  ['gzip;q=5', 'identity'],
  ['zstd', 'identity'],
] as const)('Accept-Encoding %j leads to %s', (header, coding) => {
  expect(codingFor(header)).toBe(coding)
})
