// Sends 100,000 bad requests, derived from /openapi.json, to a server process. It never answers with a 5xx,
// never crashes, reveals no secret, changes no data of another account, and its memory does not grow. To
// repeat a run: HUFU_TEST_SEED=<seed> npx vitest run test/robustness/bad-requests.test.ts. For a longer run:
// HUFU_TEST_REQUESTS=<number>.
import { once } from 'node:events'
import { afterAll, describe, expect, test } from 'vitest'
import { errorCodes } from '../../src/errors.ts'
import { runCommand, type ServerProcess, startProcess } from '../support/app.ts'
import { databases, type FreshDatabase } from '../support/databases.ts'
import { RawConnection, type Reply } from '../support/raw-http.ts'
import type { Route, World } from './bad-request-draft.ts'
import { type BadRequest, badRequest, routesOf } from './bad-requests.ts'

const seed = Number(process.env.HUFU_TEST_SEED ?? Date.now() % 2 ** 31)
/** An account that no bad request may affect. */
const bystander = { phone: '13900000001', password: 'long enough not to be guessed', nickname: '证人' }
/** The code in the examples of the document, so that an example is right for a test number. */
const code = '493817'
/**
 * Each round has accounts of its own, because the last round has used up its codes and ended its sessions.
 */
const accountsInRound = 7
const numbers = Array.from({ length: 100 * accountsInRound }, (_, i) => `138000${10_000 + i}`)

let sqlite: FreshDatabase
const servers: ServerProcess[] = []

afterAll(async () => {
  for (const server of servers) await server.stop('SIGKILL')
  await sqlite?.drop()
})

async function start(environment: Record<string, string> = {}): Promise<ServerProcess> {
  sqlite = await (databases[0] ?? expect.fail()).create()
  const url = { HUFU_DATABASE_URL: sqlite.url }
  const add = ['accounts', 'add', bystander.phone, '--nickname', bystander.nickname, '--password-stdin']
  expect(await runCommand(add, url, { stdin: bystander.password })).toMatchObject({ code: 0 })
  const server = await startProcess(
    {
      ...url,
      HUFU_LOG_LEVEL: 'warn',
      HUFU_TEST_NUMBERS: numbers.map((number) => `+86${number}=${code}`).join(','),
      HUFU_TEST_NUMBERS_UNTIL: new Date(Date.now() + 86_400_000).toISOString().slice(0, 10),
      ...environment,
    },
    { script: 'test/support/measured-server.ts' },
  )
  servers.push(server)
  return server
}

interface Answer {
  readonly status: number
  readonly body: Record<string, unknown>
}

/** Sends a request as an app does. */
async function call(
  server: ServerProcess,
  route: string,
  { token, body, headers = {} }: { token?: string; body?: object; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const [method = '', path] = route.split(' ')
  const response = await fetch(server.url + path, {
    method,
    headers: {
      ...headers,
      ...(body && { 'content-type': 'application/json' }),
      ...(token && { authorization: `Bearer ${token}` }),
    },
    ...(body && { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  return { status: response.status, body: text === '' ? {} : JSON.parse(text) }
}

interface SignedIn {
  readonly token: string
  readonly id: string
}

/** Creates an account by a sign-in with a code, which costs no hashing. */
async function signUp(server: ServerProcess, phone_number: string): Promise<SignedIn> {
  const headers = { 'x-forwarded-for': `10.9.${Number(phone_number.slice(-3)) % 250}.1` }
  await call(server, 'POST /v1/codes', { headers, body: { phone_number, purpose: 'sign_in' } })
  const { status, body } = await call(server, 'POST /v1/sessions', { headers, body: { phone_number, code } })
  if (status !== 201 || typeof body.token !== 'string') throw new Error(`no session: ${JSON.stringify(body)}`)
  // `/openapi.json` describes a session with an id.
  return { token: body.token, id: (body.session as { id: string }).id }
}

/** New accounts, one of them signed out, and the public data of the bystander. */
async function newWorld(server: ServerProcess, round: number, bystanderSession: string): Promise<World> {
  const first = (round * accountsInRound) % numbers.length
  const phones = numbers.slice(first, first + accountsInRound)
  const all = await Promise.all(phones.map((phone) => signUp(server, phone)))
  const [gone = expect.fail(), ...live] = all
  await call(server, 'DELETE /v1/session', { token: gone.token })
  const tokens = live.map(({ token }) => token)
  return {
    tokens: tokens.slice(3),
    spareTokens: tokens.slice(0, 3),
    endedTokens: [gone.token],
    sessionIds: [...all.map(({ id }) => id), bystanderSession, 'a'.repeat(22), '__proto__', '0'],
    phones: [...phones, ...phones, bystander.phone],
  }
}

const internals = /node_modules|\bat \S+ \(|\.ts:\d|SQLITE|sqlite:|\/src\/|argon2|<!doctype|<html/i

/** The fault of a response; null where there is none. */
function faultOf(request: BadRequest, reply: Reply | null, world: World): string | null {
  if (reply === null) return 'no answer'
  const { status, headers, text } = reply
  const all = `${JSON.stringify(headers)} ${text}`
  if (!(status >= 200 && status < 500)) return 'its status'
  if (internals.test(all)) return 'it reveals internals'
  const secrets = [
    ...world.tokens,
    ...world.spareTokens,
    ...world.endedTokens,
    bystander.password,
    'a horse, a staple',
  ]
  if (secrets.some((secret) => all.includes(secret))) return 'it reveals a secret'
  if (status >= 400 && all.includes('hf_')) return 'it contains what looks like a token'
  if (headers['set-cookie'] !== undefined) return 'a cookie'
  return headers['x-request-id'] === undefined ? belowFault(reply) : answerFault(request, reply)
}

/** The fault of Hufu's response to bytes that are not HTTP. */
function belowFault({ headers, text }: Reply): string | null {
  if (text === '') return 'no body'
  if (headers.connection !== 'close') return 'a connection that goes on'
  if (headers['cache-control'] !== 'no-store') return 'it may be stored'
  return JSON.parse(text).code === 'bad_request' ? null : 'its code'
}

function answerFault({ id, isHead }: BadRequest, { status, headers, text }: Reply): string | null {
  if (id !== null && headers['x-request-id'] !== id) return 'it answers another request'
  if (headers['cache-control'] !== 'no-store') return 'it may be stored'
  if (isHead || status === 204) return text === '' ? null : 'a body'
  if (text === 'Hello World!') return headers['content-type']?.startsWith('text/plain') ? null : 'its type'
  if (!/^application\/(problem\+)?json; charset=utf-8$/.test(headers['content-type'] ?? '')) return 'its type'
  const body = JSON.parse(text)
  if (status < 400) return null
  const isProblem = body.status === status && errorCodes.includes(body.code) && body.type.endsWith(body.code)
  const isClassic = body.code === 0 && typeof body.message === 'string'
  return isProblem || isClassic ? null : 'its body'
}

interface Run {
  readonly server: ServerProcess
  readonly routes: readonly Route[]
  readonly statuses: Map<number, number>
}

/**
 * A client that sends 16 requests at a time over a connection that it keeps. All clients take the numbers of
 * their requests from one counter.
 */
async function client(run: Run, world: World, take: () => number | null): Promise<void> {
  let connection = await RawConnection.open(run.server)
  for (let batch = nextBatch(run, world, take); batch.length > 0; ) {
    connection.write(Buffer.concat(batch.map(({ bytes }) => bytes)))
    let answered = 0
    for (const request of batch) {
      const reply = await connection.answer(request).catch(() => null)
      answered++
      const fault = (await isCutExport(run.server, request, reply)) ? null : faultOf(request, reply, world)
      if (fault !== null) throw new Error(reportOf(request, reply, fault))
      run.statuses.set(reply?.status ?? 0, (run.statuses.get(reply?.status ?? 0) ?? 0) + 1)
      if (reply?.headers.connection === 'close' || request.isLast || reply === null) {
        await connection.close()
        connection = await RawConnection.open(run.server)
        break
      }
    }
    const left = batch.slice(answered)
    batch = left.length > 0 ? left : nextBatch(run, world, take)
  }
  await connection.close()
}

/**
 * Whether this is an export whose session another client has ended: the connection then closes before the end
 * of the JSON.
 */
async function isCutExport(
  server: ServerProcess,
  { bytes }: BadRequest,
  reply: Reply | null,
): Promise<boolean> {
  const head = bytes.toString('latin1')
  if (reply !== null || !head.startsWith('GET /v1/account/export')) return false
  const token = /authorization: Bearer (\S+)/.exec(head)?.[1]
  return token !== undefined && (await call(server, 'GET /v1/account', { token })).status === 401
}

function nextBatch({ routes }: Run, world: World, take: () => number | null): BadRequest[] {
  const batch: BadRequest[] = []
  while (batch.length < 16) {
    const n = take()
    if (n === null) return batch
    const request = badRequest({ seed, n }, routes, world)
    batch.push(request)
    if (request.isLast) return batch
  }
  return batch
}

/** The fault, and how to repeat the request. */
function reportOf(request: BadRequest, reply: Reply | null, fault: string): string {
  return [
    `${fault}: ${request.name}`,
    `HUFU_TEST_SEED=${seed} npx vitest run test/robustness/bad-requests.test.ts`,
    `or these bytes: printf %s ${request.bytes.toString('base64')} | base64 -d | nc 127.0.0.1 5001`,
    JSON.stringify(request.bytes.toString('latin1').slice(0, 2_000)),
    JSON.stringify(reply)?.slice(0, 2_000),
  ].join('\n')
}

/** Sends the requests `from` to `to` with eight clients. */
async function sendAll(run: Run, world: World, from: number, to: number): Promise<void> {
  let n = from
  const take = () => (n < to ? n++ : null)
  await Promise.all(Array.from({ length: 8 }, () => client(run, world, take)))
}

async function memoryOf({ child, output }: ServerProcess): Promise<{ held: number; rss: number }> {
  const before = output().length
  const printed = () => /memory (\{.*\})\n/.exec(output().slice(before))?.[1]
  child.kill('SIGUSR2')
  while (printed() === undefined) await once(child.stderr ?? expect.fail(), 'data')
  return JSON.parse(printed() ?? '')
}

async function dataOf(server: ServerProcess, token: string) {
  const { body: account } = await call(server, 'GET /v1/account', { token })
  const { body: sessions } = await call(server, 'GET /v1/sessions', { token })
  return { account, sessions }
}

async function signIn(server: ServerProcess): Promise<SignedIn> {
  const body = { phone_number: bystander.phone, password: bystander.password }
  const answer = await call(server, 'POST /v1/sessions', { body })
  expect(answer).toMatchObject({ status: 201, body: { account: { nickname: bystander.nickname } } })
  const { token, session } = answer.body as { token: string; session: { id: string } }
  return { token, id: session.id }
}

async function prepare(server: ServerProcess) {
  const { body: description } = await call(server, 'GET /openapi.json')
  const run: Run = { server, routes: routesOf(description), statuses: new Map() }
  expect(run.routes.length).toBeGreaterThan(18)
  const witness = await signIn(server)
  return { run, witness, before: await dataOf(server, witness.token) }
}

const count = Number(process.env.HUFU_TEST_REQUESTS ?? 100_000)
/** The requests of a round. After them, most sessions of its accounts have ended. */
const round = 1_000
/**
 * By how much the heap may grow from a third of the requests to the end: less than 40 bytes for each request
 * in between. It grew by 0.2 MB.
 */
const heldMore = Math.max(2.5e6, count * 25)
/**
 * RSS includes pages that argon2 and SQLite have freed and the allocator keeps. In a run of 400,000 requests
 * it was 432 MB after a third and 436 MB at the end; a run of 100,000 ends before it is constant.
 */
const rssMore = 128e6

describe(`bad requests of HUFU_TEST_SEED=${seed}`, () => {
  test(`${count} of them change no other account and use up no memory`, { timeout: 3_600_000 }, async () => {
    const server = await start()
    const { run, witness, before } = await prepare(server)
    const memory: { held: number; rss: number }[] = []
    const began = performance.now()
    for (let n = 0; n < count; n += round) {
      const world = await newWorld(server, n / round, witness.id)
      await sendAll(run, world, n, Math.min(n + round, count))
      const isThird = memory.length === 0 && n >= count / 3
      if (isThird || n + round >= count) memory.push(await memoryOf(server))
    }
    const seconds = Math.round((performance.now() - began) / 1000)
    const statuses = [...run.statuses].sort(([a], [b]) => a - b).map((pair) => pair.join(': '))
    console.log(`HUFU_TEST_SEED=${seed}: ${count} bad requests in ${seconds} s; ${statuses.join(', ')}`)
    const [third = expect.fail()] = memory
    const end = memory.at(-1) ?? expect.fail()
    const shown = [third, end].map(({ held, rss }) => `${held / 1e6} MB held, ${rss / 1e6} MB RSS`)
    console.log(shown.join(' -> '))

    expect(await dataOf(server, witness.token)).toEqual(before)
    await signIn(server)
    expect(server.output()).not.toMatch(/uncaught|"level":[56]0/)
    expect(server.child.exitCode).toBeNull()
    expect(end.held - third.held).toBeLessThan(heldMore)
    expect(end.rss - third.rss).toBeLessThan(rssMore)
  })

  test('with limits, behind a proxy, each has one line in the log, without a secret', async () => {
    const server = await start({
      HUFU_LIMITS: 'on',
      HUFU_TRUSTED_PROXIES: '127.0.0.1',
      HUFU_LOG_LEVEL: 'info',
    })
    const { run, witness, before } = await prepare(server)
    const world = await newWorld(server, 0, witness.id)
    await sendAll(run, world, 0, 5_000)
    expect(run.statuses.get(429)).toBeGreaterThan(0)
    expect(await dataOf(server, witness.token)).toEqual(before)
    await server.stop()

    const lines = server.output().split('\n')
    const logged = lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line))
    const ids = logged.map(({ requestId }) => requestId).filter((id) => /^n\d+$/.test(id))
    expect(ids.length).toBeGreaterThan(4_000)
    expect(logged.filter(({ level }) => level > 40)).toEqual([])
    const secrets = [...world.tokens, ...world.spareTokens, ...world.endedTokens, bystander.password]
    for (const line of lines) expect(secrets.filter((secret) => line.includes(secret))).toEqual([])
  })
})
