// The limits over HTTP: who is stopped, what is answered, and what happens when the counters are out of reach.
import { createClient } from 'redis'
import { afterEach, describe, expect, test } from 'vitest'
import { createClock } from './fault-run/clock.ts'
import { addPerson, person, type RunningApp, runCommand, startApp, startProcess } from './running.ts'
import { startRedis } from './services/redis.ts'
import { databases, redisUrl } from './stores.ts'
import { startProxy } from './tcp-proxy.ts'

const [sqlite = expect.fail()] = databases
const noRedis = redisUrl() === null
const closers: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function start(environment: Record<string, string> = {}): Promise<RunningApp> {
  const { url, drop } = await sqlite.create()
  closers.push(drop)
  const limits = { HUFU_LIMITS: 'on', HUFU_PASSWORD_QUEUE: '1000' }
  const app = await startApp(url, { environment: { ...limits, ...environment } })
  closers.push(() => app.close())
  await addPerson(app.house)
  return app
}

interface Answer {
  readonly status: number
  readonly body: Record<string, unknown>
  readonly retryAfter: number | null
  readonly headers: Headers
}

async function ask(url: string, init: RequestInit = {}): Promise<Answer> {
  const { status, headers, ...response } = await fetch(url, init).then(async (answer) => ({
    status: answer.status,
    headers: answer.headers,
    text: await answer.text(),
  }))
  const retryAfter = headers.get('retry-after')
  return {
    status,
    headers,
    // Every answer of these routes is a JSON object.
    body: JSON.parse(response.text) as Record<string, unknown>,
    retryAfter: retryAfter === null ? null : Number(retryAfter),
  }
}

const wrong = 'not the password'

function post(url: string, body: object, headers: Record<string, string> = {}): Promise<Answer> {
  return ask(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
}

const v1 = (app: { url: string }, phone: string, password: string, headers?: Record<string, string>) =>
  post(`${app.url}/v1/sessions`, { phone_number: phone, password }, headers)
const classic = (app: { url: string }, phone: string, password: string, headers?: Record<string, string>) =>
  post(`${app.url}/login`, { phone_number: phone, password }, headers)

const stranger = '13900000099'

const stores = [
  { name: 'in process', skipped: false, environment: {} },
  { name: 'in Redis', skipped: noRedis, environment: { HUFU_REDIS_URL: redisUrl() ?? '' } },
]

/** Each test has the counters to itself. */
async function emptyRedis(): Promise<void> {
  if (noRedis) return
  const client = await createClient({ url: redisUrl() ?? '' }).connect()
  await client.flushDb()
  client.destroy()
}

test('whoever holds a token tries codes for one new number after the other thirty times an hour, and no more', async () => {
  const app = await start()
  const enter = async (phone: string) => String((await v1(app, phone, person.password)).body.token)
  const move = (token: string, i: number) =>
    ask(`${app.url}/v1/account/phone`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify({
        phone_number: `+861390${1000 + i}009`,
        code: '000000',
        confirmation: { password: person.password },
      }),
    })
  const token = await enter(person.phone)
  for (let i = 0; i < 30; i++) {
    expect(await move(token, i)).toMatchObject({ status: 401, body: { code: 'code_wrong' } })
    app.clock.advance(100_000)
  }
  expect(await move(token, 30)).toMatchObject({ status: 429, body: { code: 'rate_limited' } })
  await addPerson(app.house, '13900000098')
  expect(await move(await enter('13900000098'), 30)).toMatchObject({ status: 401 })
})

test('a clock that is set back makes nobody wait for what was counted before', async () => {
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
  // A new session tells which clock it was begun by.
  const agoMs = async () => {
    const { session } = (await v1(server, other, person.password)).body
    return Date.now() - Date.parse((session as { created_at: string }).created_at)
  }
  await expect.poll(agoMs, { timeout: 10_000 }).toBeGreaterThan(3_000_000)
  expect(await v1(server, person.phone, person.password)).toMatchObject({ status: 201 })
})

describe.each(stores)('counters $name', ({ skipped, environment }) => {
  const usable = test.skipIf(skipped)
  const begin = async (more: Record<string, string> = {}) => {
    if (!skipped) await emptyRedis()
    return await start({ ...environment, ...more })
  }

  usable('of 64 parallel guesses five are compared, with the right one among them', async () => {
    const app = await begin()
    const answers = await Promise.all(
      Array.from({ length: 64 }, (_, i) => v1(app, person.phone, i === 40 ? person.password : wrong)),
    )
    const count = (status: number) => answers.filter((answer) => answer.status === status).length
    expect(count(429)).toBe(59)
    expect(count(401) + count(201)).toBe(5)
  })

  usable('the sixth wrong password in a row waits, by /v1 and by the classic API alike', async () => {
    const app = await begin()
    for (let i = 0; i < 3; i++) expect((await v1(app, person.phone, wrong)).status).toBe(401)
    for (let i = 0; i < 2; i++)
      expect((await classic(app, person.phone, wrong)).body).toEqual({ code: 0, message: '密码错误' })
    const sixth = await v1(app, person.phone, person.password, { 'accept-language': 'zh-CN' })
    expect(sixth).toMatchObject({
      status: 429,
      body: {
        type: 'urn:hufu:problem:rate_limited',
        code: 'rate_limited',
        title: '操作过于频繁，请稍后再试',
      },
    })
    expect(Object.keys(sixth.body).toSorted()).toEqual(['code', 'request_id', 'status', 'title', 'type'])
    expect(sixth.retryAfter).toBeGreaterThanOrEqual(28)
    expect(sixth.retryAfter).toBeLessThanOrEqual(30)
    const login = await classic(app, person.phone, person.password)
    expect(login).toMatchObject({ status: 429, body: { code: 0, message: '操作过于频繁，请稍后再试' } })
    expect(Object.keys(login.body)).toEqual(['code', 'message'])
    expect(login.retryAfter).toBeGreaterThanOrEqual(28)
  })

  usable('a number with an account and one without are answered alike, to the byte', async () => {
    const app = await begin({ HUFU_CLASSIC_TELLS_UNKNOWN_NUMBER: 'false' })
    const walk = async (phone: string) => {
      const answers = []
      for (let i = 0; i < 8; i++) {
        const { status, body, headers } = await (i % 2 ? classic : v1)(app, phone, wrong, {
          'x-request-id': `r${i}`,
        })
        const all = Object.fromEntries(headers)
        // Two walks may lie on both sides of a second where the clock is Redis's.
        const retryAfter = all['retry-after'] === undefined ? null : 'some'
        answers.push({ status, text: JSON.stringify(body), ...all, date: null, 'retry-after': retryAfter })
      }
      return answers
    }
    const known = await walk(person.phone)
    expect(known.map(({ status }) => status)).toEqual([401, 200, 401, 200, 401, 429, 429, 429])
    expect(await walk(stranger)).toEqual(known)
  })

  usable('one address that guesses at many numbers is stopped; other addresses are not', async () => {
    const app = await begin({ HUFU_TRUSTED_PROXIES: '127.0.0.1' })
    const from = (address: string) => ({ 'x-forwarded-for': address })
    const statuses = new Map<number, number>()
    for (let i = 0; i < 104; i++) {
      // A number that is none costs nothing; these do.
      const { status } = await v1(app, `139${10_000_000 + i * 1_001}`, wrong, from('203.0.113.7'))
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
    }
    expect([...statuses]).toEqual([
      [401, 100],
      [429, 4],
    ])
    expect((await v1(app, person.phone, person.password, from('203.0.113.7'))).status).toBe(429)
    expect((await v1(app, person.phone, person.password, from('203.0.113.8'))).status).toBe(201)
  })

  usable('who signs in rightly again and again is never stopped by failures', async () => {
    const app = await begin()
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 4; i++) expect((await v1(app, person.phone, wrong)).status).toBe(401)
      expect((await v1(app, person.phone, person.password)).status).toBe(201)
    }
  })

  usable('sign-ins that found no room for a password hash are no failures', async () => {
    const app = await begin({ HUFU_PASSWORD_PARALLEL: '1', HUFU_PASSWORD_QUEUE: '0' })
    let overloaded = 0
    for (let i = 0; i < 6; i++) {
      // Different numbers keep the one hash busy while the person asks.
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

describe.skipIf(noRedis)('servers on one Redis', () => {
  test('two processes count together', async () => {
    await emptyRedis()
    const { url, drop } = await sqlite.create()
    closers.push(drop)
    const environment = { HUFU_DATABASE_URL: url, HUFU_REDIS_URL: redisUrl() ?? '', HUFU_LIMITS: 'on' }
    const first = await startProcess(environment)
    closers.push(() => first.stop())
    const second = await startProcess(environment)
    closers.push(() => second.stop())
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, i) => v1(i % 2 ? first : second, stranger, wrong)),
    )
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(5)
    // On a busy machine a counter may not answer in time; then nothing is compared either.
    expect(answers.filter(({ status }) => status === 429 || status === 503)).toHaveLength(35)
  })

  test('no key holds a number or an address, and each expires', async () => {
    await emptyRedis()
    const app = await start({ HUFU_REDIS_URL: redisUrl() ?? '' })
    await v1(app, person.phone, wrong)
    await post(`${app.url}/v1/sessions`, {
      phone_number: person.phone,
      password: wrong,
      device: { id: 'A1B2C3*' },
    })
    const client = await createClient({ url: redisUrl() ?? '' }).connect()
    closers.push(async () => client.destroy())
    const keys = await client.keys('hufu:limit:*')
    expect(keys.map((key) => key.replace(/:[\w-]{22}$/, ':…')).toSorted()).toEqual([
      'hufu:limit:check_password:address:without_proof:all:…',
      'hufu:limit:check_password:caller:without_proof:in_a_row:…',
      'hufu:limit:check_password:device:without_proof:all:…',
      'hufu:limit:check_password:network:without_proof:all:…',
      'hufu:limit:check_password:number:without_proof:wrong:…',
    ])
    for (const key of keys) {
      expect(await client.ttl(key)).toBeGreaterThan(0)
      expect(JSON.stringify([key, await client.hGetAll(key)])).not.toMatch(/12345678901|127\.0\.0|A1B2C3/)
    }
  })

  test.each([
    'killed',
    'silent',
  ] as const)('%s, Redis lets nobody sign in, takes nothing from who is signed in, and all is well when it is back', async (how) => {
    const redis = await startRedis()
    closers.push(() => redis.stop())
    const proxy = await startProxy(redis.url)
    closers.push(() => proxy.close())
    const app = await start({ HUFU_REDIS_URL: proxy.url })
    const { body } = await v1(app, person.phone, person.password)
    const token = String(body.token)
    const me = () => ask(`${app.url}/v1/session`, { headers: { authorization: `Bearer ${token}` } })
    const user = () => ask(`${app.url}/user`, { headers: { token } })

    if (how === 'killed') await redis.kill('SIGKILL')
    else proxy.set('stall')
    const began = performance.now()
    const [refused, refusedClassic] = await Promise.all([
      v1(app, person.phone, person.password),
      classic(app, person.phone, person.password),
    ])
    expect(performance.now() - began).toBeLessThan(1_000)
    expect(refused).toMatchObject({ status: 503, retryAfter: 1, body: { code: 'unavailable' } })
    expect(refusedClassic).toMatchObject({ status: 503, retryAfter: 1, body: { code: 0 } })
    expect(await me()).toMatchObject({ status: 200 })
    expect(await user()).toMatchObject({ status: 200, body: { code: 1 } })
    await expect(
      app.house.limiter.askForCode({
        phoneNumber: '+8613800005223',
        address: '203.0.113.7',
        deviceId: null,
        accountId: null,
        proof: null,
      }),
    ).rejects.toMatchObject({ code: 'unavailable', facts: { retryAfterSeconds: 1 } })

    if (how === 'killed') await redis.restart()
    else proxy.set('pass')
    await expect
      .poll(async () => (await v1(app, person.phone, person.password)).status, { timeout: 10_000 })
      .toBe(201)
  })
})
