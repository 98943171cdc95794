// Servers of two versions on one database and one Redis: how each treats the cache entries of the other.
//
// The previous version writes another layout. The next version is this one with two more fields in its
// entries: one that may be ignored, and a critical one in the sessions of one platform.
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from 'redis'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { check } from '../fault-run/checker.ts'
import {
  createAccounts,
  type HufuServer,
  openDeploymentDatabase,
  startHufu,
} from '../fault-run/deployment.ts'
import type { Kind, Operation } from '../fault-run/history.ts'
import { openCacheInRedis } from '../support/cache-in-redis.ts'
import { databases, redisUrl } from '../support/databases.ts'
import { checkOutVersion, copyVersion, type SourceChange, thisVersion } from '../support/other-versions.ts'
import { createFolder, removeFolder } from '../support/services/folders.ts'
import { until } from '../support/services/until.ts'

const subjectBefore =
  'http: half-closed connections are answered, and a stop cuts off no answer that is still being sent'
const layout = { before: 2, now: 3 } as const
const ignorableTag = 100
const criticalTag = 200
const codec = 'src/session-cache/session-codec.ts'
const nextVersion: readonly SourceChange[] = [
  [
    codec,
    '  return parts\n',
    `  put(${ignorableTag}, Buffer.from('for the next version'))
  if (session.platform === 'web') put(${criticalTag}, Buffer.from('a key to prove'))
  return parts\n`,
  ],
  [codec, '  ending: 132,\n', `  ending: 132,\n  keyToProve: ${criticalTag},\n`],
  [
    codec,
    '    case tags.closesAt:\n',
    '    case tags.keyToProve:\n      return true\n    case tags.closesAt:\n',
  ],
]

const before = checkOutVersion(subjectBefore)
if (before.missing !== null) console.warn(`skipped: entries of the version before: ${before.missing}`)
const next = createFolder('next')
copyVersion(thisVersion, next, nextVersion)
afterAll(() => {
  before.remove()
  removeFolder(next)
})

const password = 'a horse, a staple'
const people = Array.from({ length: 4 }, (_, i) => `+861390000300${i}`)
const [person = ''] = people
const database = databases.find(({ name, skipped }) => name !== 'sqlite' && skipped === null)
const redis = redisUrl()

interface Answer {
  readonly status: number
  readonly code: string
  readonly token: string
  readonly nickname: string | null
}

async function call(url: string, method: string, token: string | null, body?: object): Promise<Answer> {
  const response = await fetch(url, {
    method,
    headers: {
      ...(token !== null && { authorization: `Bearer ${token}` }),
      ...(body && { 'content-type': 'application/json' }),
    },
    ...(body && { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(20_000),
  })
  const text = await response.text()
  const { code = '', token: given = '', account } = text === '' ? {} : JSON.parse(text)
  return { status: response.status, code, token: given, nickname: account?.nickname ?? null }
}

const signIn = (url: string, phoneNumber: string, platform: string) =>
  call(`${url}/v1/sessions`, 'POST', null, { phone_number: phoneNumber, password, device: { platform } })
const look = (url: string, token: string) => call(`${url}/v1/session`, 'GET', token)
const sessionIdOf = (token: string) => token.slice(3, 25)

const versions = [
  { name: 'before', other: before.folder, missing: before.missing },
  { name: 'next', other: next, missing: null },
]

describe.each(versions)('this version beside the one $name', ({ name, other, missing }) => {
  const isSkipped = missing !== null || database === undefined || redis === null
  let url: string
  let drop: () => Promise<void>
  let deployment: ReturnType<typeof openDeploymentDatabase>
  let entries: Awaited<ReturnType<typeof openCacheInRedis>>
  let nicknames = 0
  let servers: { readonly other: HufuServer; readonly now: HufuServer }

  beforeAll(async () => {
    if (isSkipped) return
    const fresh = await database.createEmpty()
    url = fresh.url
    drop = fresh.drop
    const stores = { HUFU_DATABASE_URL: url, HUFU_REDIS_URL: redis, HUFU_SESSION_MAX: '0' }
    const started = await startHufu(name, other ?? '', stores)
    await createAccounts(url, people, password)
    servers = { other: started, now: await startHufu('now', thisVersion, stores) }
    deployment = openDeploymentDatabase(url)
    entries = await openCacheInRedis(redis)
  })
  afterAll(async () => {
    await servers?.other.close()
    await servers?.now.close()
    await deployment?.db.destroy()
    await entries?.close()
    await drop?.()
  })
  beforeEach(async () => {
    if (isSkipped) return
    const client = await createClient({ url: redis }).connect()
    await client.flushDb()
    client.destroy()
  })

  /**
   * Changes the nickname behind the servers' back: a server that returns it has read the database, any other
   * one a cache entry.
   */
  async function rename(): Promise<string> {
    const nickname = `name ${nicknames++}`
    await deployment.db
      .updateTable('hufu_accounts')
      .set({ nickname })
      .where('phone_number', '=', person)
      .execute()
    return nickname
  }

  /** The bytes of a session's entry; null where there is none. */
  async function entryOf(token: string): Promise<Buffer | null> {
    const bytes = (await entries.read(sessionIdOf(token)))?.bytes
    return bytes?.subarray(bytes.indexOf(' ', bytes.indexOf(' ') + 1) + 1) ?? null
  }

  const hasLayout = async (token: string, wanted: number) => (await entryOf(token))?.[0] === wanted
  const knowsConditions = async (token: string) => (await entryOf(token))?.[1] ?? 0

  async function signedIn(server: HufuServer, platform = 'ios'): Promise<string> {
    const { status, token } = await signIn(server.url, person, platform)
    expect(status).toBe(201)
    await until(async () => (await look(server.url, token)).status === 200 && (await entryOf(token)) !== null)
    return token
  }

  const nicknameBy = async (server: HufuServer, token: string) => (await look(server.url, token)).nickname

  if (name === 'before')
    test.skipIf(isSkipped)(
      'entries of the previous version and of this one are misses to each other, and both know a change at once',
      async () => {
        const { other, now } = servers
        const token = await signedIn(other)
        expect(await hasLayout(token, layout.before)).toBe(true)
        const renamed = await rename()
        expect(await nicknameBy(now, token)).toBe(renamed)
        await until(() => hasLayout(token, layout.now))
        // A row of the feed of the previous version has no step.
        for (const [i, { url }] of [other, now, other, now].entries()) {
          const nickname = `${i}, by ${url}`
          const changed = await call(`${url}/v1/account`, 'PATCH', token, { nickname })
          expect(changed.status).toBe(200)
          for (const server of [other, now, other]) expect(await nicknameBy(server, token)).toBe(nickname)
        }
      },
    )

  if (name === 'next')
    test.skipIf(isSkipped)(
      'this version reads an entry of the next one, which does not read an entry that may lack a critical field',
      async () => {
        const { other, now } = servers
        const old = await rename()
        const theirs = await signedIn(other)
        const ours = await signedIn(now)
        const entry = await entryOf(theirs)
        expect(entry?.includes('for the next version')).toBe(true)
        const renamed = await rename()
        expect(await nicknameBy(now, theirs)).toBe(old)
        expect(await entryOf(theirs)).toEqual(entry)
        const conditions = await knowsConditions(ours)
        expect(await nicknameBy(other, ours)).toBe(renamed)
        await until(async () => (await knowsConditions(ours)) === conditions + 1)
        await rename()
        expect(await nicknameBy(now, ours)).toBe(renamed)
      },
    )

  if (name === 'next')
    test.skipIf(isSkipped)(
      'this version reads the database for an entry of the next one with a critical field, and keeps the entry',
      async () => {
        const { other, now } = servers
        const old = await rename()
        const token = await signedIn(other, 'web')
        const entry = await entryOf(token)
        expect(entry?.includes('a key to prove')).toBe(true)
        for (let i = 0; i < 2; i++) {
          const renamed = await rename()
          expect(await nicknameBy(now, token)).toBe(renamed)
        }
        expect(await entryOf(token)).toEqual(entry)
        expect(await nicknameBy(other, token)).toBe(old)
      },
    )

  test.skipIf(isSkipped)(
    'no request fails under load, and no session is accepted after its end',
    async () => {
      const operations: Operation[] = []
      const both = [servers.other, servers.now]
      const endAt = performance.now() + loadMs
      const loops = people.map(async (phoneNumber, i) => {
        for (let round = 0; performance.now() < endAt; round++)
          await playRound({ operations, both, phoneNumber, round: i + round })
      })
      await Promise.all(loops)
      const limits = { boundMs: 1_100, strictBoundMs: 100, deadlineMs: 15_000 }
      const history = { servers: both.map((server) => server.name), operations, faultIntervals: [] }
      expect(check(history, limits)).toEqual([])
      expect(operations.filter(({ outcome }) => outcome !== 'done' && outcome !== 'refused')).toEqual([])
      for (const server of history.servers)
        for (const [kind, outcome] of [
          ['sign_in', 'done'],
          ['sign_out', 'done'],
          ['check', 'done'],
          ['check', 'refused'],
        ])
          expect(operations).toContainEqual(expect.objectContaining({ server, kind, outcome }))
    },
  )
})

const loadMs = 3_000

interface Round {
  readonly operations: Operation[]
  readonly both: readonly HufuServer[]
  readonly phoneNumber: string
  readonly round: number
}

/**
 * Three sessions of an account: one signs out, another one ends one, and all are checked on both servers all
 * the time.
 */
async function playRound({ operations, both, phoneNumber, round }: Round): Promise<void> {
  const serverOf = (i: number) => both[i % both.length] ?? expect.fail('no server')

  /** @param as the token that ends another one; absent: the session's own */
  async function act(kind: Kind, server: HufuServer, token: string | null, as = token): Promise<string> {
    const start = performance.now()
    const end = token !== null && as !== token ? `/v1/sessions/${sessionIdOf(token)}` : '/v1/session'
    const seen =
      kind === 'sign_in'
        ? await signIn(server.url, phoneNumber, round % 3 === 0 ? 'web' : 'ios')
        : await call(server.url + (kind === 'check' ? '/v1/session' : end), methods[kind] ?? '', as)
    const { status, code } = seen
    const outcome = status < 300 ? 'done' : status === 401 ? 'refused' : 'wrong'
    const tokenNow = kind === 'sign_in' ? seen.token || null : token
    // For the checker each session is an account of its own: here they do not replace each other.
    const account = `${phoneNumber} ${tokenNow && sessionIdOf(tokenNow)}`
    const answer = `${status} ${code}`
    operations.push({
      kind,
      account,
      token: tokenNow,
      server: server.name,
      start,
      end: performance.now(),
      outcome,
      answer,
    })
    return seen.token
  }

  const tokens: string[] = []
  for (let i = 0; i < 3; i++) tokens.push(await act('sign_in', serverOf(round + i), null))
  const [first = '', second = '', third = ''] = tokens
  let isOn = true
  const checks = tokens.map(async (token) => {
    while (isOn) {
      for (const server of both) await act('check', server, token)
      await sleep(5)
    }
  })
  await sleep(50)
  await act('sign_out', serverOf(round), first)
  await act('sign_out', serverOf(round + 1), second, third)
  await sleep(150)
  isOn = false
  await Promise.all(checks)
  await act('sign_out', serverOf(round), third)
}

const methods: Partial<Record<Kind, string>> = { check: 'GET', sign_out: 'DELETE' }
