// The limits over HTTP: which callers are refused, the responses, and that Redis is not needed.
import { afterEach, describe, expect, test } from 'vitest'
import { deleteExpiredCounters } from '../../src/limits/counter-rows.ts'
import { createClock } from '../fault-run/clock.ts'
import { addPerson, person, type RunningApp, runCommand, startApp, startProcess } from '../support/app.ts'
import { type DatabaseUnderTest, databases, redisUrl } from '../support/databases.ts'
import { startRedis } from '../support/services/redis.ts'
import { startProxy } from '../support/tcp-proxy.ts'
import { type Answer, ask, type CallOptions, clientOf } from '../support/v1-calls.ts'

const [sqlite = expect.fail(), ...serverDatabases] = databases
const noRedis = redisUrl() === null
const closers: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function start(
  environment: Record<string, string> = {},
  database: DatabaseUnderTest = sqlite,
  { slowHashes = false } = {},
): Promise<RunningApp> {
  const { url, drop } = await database.create()
  closers.push(drop)
  const limits = { HUFU_LIMITS: 'on', HUFU_PASSWORD_QUEUE: '1000' }
  const app = await startApp(url, { environment: { ...limits, ...environment }, slowHashes })
  closers.push(() => app.close())
  await addPerson(app.services)
  return app
}

const wrong = 'not the password'

interface Server {
  readonly url: string
}

const v1 = (server: Server, phoneNumber: string, password: string, options?: CallOptions) =>
  clientOf(server, options).signIn({ phoneNumber, password })
/** Sends the same request as a plain one, with headers that the SDK does not send. */
const plainV1 = (server: Server, phone: string, password: string, headers: Record<string, string>) =>
  ask(server, 'POST', '/v1/sessions', { headers, body: { phone_number: phone, password } })
const classic = (server: Server, phone: string, password: string, headers: Record<string, string> = {}) =>
  ask(server, 'POST', '/login', { headers, body: { phone_number: phone, password } })

function retryAfterOf({ headers }: Answer): number | null {
  const seconds = headers.get('retry-after')
  return seconds === null ? null : Number(seconds)
}

const unknownNumber = '13900000099'

const redis = { HUFU_REDIS_URL: redisUrl() ?? '' }
const stores = [
  { name: 'in process', skipped: false, database: sqlite, environment: {} },
  { name: 'in sqlite, with Redis', skipped: noRedis, database: sqlite, environment: redis },
  ...serverDatabases.map((database) => ({
    name: `in ${database.name}`,
    skipped: database.skipped !== null,
    database,
    environment: {},
  })),
]

test('the holder of a token can try codes for new numbers thirty times an hour in total', async () => {
  const app = await start()
  const enter = async (phone: string) => String((await v1(app, phone, person.password)).body.token)
  const move = (token: string, i: number) =>
    clientOf(app).changePhone(token, {
      phoneNumber: `+861390${1000 + i}009`,
      code: '000000',
      confirmation: { password: person.password },
    })
  const token = await enter(person.phone)
  for (let i = 0; i < 30; i++) {
    expect(await move(token, i)).toMatchObject({ status: 401, body: { code: 'code_wrong' } })
    app.clock.advance(100_000)
  }
  expect(await move(token, 30)).toMatchObject({ status: 429, body: { code: 'rate_limited' } })
  await addPerson(app.services, '13900000098')
  expect(await move(await enter('13900000098'), 30)).toMatchObject({ status: 401 })
})

test('an address behind carrier NAT may have higher or lower limits, and its network a factor', async () => {
  const app = await start({
    HUFU_LIMIT_SIGN_INS_PER_ADDRESS: '21/10m,50/1d',
    HUFU_LIMIT_NETWORK_FACTOR: '2',
    HUFU_TRUSTED_PROXIES: '127.0.0.1',
  })
  let numbers = 0
  const allowedFrom = async (address: string) => {
    let allowed = 0
    for (let i = 0; i < 25; i++) {
      const phone = `139${10_000_000 + numbers++ * 1_001}`
      const { status } = await v1(app, phone, wrong, { from: address })
      if (status === 401) allowed++
      else expect(status).toBe(429)
    }
    return allowed
  }
  expect(await allowedFrom('203.0.113.7')).toBe(21)
  expect(await allowedFrom('203.0.113.8')).toBe(21)
  expect(await allowedFrom('203.0.113.9')).toBe(0)
  for (const allowed of [21, 8]) {
    app.clock.advance(11 * 60_000)
    expect(await allowedFrom('203.0.113.7')).toBe(allowed)
  }
})

test('after a clock is set back, no caller waits for earlier counts', async () => {
  const { url, drop } = await sqlite.create()
  closers.push(drop)
  const other = '13900000098'
  for (const phone of [person.phone, other]) {
    const add = ['accounts', 'add', phone, '--password-stdin', '--allow-weak-password']
    expect(await runCommand(add, { HUFU_DATABASE_URL: url }, { stdin: person.password })).toMatchObject({
      code: 0,
    })
  }
  const clock = createClock()
  closers.push(async () => clock.close())
  const server = await startProcess({ HUFU_DATABASE_URL: url, HUFU_LIMITS: 'on', ...clock.environment })
  closers.push(() => server.stop())
  expect(await v1(server, person.phone, wrong)).toMatchObject({ status: 401 })

  clock.set(-3_600_000, server.child)
  // The start of a new session shows which clock the server uses.
  const agoMs = async () => {
    const { session } = (await v1(server, other, person.password)).body
    return Date.now() - Date.parse((session as { created_at: string }).created_at)
  }
  await expect.poll(agoMs, { timeout: 10_000 }).toBeGreaterThan(3_000_000)
  expect(await v1(server, person.phone, person.password)).toMatchObject({ status: 201 })
})

describe.each(stores)('counters $name', ({ skipped, database, environment }) => {
  const usable = test.skipIf(skipped)
  const begin = async (more: Record<string, string> = {}) =>
    await start({ ...environment, ...more }, database)

  usable('of 64 parallel guesses five are compared, with the right one among them', async () => {
    const app = await begin()
    const answers = await Promise.all(
      Array.from({ length: 64 }, (_, i) => v1(app, person.phone, i === 40 ? person.password : wrong)),
    )
    const count = (status: number) => answers.filter((answer) => answer.status === status).length
    expect(count(429)).toBe(59)
    expect(count(401) + count(201)).toBe(5)
  })

  usable('the sixth wrong password in a row has to wait, by /v1 and by the classic API alike', async () => {
    const app = await begin()
    for (let i = 0; i < 3; i++) expect((await v1(app, person.phone, wrong)).status).toBe(401)
    for (let i = 0; i < 2; i++)
      expect((await classic(app, person.phone, wrong)).body).toEqual({ code: 0, message: '密码错误' })
    const sixth = await v1(app, person.phone, person.password, { language: 'zh-CN' })
    expect(sixth).toMatchObject({
      status: 429,
      body: {
        type: 'urn:hufu:problem:rate_limited',
        code: 'rate_limited',
        title: '操作过于频繁，请稍后再试',
      },
    })
    const members = ['code', 'detail', 'request_id', 'status', 'title', 'type']
    expect(Object.keys(sixth.body).toSorted()).toEqual(members)
    expect(sixth.body).toMatchObject({ detail: `请等待 ${retryAfterOf(sixth)} 秒。` })
    expect(retryAfterOf(sixth)).toBeGreaterThanOrEqual(28)
    expect(retryAfterOf(sixth)).toBeLessThanOrEqual(30)
    const login = await classic(app, person.phone, person.password)
    expect(login).toMatchObject({ status: 429, body: { code: 0, message: '操作过于频繁，请稍后再试' } })
    expect(Object.keys(login.body)).toEqual(['code', 'message'])
    expect(retryAfterOf(login)).toBeGreaterThanOrEqual(28)
  })

  usable('a number with an account and one without are answered alike, to the byte', async () => {
    const app = await begin({ HUFU_CLASSIC_TELLS_UNKNOWN_NUMBER: 'false' })
    const signInRepeatedly = async (phone: string) => {
      const answers = []
      for (let i = 0; i < 8; i++) {
        const { status, body, headers } = await (i % 2 ? classic : plainV1)(app, phone, wrong, {
          'x-request-id': `r${i}`,
        })
        const all = Object.fromEntries(headers)
        // The two runs may fall into different seconds where the clock is Redis's.
        const retryAfter = all['retry-after'] === undefined ? null : 'some'
        answers.push({ status, text: JSON.stringify(body), ...all, date: null, 'retry-after': retryAfter })
      }
      return answers
    }
    const known = await signInRepeatedly(person.phone)
    expect(known.map(({ status }) => status)).toEqual([401, 200, 401, 200, 401, 429, 429, 429])
    expect(await signInRepeatedly(unknownNumber)).toEqual(known)
  })

  usable('one address that guesses at many numbers is refused; other addresses are not', async () => {
    const app = await begin({ HUFU_TRUSTED_PROXIES: '127.0.0.1' })
    const statuses = new Map<number, number>()
    for (let i = 0; i < 104; i++) {
      // An invalid number costs nothing; these do.
      const { status } = await v1(app, `139${10_000_000 + i * 1_001}`, wrong, { from: '203.0.113.7' })
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
    }
    expect([...statuses]).toEqual([
      [401, 100],
      [429, 4],
    ])
    expect((await v1(app, person.phone, person.password, { from: '203.0.113.7' })).status).toBe(429)
    expect((await v1(app, person.phone, person.password, { from: '203.0.113.8' })).status).toBe(201)
  })

  usable('a client with correct sign-ins is never refused because of failures', async () => {
    const app = await begin()
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 4; i++) expect((await v1(app, person.phone, wrong)).status).toBe(401)
      expect((await v1(app, person.phone, person.password)).status).toBe(201)
    }
  })

  usable('sign-ins that found the hash queue full are no failures', async () => {
    const oneHash = { HUFU_PASSWORD_PARALLEL: '1', HUFU_PASSWORD_QUEUE: '0' }
    const app = await start({ ...environment, ...oneHash }, database, { slowHashes: true })
    let overloaded = 0
    for (let i = 0; i < 6; i++) {
      // Other numbers keep the only hashing thread busy meanwhile.
      const busy = Promise.all(Array.from({ length: 3 }, (_, j) => v1(app, `1380000${i}${j}00`, wrong)))
      const { status } = await v1(app, person.phone, person.password)
      if (status === 503) overloaded++
      expect([201, 503]).toContain(status)
      await busy
    }
    expect(overloaded).toBeGreaterThan(0)
    expect((await v1(app, person.phone, person.password)).status).toBe(201)
  })
})

describe.each([
  { database: sqlite, environment: redis, isSkipped: noRedis },
  ...serverDatabases.map((database) => ({ database, environment: {}, isSkipped: database.skipped !== null })),
])('servers on one database: $database.name', ({ database, environment, isSkipped }) => {
  const usable = test.skipIf(isSkipped)

  usable('two processes count together, and the counts survive them', async () => {
    const { url, drop } = await database.create()
    closers.push(drop)
    const settings = { HUFU_DATABASE_URL: url, HUFU_LIMITS: 'on', ...environment }
    const first = await startProcess(settings)
    closers.push(() => first.stop())
    const second = await startProcess(settings)
    closers.push(() => second.stop())
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, i) => v1(i % 2 ? first : second, unknownNumber, wrong)),
    )
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(5)
    // On a busy machine a counter may not answer in time; then nothing is compared either.
    expect(answers.filter(({ status }) => status === 429 || status === 503)).toHaveLength(35)
    for (const server of [first, second]) await server.stop('SIGKILL')
    const third = await startProcess(settings)
    closers.push(() => third.stop())
    expect(await v1(third, unknownNumber, wrong)).toMatchObject({ status: 429 })
  })

  usable(
    'no row contains a number, an address or a device, and each is removed when it has expired',
    async () => {
      const app = await start(environment, database)
      await v1(app, person.phone, wrong)
      const device = { platform: 'ios', id: 'A1B2C3*' } as const
      await clientOf(app).signIn({ phoneNumber: person.phone, password: wrong, device })
      const rows = () => app.byHand.selectFrom('hufu_limit_counters').selectAll().execute()
      const counted = await rows()
      expect(counted.length).toBeGreaterThan(3)
      for (const row of counted) {
        expect(row.name).toMatch(/^[a-z_]+(:[a-z_]+)+:[\w-]{22}$/)
        expect(JSON.stringify(row)).not.toMatch(/12345678901|127\.0\.0|A1B2C3/)
      }
      const last = Math.max(...counted.map(({ expires_at }) => expires_at))
      expect(await deleteExpiredCounters(app.byHand, last - 1, 1_000)).toBeLessThan(counted.length)
      expect(await rows()).not.toEqual([])
      while ((await deleteExpiredCounters(app.byHand, last, 2)) > 0);
      expect(await rows()).toEqual([])
    },
  )
})

describe.skipIf(noRedis).each(databases)('Redis down, on $name', (database) => {
  const usable = test.skipIf(database.skipped !== null)

  usable.each(['killed', 'silent'] as const)(
    '%s, sign-ins work, and the counts from before, meanwhile and afterwards add up',
    async (how) => {
      const server = await startRedis()
      closers.push(() => server.stop())
      const proxy = await startProxy(server.url)
      closers.push(() => proxy.close())
      const app = await start({ HUFU_REDIS_URL: proxy.url }, database)
      const other = '13900000098'
      await addPerson(app.services, other)
      const { body } = await v1(app, person.phone, person.password)
      const me = () => clientOf(app).me(String(body.token))
      const guess = () => v1(app, unknownNumber, wrong)
      for (let i = 0; i < 2; i++) expect(await guess()).toMatchObject({ status: 401 })

      if (how === 'killed') await server.kill('SIGKILL')
      else proxy.set('stall')
      expect(await v1(app, other, person.password)).toMatchObject({ status: 201 })
      expect(await classic(app, other, person.password)).toMatchObject({ status: 200, body: { code: 1 } })
      expect(await me()).toMatchObject({ status: 200 })
      for (let i = 0; i < 2; i++) expect(await guess()).toMatchObject({ status: 401 })

      if (how === 'killed') await server.restart()
      else proxy.set('pass')
      await expect.poll(() => app.services.cache.isReachable(), { timeout: 10_000 }).toBe(true)
      expect(await guess()).toMatchObject({ status: 401 })
      for (let i = 0; i < 5; i++) expect(await guess()).toMatchObject({ status: 429 })
      expect(await v1(app, other, person.password)).toMatchObject({ status: 201 })
    },
  )
})
