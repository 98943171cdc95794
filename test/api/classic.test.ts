// The tutorial's API over HTTP, exactly, on every database, with Redis and without.
import { request } from 'node:http'
import { sql } from 'kysely'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { addPerson, person, type RunningApp, startApp } from '../support/app.ts'
import { openCacheInRedis } from '../support/cache-in-redis.ts'
import {
  type DatabaseUnderTest,
  databases,
  type FreshDatabase,
  redisUrl,
  stores,
} from '../support/databases.ts'

const dayMs = 86_400_000
const signedOut = { code: 1, message: '成功注销' }
const noUser = { code: 0, message: '没有此用户' }
const wrongPassword = { code: 0, message: '密码错误' }
const noToken = { code: 0, message: '需要验证' }
const badToken = { code: 2, message: '验证信息错误' }

type Json = Record<string, unknown>
interface Ask {
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly body?: unknown
}

/** A tutorial's app: it knows the three routes, and that every response is HTTP 200 with a JSON object. */
function clientOf(url: string) {
  async function ask(path: string, { method = 'GET', headers = {}, body }: Ask = {}): Promise<Json> {
    const response = await fetch(url + path, {
      method,
      headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    expect({ status: response.status, type: response.headers.get('content-type'), text }).toEqual({
      status: 200,
      type: expect.stringMatching(/^application\/json\b/),
      text: expect.stringMatching(/^\{.*\}$/s),
    })
    return JSON.parse(text)
  }

  const login = (phone: unknown, password: unknown = person.password) =>
    ask('/login', { method: 'POST', body: { phone_number: phone, password } })
  const user = (token: string) => ask('/user', { headers: { token } })
  const logout = (token: string) => ask('/logout', { headers: { token } })

  /** Signs in, which must succeed, and returns the token. */
  async function tokenOf(phone: string): Promise<string> {
    const answer = await login(phone)
    expect(answer).toMatchObject({ code: 1, message: '成功登录', token: expect.any(String) })
    return String(answer.token)
  }

  return { ask, login, user, logout, tokenOf }
}

let lastPhone = 13_900_000_000

/** An account for this test alone. */
async function newAccount({ services }: RunningApp, nickname: string | null = '小明') {
  lastPhone++
  const phone = String(lastPhone)
  const { id } = await addPerson(services, phone, nickname)
  return { phone, id, profile: { code: 1, nickname, phone_number: phone } }
}

function redisEnvironment(redis: boolean): Record<string, string> {
  return redis ? { HUFU_REDIS_URL: redisUrl() ?? '' } : {}
}

/** Keeps one app (and its database) for the tests of a `describe`. */
function useApp(
  database: DatabaseUnderTest,
  skipped: string | null,
  options: Parameters<typeof startApp>[1],
) {
  let fresh: FreshDatabase | undefined
  let app: RunningApp | undefined
  beforeAll(async () => {
    if (skipped !== null) return
    fresh = await database.create()
    app = await startApp(fresh.url, options)
  })
  afterAll(async () => {
    await app?.close()
    await fresh?.drop()
  })
  return (): RunningApp => {
    if (!app) throw new Error('the app did not start')
    return app
  }
}

/** The tutorial's `app_online`, from the command line. */
async function appOnline({ services }: RunningApp, id: string): Promise<boolean> {
  return (await services.sessions.list(id)).length > 0
}

describe.each(stores)('classic API on $name', ({ database, redis, skipped }) => {
  const app = useApp(database, skipped, { environment: redisEnvironment(redis) })
  const client = () => clientOf(app().url)

  test.skipIf(skipped)("the tutorial's walkthrough gets the tutorial's answers", async () => {
    const { login, user, logout } = client()
    const { id } = await addPerson(app().services)
    expect(await login(person.phone, '1234567')).toEqual(wrongPassword)
    const answer = await login(person.phone, '123456')
    expect(answer).toEqual({
      code: 1,
      message: '成功登录',
      nickname: '测试用户1',
      token: expect.stringMatching(/^\S{32,}$/),
    })
    const token = String(answer.token)
    expect(await user(token)).toEqual({ code: 1, nickname: '测试用户1', phone_number: '12345678901' })
    expect(await appOnline(app(), id)).toBe(true)
    expect(await logout(token)).toEqual(signedOut)
    expect(await appOnline(app(), id)).toBe(false)
    expect(await user(token)).toEqual(badToken)
  })

  if (redis)
    test.skipIf(skipped)('Redis shows which accounts are signed in, without a usable token', async () => {
      const { phone, id } = await newAccount(app(), '看一眼')
      const token = await client().tokenOf(phone)
      expect(await client().user(token)).toMatchObject({ code: 1 })
      const [session] = await app().services.sessions.list(id)
      const sessionId = session?.id ?? expect.fail()
      const cache = await openCacheInRedis(redisUrl() ?? '')
      const found = await cache.read(sessionId)
      expect(found?.copy).toMatchObject({
        session: { accountId: id, platform: 'classic' },
        account: { id, phoneNumber: `+86${phone}`, nickname: '看一眼' },
        ending: null,
      })
      expect(found?.lifeSeconds).toBeGreaterThan(0)
      // Redis is read without any code of this project.
      expect(String(found?.bytes)).toContain(`+86${phone}`)
      expect(String(found?.bytes)).toContain('看一眼')
      const everything = await cache.everything()
      expect(everything).toContain(sessionId)
      expect(everything).not.toContain(token)
      expect(everything).not.toContain(token.slice(-43))
      await client().logout(token)
      expect(await cache.read(sessionId)).toMatchObject({ copy: { ending: { reason: 'signed_out' } } })
      await cache.close()
    })

  test.skipIf(skipped)('GET / answers Hello World! as text, and a browser gets a small page', async () => {
    const text = await fetch(`${app().url}/`)
    expect(text.status).toBe(200)
    expect(text.headers.get('content-type')).toMatch(/^text\/plain\b/)
    expect(await text.text()).toBe('Hello World!')
    const accept = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'
    const page = await fetch(`${app().url}/`, { headers: { accept } })
    expect(page.status).toBe(200)
    expect(page.headers.get('content-type')).toMatch(/^text\/html\b/)
    expect(await page.text()).toContain('Hello World!')
  })

  test.skipIf(skipped)('an unknown number and a wrong password have different messages', async () => {
    const { phone } = await newAccount(app())
    expect(await client().login('13700000000')).toEqual(noUser)
    expect(await client().login('not a number')).toEqual(noUser)
    expect(await client().login('')).toEqual(noUser)
    expect(await client().login(phone, '12345')).toEqual(wrongPassword)
    expect(await client().login(phone, '1234567')).toEqual(wrongPassword)
    expect(await client().login(phone, '123456 ')).toEqual(wrongPassword)
    expect(await client().login(phone, '')).toEqual(wrongPassword)
  })

  test.skipIf(skipped)('a nickname that was never set is null, at sign-in and afterwards', async () => {
    const { phone, profile } = await newAccount(app(), null)
    const answer = await client().login(phone)
    expect(answer).toEqual({ code: 1, message: '成功登录', nickname: null, token: expect.any(String) })
    // Twice, because the second response may come from a cache entry of the first.
    for (const _ of [1, 2]) expect(await client().user(String(answer.token))).toEqual(profile)
  })

  test.skipIf(skipped)('other fields, a charset and a capital content type change nothing', async () => {
    const { phone } = await newAccount(app())
    const body = { phone_number: phone, password: person.password, role: 'admin', nickname: 'x', token: 1 }
    const expected = { code: 1, message: '成功登录', nickname: '小明', token: expect.any(String) }
    const { ask } = client()
    expect(await ask('/login', { method: 'POST', body })).toEqual(expected)
    for (const type of [
      'application/json; charset=utf-8',
      'application/json;charset=UTF-8',
      'APPLICATION/JSON',
    ])
      expect(await ask('/login', { method: 'POST', body, headers: { 'content-type': type } })).toEqual(
        expected,
      )
  })

  test.skipIf(skipped)('the number is shown in its national format, however it was registered', async () => {
    const { services } = app()
    await addPerson(services, '+86 136 0000 0001', '国内')
    await addPerson(services, '+44 7400 123456', 'abroad')
    const home = await client().tokenOf('136-0000-0001')
    expect(await client().user(home)).toEqual({ code: 1, nickname: '国内', phone_number: '13600000001' })
    const abroad = await client().tokenOf('+447400123456')
    expect(await client().user(abroad)).toEqual({
      code: 1,
      nickname: 'abroad',
      phone_number: '+447400123456',
    })
  })

  test.skipIf(skipped)('without a token header, or with an empty one, code 0 requests it', async () => {
    for (const path of ['/user', '/logout']) {
      expect(await client().ask(path)).toEqual(noToken)
      expect(await client().ask(path, { headers: { token: '' } })).toEqual(noToken)
      expect(await client().ask(path, { headers: { token: '   ' } })).toEqual(noToken)
    }
  })

  test.skipIf(skipped)(
    'a token that is not exactly the live one is code 2, and affects no session',
    async () => {
      const { phone, profile } = await newAccount(app())
      const token = await client().tokenOf(phone)
      const other = token.endsWith('A') ? 'B' : 'A'
      const bad = {
        unknown: `hf_${'A'.repeat(65)}`,
        'of the tutorial': '0123456789abcdef0123456789abcdef',
        truncated: token.slice(0, -1),
        'without its prefix': token.slice(3),
        'upper case': token.toUpperCase(),
        'lower case': token.toLowerCase(),
        longer: `${token}A`,
        'with another last character': token.slice(0, -1) + other,
        'the public half alone': token.slice(0, 25),
        'the public half with another secret': token.slice(0, 25) + 'A'.repeat(43),
        quoted: `"${token}"`,
        'as Bearer': `Bearer ${token}`,
        twice: `${token}, ${token}`,
        'the word null': 'null',
        'not ASCII': '\u00e9',
      }
      for (const [name, value] of Object.entries(bad)) {
        expect({ name, answer: await client().user(value) }).toEqual({ name, answer: badToken })
        expect({ name, answer: await client().logout(value) }).toEqual({ name, answer: badToken })
      }
      expect(await client().user(token)).toEqual(profile)
    },
  )

  test.skipIf(skipped)('a token in a cookie, in the query or as Bearer is ignored', async () => {
    const { phone, profile } = await newAccount(app())
    const token = await client().tokenOf(phone)
    for (const path of ['/user', '/logout']) {
      expect(await client().ask(path, { headers: { cookie: `token=${token}` } })).toEqual(noToken)
      expect(await client().ask(path, { headers: { authorization: `Bearer ${token}` } })).toEqual(noToken)
      expect(await client().ask(`${path}?token=${token}`)).toEqual(noToken)
    }
    expect(await client().user(token)).toEqual(profile)
  })

  test.skipIf(skipped)('the name of the header is case-insensitive, the token is not', async () => {
    const { phone, profile } = await newAccount(app())
    const token = await client().tokenOf(phone)
    for (const name of ['token', 'Token', 'TOKEN', 'tOkEn'])
      expect(await getWithHeader(`${app().url}/user`, name, token)).toEqual(profile)
    expect(await getWithHeader(`${app().url}/user`, 'Token', token.toUpperCase())).toEqual(badToken)
    expect(await getWithHeader(`${app().url}/logout`, 'TOKEN', token)).toEqual(signedOut)
  })

  test.skipIf(skipped)('a second sign-in returns a new token and ends the first one', async () => {
    const { phone, profile } = await newAccount(app())
    const first = await client().tokenOf(phone)
    expect(await client().user(first)).toEqual(profile)
    const second = await client().tokenOf(phone)
    expect(second).not.toBe(first)
    expect(await client().user(first)).toEqual(badToken)
    expect(await client().user(second)).toEqual(profile)
    expect(await client().user(first)).toEqual(badToken)
  })

  test.skipIf(skipped)('a replaced token cannot sign the newer session out', async () => {
    const { phone, profile } = await newAccount(app())
    const first = await client().tokenOf(phone)
    const second = await client().tokenOf(phone)
    expect(await client().logout(first)).toEqual(badToken)
    expect(await client().user(second)).toEqual(profile)
  })

  test.skipIf(skipped)('a failed sign-in does not disturb the live session', async () => {
    const { phone, id, profile } = await newAccount(app())
    const token = await client().tokenOf(phone)
    expect(await client().login(phone, 'wrong')).toEqual(wrongPassword)
    expect(await client().user(token)).toEqual(profile)
    expect(await appOnline(app(), id)).toBe(true)
  })

  test.skipIf(skipped)('a second sign-out is answered with code 2', async () => {
    const { phone } = await newAccount(app())
    const token = await client().tokenOf(phone)
    expect(await client().logout(token)).toEqual(signedOut)
    expect(await client().logout(token)).toEqual(badToken)
    expect(await client().user(token)).toEqual(badToken)
  })

  test.skipIf(skipped)('of five concurrent sign-outs exactly one succeeds', async () => {
    const { phone, id } = await newAccount(app())
    const token = await client().tokenOf(phone)
    const answers = await Promise.all(Array.from({ length: 5 }, () => client().logout(token)))
    expect(answers.filter(({ code }) => code === 1)).toEqual([signedOut])
    expect(answers.filter(({ code }) => code !== 1)).toEqual([badToken, badToken, badToken, badToken])
    expect(await app().services.sessions.list(id)).toEqual([])
  })

  test.skipIf(skipped)('signing in again after signing out works, and app_online follows', async () => {
    const { phone, id, profile } = await newAccount(app())
    expect((await app().services.sessions.list(id)).length).toBe(0)
    const first = await client().tokenOf(phone)
    expect(await appOnline(app(), id)).toBe(true)
    expect(await client().logout(first)).toEqual(signedOut)
    expect(await appOnline(app(), id)).toBe(false)
    const second = await client().tokenOf(phone)
    expect(await appOnline(app(), id)).toBe(true)
    expect(await client().user(second)).toEqual(profile)
    expect(await client().user(first)).toEqual(badToken)
  })

  test.skipIf(skipped)('two accounts are independent', async () => {
    const one = await newAccount(app(), '一')
    const two = await newAccount(app(), '二')
    const tokenOne = await client().tokenOf(one.phone)
    const tokenTwo = await client().tokenOf(two.phone)
    expect(await client().user(tokenOne)).toEqual(one.profile)
    expect(await client().user(tokenTwo)).toEqual(two.profile)
    expect(await client().logout(tokenOne)).toEqual(signedOut)
    expect(await client().user(tokenTwo)).toEqual(two.profile)
    expect(await appOnline(app(), one.id)).toBe(false)
    expect(await appOnline(app(), two.id)).toBe(true)
  })

  test.skipIf(skipped)('of eight concurrent sign-ins exactly one session remains', async () => {
    const { phone, id, profile } = await newAccount(app())
    const tokens = await Promise.all(Array.from({ length: 8 }, () => client().tokenOf(phone)))
    expect(new Set(tokens).size).toBe(8)
    const answers = await Promise.all(tokens.map((token) => client().user(token)))
    expect(answers.filter(({ code }) => code === 1)).toEqual([profile])
    expect(answers.filter(({ code }) => code === 2)).toHaveLength(7)
    expect(await app().services.sessions.list(id)).toHaveLength(1)
  })

  test.skipIf(skipped)('SQL and glob characters are plain text in every field', async () => {
    const tricky = `'";--%_*?[a-z]{1}\\$(x)\`<b>&`
    const { phone, profile } = await newAccount(app(), tricky)
    const token = await client().tokenOf(phone)
    expect(await client().user(token)).toEqual(profile)
    for (const text of [
      `' or '1'='1`,
      `${phone}' --`,
      '1390000____',
      '139%',
      '*',
      '?',
      '[0-9]',
      '\\',
      '{}',
    ]) {
      expect({ text, answer: await client().login(text) }).toEqual({ text, answer: noUser })
      expect({ text, answer: await client().login(phone, text) }).toEqual({ text, answer: wrongPassword })
      expect({ text, answer: await client().user(text) }).toEqual({ text, answer: badToken })
      expect({ text, answer: await client().logout(text) }).toEqual({ text, answer: badToken })
    }
    const globbed = `${token.slice(0, 25)}${'*'.repeat(43)}`
    expect(await client().user(globbed)).toEqual(badToken)
    expect(await client().user(token)).toEqual(profile)
  })

  test.skipIf(skipped)(
    'two sign-ins in the same instant share nothing, and the signed-out one stays ended',
    async () => {
      const { phone, profile } = await newAccount(app())
      const instant = app().clock.now()
      const first = await client().tokenOf(phone)
      expect(await client().logout(first)).toEqual(signedOut)
      const second = await client().tokenOf(phone)
      expect(app().clock.now()).toBe(instant)
      expect(second).not.toBe(first)
      expect(second.slice(-43)).not.toBe(first.slice(-43))
      expect(await client().user(first)).toEqual(badToken)
      expect(await client().user(second)).toEqual(profile)
    },
  )

  test.skipIf(skipped)(
    'white space around a number is ignored, and a value that is no string is refused',
    async () => {
      const { phone } = await newAccount(app())
      for (const text of [`${phone} `, ` ${phone}`, `${phone}\t`, `${phone}\n`, `${phone}\u00a0`])
        expect({ text, answer: await client().login(text) }).toMatchObject({ text, answer: { code: 1 } })
      expect(await client().login(`${phone}\u0000`)).toEqual(noUser)
      const post = (body: unknown) =>
        fetch(`${app().url}/login`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(body),
        })
      for (const number of [Number(phone), [phone], { $ne: 1 }, null, true]) {
        const response = await post({ phone_number: number, password: person.password })
        expect(response.status).toBe(400)
        expect(await response.json()).toEqual({
          code: 0,
          message: '请求内容不符合要求：phone_number 类型错误',
        })
      }
      const response = await post({ phone_number: phone, password: Number(person.password) })
      expect(response.status).toBe(400)
      expect(await response.json()).toEqual({ code: 0, message: '请求内容不符合要求：password 类型错误' })
    },
  )

  test.skipIf(skipped)(
    'a token that was not used for 30 days has expired, one that was used has not',
    async () => {
      const idle = await newAccount(app())
      const busy = await newAccount(app())
      const idleToken = await client().tokenOf(idle.phone)
      const busyToken = await client().tokenOf(busy.phone)
      app().clock.advance(30 * dayMs - 1000)
      expect(await client().user(busyToken)).toEqual(busy.profile)
      app().clock.advance(1000)
      expect(await client().user(idleToken)).toEqual(badToken)
      expect(await client().logout(idleToken)).toEqual(badToken)
      expect(await client().user(busyToken)).toEqual(busy.profile)
      expect((await app().services.sessions.list(idle.id)).length).toBe(0)
    },
  )
})

const ofMysql = [sql`set foreign_key_checks = 0`, sql`set foreign_key_checks = 1`] as const
const foreignKeys = {
  sqlite: [sql`pragma foreign_keys = off`, sql`pragma foreign_keys = on`],
  mariadb: ofMysql,
  mysql: ofMysql,
  postgres: [sql`set session_replication_role = replica`, sql`set session_replication_role = origin`],
} as const

describe.each(stores)('direct changes of the database, on $name', ({ database, redis, skipped }) => {
  // Cache entries live for one second here, for up to ten minutes elsewhere.
  const app = useApp(database, skipped, { environment: redisEnvironment(redis), cacheEntrySeconds: 1 })
  const client = () => clientOf(app().url)

  /** At once where every check reads the database; with Redis when the cache entries have expired. */
  async function becomes(answer: () => Promise<Json>, expected: Json): Promise<void> {
    if (!redis) return expect(await answer()).toEqual(expected)
    await vi.waitFor(async () => expect(await answer()).toEqual(expected), { timeout: 5_000, interval: 50 })
  }

  test.skipIf(skipped).concurrent('sign a deleted account out', async () => {
    const { phone, id, profile } = await newAccount(app())
    const bystander = await newAccount(app())
    const token = await client().tokenOf(phone)
    const otherToken = await client().tokenOf(bystander.phone)
    expect(await client().user(token)).toEqual(profile)
    await app().byHand.deleteFrom('hufu_accounts').where('id', '=', id).execute()
    await becomes(() => client().user(token), badToken)
    expect(await client().logout(token)).toEqual(badToken)
    expect(await client().login(phone)).toEqual(noUser)
    expect(await client().user(otherToken)).toEqual(bystander.profile)
  })

  // SQLite's own command line does not enforce foreign keys, and other tools can turn them off.
  test.skipIf(skipped)('sign an account out whose sessions another tool left behind', async () => {
    const { phone, id, profile } = await newAccount(app())
    const token = await client().tokenOf(phone)
    expect(await client().user(token)).toEqual(profile)
    const [off, on] = foreignKeys[database.name]
    await app()
      .byHand.connection()
      .execute(async (db) => {
        await off.execute(db)
        await db.deleteFrom('hufu_accounts').where('id', '=', id).execute()
        await on.execute(db)
      })
    const left = await app()
      .byHand.selectFrom('hufu_sessions')
      .select('id')
      .where('account_id', '=', id)
      .execute()
    expect(left).toHaveLength(1)
    await becomes(() => client().user(token), badToken)
    expect(await client().logout(token)).toEqual(badToken)
  })

  test.skipIf(skipped).concurrent.each([
    ['shows a new nickname without a new sign-in', '旧名', '新名 🐯'],
    ['shows a nickname that was removed as null', '旧名', null],
    ['shows a first nickname', null, '新名'],
  ])('%s', async (_does, before, after) => {
    const { phone, id, profile } = await newAccount(app(), before)
    const token = await client().tokenOf(phone)
    expect(await client().user(token)).toEqual(profile)
    await app().byHand.updateTable('hufu_accounts').set({ nickname: after }).where('id', '=', id).execute()
    await becomes(() => client().user(token), { ...profile, nickname: after })
    expect(await client().login(phone)).toMatchObject({ code: 1, nickname: after })
  })

  test.skipIf(skipped).concurrent('show a new number, and forget the old one', async () => {
    const { phone, id, profile } = await newAccount(app())
    const token = await client().tokenOf(phone)
    expect(await client().user(token)).toEqual(profile)
    const moved = String(Number(phone) + 1_000_000)
    await app()
      .byHand.updateTable('hufu_accounts')
      .set({ phone_number: `+86${moved}` })
      .where('id', '=', id)
      .execute()
    await becomes(() => client().user(token), { ...profile, phone_number: moved })
    expect(await client().login(phone)).toEqual(noUser)
    expect(await client().login(moved)).toMatchObject({ code: 1 })
  })
})

describe('classic settings', () => {
  const [sqlite] = databases
  const closers: (() => Promise<void>)[] = []
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close()
  })

  async function start(environment: Record<string, string>): Promise<RunningApp> {
    if (!sqlite) throw new Error('SQLite is always there')
    const fresh = await sqlite.create()
    closers.push(fresh.drop)
    const app = await startApp(fresh.url, { environment })
    closers.push(app.close)
    return app
  }

  test('with HUFU_CLASSIC_TELLS_UNKNOWN_NUMBER=false no answer reveals whether a number has an account', async () => {
    const app = await start({ HUFU_CLASSIC_TELLS_UNKNOWN_NUMBER: 'false' })
    const { phone } = await newAccount(app)
    const answers = await Promise.all(
      [phone, '13700000000', 'not a number', ''].map((number) => wholeAnswer(app.url, number, 'wrong')),
    )
    expect(answers[0]).toMatch(/^200 /)
    expect(answers[0]).toContain('{"code":0,"message":"手机号或密码错误"}')
    expect(new Set(answers)).toEqual(new Set([answers[0]]))
    expect(await clientOf(app.url).login(phone)).toMatchObject({ code: 1 })
  })

  test('by default the two answers differ, as in the tutorial', async () => {
    const app = await start({})
    const { phone } = await newAccount(app)
    const unknown = await wholeAnswer(app.url, '13700000000', 'wrong')
    expect(unknown).not.toBe(await wholeAnswer(app.url, phone, 'wrong'))
  })

  test('with HUFU_CLASSIC_API=false its routes do not exist, and the others do', async () => {
    const app = await start({ HUFU_CLASSIC_API: 'false' })
    const { phone } = await newAccount(app)
    const body = JSON.stringify({ phone_number: phone, password: person.password })
    const post = { method: 'POST', headers: { 'content-type': 'application/json' }, body }
    for (const [path, init] of [
      ['/', {}],
      ['/login', post],
      ['/user', {}],
      ['/logout', {}],
    ] as const) {
      const response = await fetch(app.url + path, init)
      expect(response.status).toBe(404)
      expect(response.headers.get('content-type')).toBe('application/problem+json; charset=utf-8')
      expect(await response.json()).toMatchObject({ code: 'not_found', status: 404 })
    }
    expect((await fetch(`${app.url}/v1/sessions`, post)).status).toBe(201)
    expect((await fetch(`${app.url}/livez`)).status).toBe(200)
  })
})

/** Everything visible in the response of a sign-in, except for the time of day. */
async function wholeAnswer(url: string, phone: string, password: string): Promise<string> {
  const response = await fetch(`${url}/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-request-id': 'the-same' },
    body: JSON.stringify({ phone_number: phone, password }),
  })
  const headers = [...response.headers].filter(([name]) => name !== 'date')
  return `${response.status} ${JSON.stringify(headers)} ${await response.text()}`
}

/** Sends a header in the given case; fetch would send it in lower case. */
function getWithHeader(url: string, name: string, value: string): Promise<Json> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { headers: { [name]: value } }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        text += chunk
      })
      response.on('end', () => resolve(JSON.parse(text)))
    })
    sent.on('error', reject)
    sent.end()
  })
}
