// Redis or the database down, paused, cut off or restarted under requests: slower answers or 503, but never a
// false "signed out", and never an ended session that becomes live again.

import { renameSync } from 'node:fs'
import { join } from 'node:path'
import { createClient } from 'redis'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { codeOf } from '../../src/codes/code-digits.ts'
import { findCode } from '../../src/codes/code-rows.ts'
import type { Purpose } from '../../src/codes/purpose.ts'
import { sqlitePath } from '../../src/database/open.ts'
import { noOrigin } from '../../src/events/events.ts'
import { admitKnown } from '../../src/sessions/sessions.ts'
import { getOrCreateKey } from '../../src/signing-keys/stored-key.ts'
import { freshMs } from '../../src/timing.ts'
import { addPerson, person, type RunningApp, runCommand, startApp, startProcess } from '../support/app.ts'
import { holdsLiveEntry, openCacheInRedis } from '../support/cache-in-redis.ts'
import { type DatabaseUnderTest, databases, redisUrl } from '../support/databases.ts'
import { phone } from '../support/in-process-server.ts'
import { openDisk, whyNoFullDisk } from '../support/services/disk.ts'
import { startRedis } from '../support/services/redis.ts'
import { startProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { type Answer, clientOf } from '../support/v1-calls.ts'

const noRedis = redisUrl() === null
const closers: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

function closeLater<T extends { close(): Promise<unknown> }>(thing: T): T {
  closers.push(() => thing.close())
  return thing
}

/** With the limits on, which must not need Redis. */
const start = (url: string, environment: Record<string, string> = {}) =>
  startApp(url, { environment: { HUFU_LIMITS: 'on', ...environment } })

type Reachable = Pick<RunningApp, 'url'>

interface ClassicAnswer {
  readonly status: number
  readonly code: unknown
  readonly nickname: unknown
  readonly retryAfter: string | null
}

const timeoutMs = 15_000

/** Sends a plain request to a route that the SDK does not use. */
async function ask(app: Reachable, path: string, init: RequestInit = {}): Promise<ClassicAnswer> {
  const response = await fetch(app.url + path, { signal: AbortSignal.timeout(timeoutMs), ...init })
  // Every response of these routes is a JSON object.
  const body = (await response.json()) as { code?: unknown; nickname?: unknown }
  const { code, nickname } = body
  return { status: response.status, code, nickname, retryAfter: response.headers.get('retry-after') }
}

const user = (app: Reachable, token: string) => ask(app, '/user', { headers: { token } })
const logout = (app: Reachable, token: string) => ask(app, '/logout', { headers: { token } })

const credentials = { phoneNumber: person.phone, password: person.password }
const classicSignIn: RequestInit = {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ phone_number: person.phone, password: person.password }),
}

async function login(app: Reachable): Promise<string> {
  const response = await fetch(`${app.url}/login`, classicSignIn)
  expect(response.status).toBe(200)
  // A successful sign-in has a token.
  return ((await response.json()) as { token: string }).token
}

/** The status and the time to wait of a call through the SDK, whose deadline is 15 s as well. */
async function refusalOf(call: Promise<Answer>) {
  const { status, headers } = await call
  return { status, retryAfter: headers.get('retry-after') }
}

/** Polls until the condition holds; a failure shows the last response. */
async function eventually(check: () => Promise<void>, withinMs = 10_000): Promise<void> {
  const deadline = Date.now() + withinMs
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (Date.now() > deadline) throw error
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}

const redisState = async (app: RunningApp) =>
  (await (await fetch(`${app.url}/readyz`)).json()) as { redis: string }

async function fresh(database: DatabaseUnderTest): Promise<string> {
  const { url, drop } = await database.create()
  closers.push(drop)
  return url
}

/** Two servers on one database and one Redis; the connection of the first one to Redis can be cut. */
async function startTwo(database: DatabaseUnderTest, environment: Record<string, string> = {}) {
  const databaseUrl = await fresh(database)
  const proxy = closeLater(await startProxy(redisUrl() ?? ''))
  const cutOff = closeLater(await start(databaseUrl, { ...environment, HUFU_REDIS_URL: proxy.url }))
  const other = closeLater(await start(databaseUrl, { ...environment, HUFU_REDIS_URL: redisUrl() ?? '' }))
  return { proxy, cutOff, other }
}

/** Cuts a server's connection to Redis, and waits until the server has noticed. */
async function cut(proxy: TcpProxy, server: RunningApp): Promise<void> {
  proxy.set('refuse')
  await eventually(async () => expect(await redisState(server)).toMatchObject({ redis: 'out_of_reach' }))
}

describe.skipIf(noRedis).each(databases)('Redis under $name', (database) => {
  const usable = test.skipIf(database.skipped !== null)

  usable(
    'a server starts without its configured Redis: it checks tokens and accepts sign-ins, and uses Redis when it comes',
    async () => {
      const redis = await startRedis()
      const { url } = redis
      await redis.kill('SIGKILL')
      closers.push(() => redis.stop())
      const app = closeLater(await start(await fresh(database), { HUFU_REDIS_URL: url }))
      const { id } = await addPerson(app.services)
      const token = await issue(app, id)
      expect(await user(app, token)).toMatchObject({ status: 200, code: 1 })
      expect(await user(app, await login(app))).toMatchObject({ status: 200, code: 1 })
      expect(await redisState(app)).toMatchObject({ status: 'ok', redis: 'out_of_reach' })

      await redis.restart()
      await eventually(async () => expect(await redisState(app)).toMatchObject({ redis: 'ok' }))
      expect(await user(app, token)).toMatchObject({ status: 200, code: 1 })
      await eventually(async () => expect(await user(app, await login(app))).toMatchObject({ code: 1 }))
    },
  )

  usable('killing and restarting Redis under requests costs no answer and no session', async () => {
    const redis = await startRedis()
    closers.push(() => redis.stop())
    const app = closeLater(await start(await fresh(database), { HUFU_REDIS_URL: redis.url }))
    await addPerson(app.services)
    const token = await login(app)
    const answers: ClassicAnswer[] = []
    const load = { isRunning: true }
    const clients = Promise.all(
      Array.from({ length: 4 }, async () => {
        while (load.isRunning) answers.push(await user(app, token))
      }),
    )
    for (let i = 0; i < 3; i++) {
      await redis.kill('SIGKILL')
      await eventually(async () => expect(await redisState(app)).toMatchObject({ redis: 'out_of_reach' }))
      const seen = answers.length
      await eventually(async () => expect(answers.length).toBeGreaterThan(seen + 20))
      await redis.restart()
      await eventually(async () => expect(await redisState(app)).toMatchObject({ redis: 'ok' }))
    }
    load.isRunning = false
    await clients
    expect(answers.length).toBeGreaterThan(60)
    for (const answer of answers) expect(answer).toMatchObject({ status: 200, code: 1 })
  })

  usable('a paused Redis is given up within a second, and everything goes on from SQL', async () => {
    const redis = await startRedis()
    closers.push(() => redis.stop())
    const app = closeLater(await start(await fresh(database), { HUFU_REDIS_URL: redis.url }))
    await addPerson(app.services)
    const token = await login(app)
    await redis.kill('SIGSTOP')
    closers.push(() => redis.kill('SIGCONT'))
    expect(await logout(app, token)).toMatchObject({ status: 200, code: 1 })
    expect(await user(app, token)).toMatchObject({ status: 200, code: 2 })
    expect(await user(app, await login(app))).toMatchObject({ code: 1 })
    await redis.kill('SIGCONT')
    await eventually(async () => expect(await redisState(app)).toMatchObject({ redis: 'ok' }))
    expect(await user(app, token)).toMatchObject({ code: 2 })
    await eventually(async () => expect(await user(app, await login(app))).toMatchObject({ code: 1 }))
  })

  usable('a signed-out session stays ended when Redis comes back with an old data set', async () => {
    const redis = await startRedis({ save: 'rdb' })
    closers.push(() => redis.stop())
    const databaseUrl = await fresh(database)
    const environment = { HUFU_REDIS_URL: redis.url }
    const [app, other] = [
      closeLater(await start(databaseUrl, environment)),
      closeLater(await start(databaseUrl, environment)),
    ]
    await addPerson(app.services)
    const token = await login(app)
    expect(await user(other, token)).toMatchObject({ code: 1 })
    const client = await createClient({ url: redis.url }).connect()
    const isLiveEntry = () => holdsLiveEntry(redis.url, token.slice(3, 25))
    await eventually(async () => {
      expect(await user(other, token)).toMatchObject({ code: 1 })
      expect(await isLiveEntry()).toBe(true)
    })
    await client.sendCommand(['SAVE'])
    expect(await logout(app, token)).toMatchObject({ code: 1 })
    client.destroy()

    await redis.kill('SIGKILL')
    await redis.restart()
    // The old entry of the live session is still in Redis, but no server trusts it.
    expect(await isLiveEntry()).toBe(true)
    for (const server of [app, other]) {
      await eventually(async () => expect(await redisState(server)).toMatchObject({ redis: 'ok' }))
      for (let i = 0; i < 5; i++) expect(await user(server, token)).toMatchObject({ status: 200, code: 2 })
    }
  })

  usable(
    'a value that is no entry, or that of another session, is ignored, and affects no session',
    async () => {
      const app = closeLater(await start(await fresh(database), { HUFU_REDIS_URL: redisUrl() ?? '' }))
      await addPerson(app.services)
      const other = await addPerson(app.services, '13600005555', 'another account')
      const [ours, theirs] = [await login(app), await issue(app, other.id)]
      const sessionId = (of: string) => of.slice(3, 25)
      const cache = closeLater(await openCacheInRedis(redisUrl() ?? ''))
      await eventually(async () => {
        for (const one of [ours, theirs]) {
          expect(await user(app, one)).toMatchObject({ code: 1 })
          expect(await cache.read(sessionId(one))).toMatchObject({ copy: { ending: null } })
        }
      })
      const good = (await cache.read(sessionId(ours)))?.bytes ?? expect.fail()
      const head = good.toString('latin1').split(' ').slice(0, 2).join(' ')
      const otherBytes = (await cache.read(sessionId(theirs)))?.bytes ?? expect.fail()
      const bad = [
        'x',
        '',
        '5',
        '5 ',
        '5 6',
        `${head}`,
        `${head} `,
        `${head} {}`,
        good.subarray(0, -1),
        otherBytes,
      ]
      for (const bytes of [...bad, Buffer.concat([good, Buffer.from('x')])]) {
        await cache.write(sessionId(ours), bytes)
        const answer = await user(app, ours)
        expect(answer, String(bytes)).toMatchObject({ status: 200, code: 1, nickname: person.nickname })
        expect(await redisState(app)).toMatchObject({ redis: 'ok' })
      }
      expect(await logout(app, ours)).toMatchObject({ code: 1 })
      expect(await user(app, ours)).toMatchObject({ code: 2 })
    },
  )

  usable(
    'a session that one server ended while it was cut off from Redis is refused by the others once the end is answered',
    async () => {
      const { proxy, cutOff, other } = await startTwo(database)
      await addPerson(cutOff.services)
      const token = await login(other)
      expect(await user(other, token)).toMatchObject({ code: 1 })

      await cut(proxy, cutOff)
      // The other one has the session in memory and is still connected; it can learn of the end only from the
      // database.
      const answers: ClassicAnswer[] = []
      const load = { isRunning: true }
      const asking = (async () => {
        while (load.isRunning) answers.push(await user(other, token))
      })()
      expect(await logout(cutOff, token)).toMatchObject({ status: 200, code: 1 })
      for (const server of [other, cutOff]) expect(await user(server, token)).toMatchObject({ code: 2 })
      load.isRunning = false
      await asking
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
      proxy.set('pass')
      await eventually(async () => expect(await redisState(cutOff)).toMatchObject({ redis: 'ok' }))
      for (const server of [other, cutOff]) expect(await user(server, token)).toMatchObject({ code: 2 })
    },
  )
})

/**
 * Everything that ends sessions, for users and operators. Each returns the reason with which the old token is
 * refused.
 */
const endings: Record<string, (app: RunningApp, session: { id: string; token: string }) => Promise<string>> =
  {
    async ban({ services }, { id }) {
      await services.lifecycle.ban(id, { until: null, reason: 'spam' })
      return 'session_banned'
    },
    async 'end of all sessions'({ services }, { id }) {
      await services.sessions.endAll({ accountId: id, reason: 'kicked', by: null, except: null })
      return 'session_kicked'
    },
    async 'password reset'(app, { id }) {
      const phoneNumber = (await app.services.accounts.getById(id)).phoneNumber ?? expect.fail()
      const code = await codeFor(app, phoneNumber, 'reset_password')
      const reset = { phoneNumber, code, newPassword: 'a horse, a staple' }
      expect(await clientOf(app).resetPassword(reset)).toMatchObject({ status: 204 })
      // The number was not verified before.
      return 'session_phone_verified'
    },
    async 'change of the number'(app, { id, token }) {
      const next = nextNumber()
      const change = {
        phoneNumber: next,
        code: await codeFor(app, next, 'change_phone'),
        confirmation: { password: person.password },
      }
      // All sessions but the caller's end, so another one calls.
      const caller = await issue(app, id)
      expect(await user(app, token)).toMatchObject({ code: 1 })
      expect(await clientOf(app).changePhone(caller, change)).toMatchObject({ status: 200 })
      return 'session_phone_changed'
    },
    async closing(app, { id, token }) {
      const phoneNumber = (await app.services.accounts.getById(id)).phoneNumber ?? expect.fail()
      const code = await codeFor(app, phoneNumber, 'close_account')
      expect(await clientOf(app).closeAccount(token, code)).toMatchObject({ status: 202 })
      return 'session_account_closed'
    },
  }

let numbers = 13_600_000_000
const nextNumber = () => `+86${++numbers}`

async function issue({ services }: RunningApp, accountId: string): Promise<string> {
  const admit = admitKnown(accountId)
  const issued = await services.sessions.issue({ device: phone, origin: noOrigin, method: 'given', admit })
  return (issued ?? expect.fail('no session')).token
}

/** Requests a code and derives what the message contains. */
async function codeFor(app: RunningApp, phoneNumber: string, purpose: Purpose): Promise<string> {
  expect(await clientOf(app).sendCode({ phoneNumber, purpose })).toMatchObject({ status: 202 })
  // The code is created after the response, which must not reveal whether the number has an account.
  await app.services.codeSender.close()
  const row = await findCode(app.services.db, { phoneNumber, purpose })
  return codeOf(await getOrCreateKey(app.services.db), { phoneNumber, purpose, nonce: row?.nonce ?? '' })
}

describe.skipIf(noRedis).each(databases)('Redis down during an end, under $name', (database) => {
  const usable = test.skipIf(database.skipped !== null)

  usable('every end of a session holds on every server once it is answered', async () => {
    // The limits without Redis have tests of their own.
    const environment = { HUFU_LIMITS: 'off', HUFU_SESSION_SCOPE: 'device', HUFU_SESSION_MAX: '2' }
    const { proxy, cutOff, other } = await startTwo(database, environment)
    const signedIn = Object.entries(endings).map(async ([name, end]) => {
      const { id } = await addPerson(cutOff.services, nextNumber())
      const token = await issue(cutOff, id)
      for (const server of [cutOff, other]) expect(await user(server, token), name).toMatchObject({ code: 1 })
      return { name, end, id, token }
    })
    const accounts = await Promise.all(signedIn)
    const expectRefused = async (name: string, token: string, code: string) => {
      for (const server of [other, cutOff])
        expect(await clientOf(server).me(token), name).toMatchObject({ status: 401, body: { code } })
    }

    await cut(proxy, cutOff)
    // Each waits until no other server trusts an old entry; they wait concurrently.
    const ended = accounts.map(async ({ name, end, id, token }) => {
      const code = await end(cutOff, { id, token })
      await expectRefused(name, token, code)
      return { name, token, code }
    })
    const refused = await Promise.all(ended)
    proxy.set('pass')
    await eventually(async () => expect(await redisState(cutOff)).toMatchObject({ redis: 'ok' }))
    for (const { name, token, code } of refused) await expectRefused(name, token, code)
  })

  usable(
    'after a rotation on a server without Redis, every server refuses the old token once its successor was used',
    async () => {
      const { proxy, cutOff, other } = await startTwo(database)
      await addPerson(cutOff.services)
      const old = await login(other)
      expect(await user(other, old)).toMatchObject({ code: 1 })
      await cut(proxy, cutOff)
      const rotated = await clientOf(cutOff).rotate(old)
      expect(rotated.status).toBe(200)
      const token = String(rotated.body.token)
      expect(await user(other, old)).toMatchObject({ code: 1 })
      expect(await user(cutOff, token)).toMatchObject({ code: 1 })
      expect(await user(other, token)).toMatchObject({ code: 1 })
      expect(await user(other, old)).toMatchObject({ code: 2 })
    },
  )

  usable('a server that dies while it is cut off loses nothing', async () => {
    const databaseUrl = await fresh(database)
    const proxy = closeLater(await startProxy(redisUrl() ?? ''))
    const [cutOff, other] = [
      await start(databaseUrl, { HUFU_REDIS_URL: proxy.url }),
      closeLater(await start(databaseUrl, { HUFU_REDIS_URL: redisUrl() ?? '' })),
    ]
    await addPerson(cutOff.services)
    const token = await login(other)
    expect(await user(other, token)).toMatchObject({ code: 1 })
    await cut(proxy, cutOff)
    expect(await logout(cutOff, token)).toMatchObject({ status: 200, code: 1 })
    await cutOff.close()
    expect(await user(other, token)).toMatchObject({ code: 2 })
    // Nor does a server trust it that starts later, with an empty memory and the old entry in Redis.
    const lateServer = closeLater(await start(databaseUrl, { HUFU_REDIS_URL: redisUrl() ?? '' }))
    expect(await user(lateServer, token)).toMatchObject({ code: 2 })
  })

  usable(
    'two servers on different Redis processes refuse the sessions that the other one ended within a second',
    async () => {
      // As after a fail-over that one of them has not noticed: the old primary still answers it.
      const [old, promoted] = [await startRedis(), await startRedis()]
      closers.push(
        () => old.stop(),
        () => promoted.stop(),
      )
      const databaseUrl = await fresh(database)
      const left = closeLater(await start(databaseUrl, { HUFU_REDIS_URL: old.url }))
      const right = closeLater(await start(databaseUrl, { HUFU_REDIS_URL: promoted.url }))
      await addPerson(left.services)
      const token = await login(left)
      expect(await user(left, token)).toMatchObject({ code: 1 })
      expect(await logout(right, token)).toMatchObject({ code: 1 })
      const bound = performance.now() + freshMs
      let last = await user(left, token)
      while (performance.now() < bound) last = await user(left, token)
      expect(last).toMatchObject({ status: 200, code: 2 })
      // A sign-in on one server is valid on the other.
      expect(await user(left, await login(right))).toMatchObject({ code: 1 })
    },
  )

  usable('a session that a command ended without Redis is refused within a second', async () => {
    const databaseUrl = await fresh(database)
    const app = closeLater(await start(databaseUrl, { HUFU_REDIS_URL: redisUrl() ?? '' }))
    await addPerson(app.services)
    const token = await login(app)
    expect(await user(app, token)).toMatchObject({ code: 1 })
    const ban = ['accounts', 'ban', person.phone, '--reason', 'spam']
    expect(await runCommand(ban, { HUFU_DATABASE_URL: databaseUrl })).toMatchObject({ code: 0 })
    const bound = performance.now() + freshMs
    let last = await user(app, token)
    while (performance.now() < bound) last = await user(app, token)
    expect(last).toMatchObject({ status: 200, code: 2 })
  })
})

describe.each(databases.filter(({ name }) => name !== 'sqlite'))('$name out of reach', (database) => {
  const usable = test.skipIf(database.skipped !== null || noRedis)
  let databaseUrl: string
  let proxy: TcpProxy

  beforeEach(async () => {
    if (database.skipped !== null) return
    databaseUrl = await fresh(database)
    proxy = closeLater(await startProxy(databaseUrl))
  })

  for (const mode of ['refuse', 'stall'] as const) {
    const how = mode === 'refuse' ? 'refuses connections' : 'accepts them and does not respond'
    usable(`a database that ${how} is answered 503 with Retry-After, never as a bad token`, async () => {
      const app = closeLater(await start(proxy.url))
      await addPerson(app.services)
      const token = await login(app)
      proxy.set(mode)
      const answers = await Promise.all([
        user(app, token),
        logout(app, token),
        ask(app, '/login', classicSignIn),
        refusalOf(clientOf(app).signIn(credentials)),
        refusalOf(clientOf(app).me(token)),
        ask(app, '/readyz'),
      ])
      for (const answer of answers) expect(answer).toMatchObject({ status: 503, retryAfter: '1' })
      proxy.set('pass')
      await eventually(
        async () => expect(await user(app, token)).toMatchObject({ status: 200, code: 1 }),
        15_000,
      )
    })
  }

  usable(
    'while the database is down no entry is trusted for longer than a second, and a sign-out is refused, not lost',
    async () => {
      const app = closeLater(await start(proxy.url, { HUFU_REDIS_URL: redisUrl() ?? '' }))
      await addPerson(app.services)
      const token = await login(app)
      expect(await user(app, token)).toMatchObject({ code: 1 })
      proxy.set('refuse')
      expect(await logout(app, token)).toMatchObject({ status: 503, retryAfter: '1' })
      await eventually(async () =>
        expect(await user(app, token)).toMatchObject({ status: 503, retryAfter: '1' }),
      )
      proxy.set('pass')
      await eventually(async () => expect(await logout(app, token)).toMatchObject({ status: 200, code: 1 }))
      expect(await user(app, token)).toMatchObject({ code: 2 })
    },
  )

  usable(
    'with HUFU_WITHOUT_DATABASE=trust_cache a server goes on checking while the database is down, and refuses the rest',
    async () => {
      const environment = { HUFU_REDIS_URL: redisUrl() ?? '', HUFU_WITHOUT_DATABASE: 'trust_cache' }
      const app = closeLater(await start(proxy.url, environment))
      await addPerson(app.services)
      const token = await login(app)
      expect(await user(app, token)).toMatchObject({ code: 1 })
      proxy.set('refuse')
      const until = performance.now() + 1_500
      while (performance.now() < until) {
        // On a busy machine the connection to Redis may just have been given up; then the entry is filled by
        // the next request.
        await eventually(async () => expect(await user(app, token)).toMatchObject({ status: 200, code: 1 }))
      }
      expect(await logout(app, token)).toMatchObject({ status: 503, retryAfter: '1' })
      proxy.set('pass')
      await eventually(async () => expect(await logout(app, token)).toMatchObject({ status: 200, code: 1 }))
      expect(await user(app, token)).toMatchObject({ code: 2 })
    },
  )
})

test('a SQLite file that is removed while the server runs: nothing is acknowledged that would be lost', async () => {
  const url = await fresh(databases[0] ?? expect.fail())
  const app = closeLater(await start(url))
  await addPerson(app.services)
  const token = await login(app)
  const path = sqlitePath(url)
  renameSync(path, `${path}.away`)
  for (const answer of [
    await refusalOf(clientOf(app).signIn(credentials)),
    await logout(app, token),
    await ask(app, '/readyz'),
  ])
    expect(answer).toMatchObject({ status: 503, retryAfter: '1' })
  renameSync(`${path}.away`, path)
  expect(await user(app, token)).toMatchObject({ status: 200, code: 1 })
  expect(await logout(app, token)).toMatchObject({ status: 200, code: 1 })
})

/** A server in a process of its own, whose disk can be filled. */
async function onSmallDisk() {
  const disk = openDisk()
  closers.push(async () => disk.close())
  const databaseUrl = `sqlite:${join(disk.folder, 'hufu.db')}`
  const add = ['accounts', 'add', person.phone, '--password-stdin', '--allow-weak-password']
  const added = await runCommand(add, { HUFU_DATABASE_URL: databaseUrl }, { stdin: person.password })
  expect(added).toMatchObject({ code: 0 })
  const server = await startProcess({ HUFU_DATABASE_URL: databaseUrl })
  closers.push(() => server.stop('SIGKILL'))
  const pid = server.child.pid ?? expect.fail('no process')
  return { server, fill: () => disk.fill(pid), makeRoom: () => disk.makeRoom(pid) }
}

test.skipIf(whyNoFullDisk() !== null)(
  'a full disk under SQLite: a write is refused with 503 and not done, and works without a restart once there is space',
  async () => {
    const { server, fill, makeRoom } = await onSmallDisk()
    const token = await login(server)
    fill()
    // There may be space left in the last block of the log.
    const enter = () => refusalOf(clientOf(server).signIn(credentials))
    let answer = await enter()
    while (answer.status === 201) answer = await enter()
    expect(answer).toMatchObject({ status: 503, retryAfter: '1' })
    expect(await logout(server, token)).toMatchObject({ status: 503, retryAfter: '1' })
    expect(await user(server, token)).toMatchObject({ status: 200, code: 1 })
    makeRoom()
    expect(await logout(server, token)).toMatchObject({ status: 200, code: 1 })
    expect(await user(server, token)).toMatchObject({ status: 200, code: 2 })
    expect(await user(server, await login(server))).toMatchObject({ status: 200, code: 1 })
  },
)
