// The /v1 API over HTTP: sign-in, the current session, the list of devices, sign-out, and the reason of an
// end.
import { hash } from '@node-rs/argon2'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { NewDevice } from '../../sdk/src/client.ts'
import { errorCodes } from '../../src/errors.ts'
import { publicErrors } from '../../src/http/problem.ts'
import type { EndReason } from '../../src/sessions/end-reason.ts'
import { addPerson, person, type RunningApp, startApp } from '../support/app.ts'
import {
  type DatabaseUnderTest,
  databases,
  type FreshDatabase,
  redisUrl,
  stores,
} from '../support/databases.ts'
import { type Answer, ask, clientOf, type Json } from '../support/v1-calls.ts'

const secondMs = 1000
const dayMs = 86_400_000

/** Signs in by password. */
function signIn(
  app: RunningApp,
  phoneNumber: string,
  device?: NewDevice,
  password: string = person.password,
): Promise<Answer> {
  return clientOf(app).signIn({ phoneNumber, password, ...(device && { device }) })
}

/** Signs in, which must succeed. */
async function enter(
  app: RunningApp,
  phoneNumber: string,
  device?: NewDevice,
): Promise<{ token: string; id: string }> {
  const { status, text, body } = await signIn(app, phoneNumber, device)
  expect({ status, text }).toMatchObject({ status: 201 })
  const token = String(body.token)
  // The public half of a token is the id of its session.
  return { token, id: token.slice(3, 25) }
}

/** A problem's JSON, in English. */
function problem(code: (typeof errorCodes)[number], facts: Json = {}) {
  const { status, en } = publicErrors[code]
  const type = `urn:hufu:problem:${code}`
  const isAdvised = /^(unsupported_media_type|invalid_json|not_found|method_not_allowed|code_wrong)$/.test(
    code,
  )
  // mistakes.test.ts checks its words.
  const detail = isAdvised ? { detail: expect.any(String) } : {}
  return {
    type,
    title: en,
    status,
    code,
    ...detail,
    request_id: expect.stringMatching(/^[\w.-]+$/),
    ...facts,
  }
}

const iso = (ms: number) => new Date(ms).toISOString()
const phone14 = { platform: 'ios', id: 'A-1', name: '小明的 iPhone 14', appVersion: '2.1.0' } as const
const pixel = { platform: 'android', id: 'B-2', name: 'Pixel 9', appVersion: '2.1.1' } as const
const tablet = { platform: 'harmony', name: 'MatePad' } as const

let lastPhone = 13_900_000_000
async function newTerminal(app: RunningApp, nickname: string | null = '小明') {
  lastPhone++
  const { id } = await addPerson(app.services, String(lastPhone), nickname)
  return { phone: String(lastPhone), id }
}

const cleanUps: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

async function newDatabase(name: DatabaseUnderTest['name'] = 'sqlite'): Promise<FreshDatabase> {
  const database = databases.find((one) => one.name === name)
  if (!database) throw new Error(`${name} is not in stores.ts`)
  const fresh = await database.create()
  cleanUps.push(fresh.drop)
  return fresh
}

/** An app for this test alone. */
async function start(url: string, environment: Record<string, string> = {}): Promise<RunningApp> {
  const app = await startApp(url, { environment, slowHashes: true })
  let open = true
  const close = async () => {
    if (open) await app.close()
    open = false
  }
  cleanUps.push(close)
  return { ...app, close }
}

describe.each(stores)('/v1 on $name', ({ database, redis, skipped }) => {
  let fresh: FreshDatabase | undefined
  let running: RunningApp | undefined
  beforeAll(async () => {
    if (skipped !== null) return
    fresh = await database.create()
    running = await startApp(fresh.url, {
      environment: { HUFU_SESSION_MAX: '2', ...(redis && { HUFU_REDIS_URL: redisUrl() ?? '' }) },
    })
  })
  afterAll(async () => {
    await running?.close()
    await fresh?.drop()
  })
  function app(): RunningApp {
    if (!running) throw new Error('the app did not start')
    return running
  }
  const client = () => clientOf(app())

  test.skipIf(skipped)('signing in answers 201 with the token, the session and the account', async () => {
    const { phone, id } = await newTerminal(app())
    const { status, headers, body } = await signIn(app(), phone, phone14)
    const now = app().clock.now()
    expect(status).toBe(201)
    expect(headers.get('content-type')).toBe('application/json; charset=utf-8')
    expect(headers.get('cache-control')).toBe('no-store')
    expect(body).toEqual({
      token: expect.stringMatching(/^hf_[\w-]{65}$/),
      session: {
        id: expect.stringMatching(/^[\w-]{22}$/),
        platform: 'ios',
        device: { id: 'A-1', name: '小明的 iPhone 14', app_version: '2.1.0' },
        ip: '127.0.0.1',
        created_at: iso(now),
        seen_at: iso(now),
        expires_at: iso(now + 30 * dayMs),
        current: true,
      },
      account: { id, phone_number: `+86${phone}`, nickname: '小明' },
      created: false,
      device_proof: expect.stringMatching(/^hp_[\w-]{43}$/),
    })
    const { token, created: _, device_proof: __, ...rest } = body
    const again = await client().me(String(token))
    expect(again.status).toBe(200)
    expect(again.body).toEqual(rest)
    expect(again.text).not.toContain(String(token).slice(-43))
  })

  test.skipIf(skipped)('a device may have no description, and an account no nickname', async () => {
    const { phone, id } = await newTerminal(app(), null)
    const { body } = await signIn(app(), phone)
    expect(body).toMatchObject({
      session: { platform: 'other', device: { id: null, name: null, app_version: null } },
      account: { id, phone_number: `+86${phone}`, nickname: null },
    })
  })

  test.skipIf(skipped)(
    'the list shows the live devices, oldest first, and marks the one of the caller',
    async () => {
      const { phone } = await newTerminal(app())
      const stranger = await newTerminal(app())
      await enter(app(), stranger.phone, tablet)
      const first = await enter(app(), phone, phone14)
      app().clock.advance(secondMs)
      const second = await enter(app(), phone, pixel)
      app().clock.advance(secondMs)
      const third = await enter(app(), phone, tablet)
      await client().signOut(third.token)
      const { status, body, text } = await client().devices(second.token)
      expect(status).toBe(200)
      expect(body).toEqual({
        sessions: [
          expect.objectContaining({ id: first.id, platform: 'ios', current: false }),
          expect.objectContaining({ id: second.id, platform: 'android', current: true }),
        ],
      })
      for (const { token } of [first, second]) expect(text).not.toContain(token.slice(-43))
    },
  )

  test.skipIf(skipped)('signing out answers 204, and the token is refused at once', async () => {
    const { phone } = await newTerminal(app())
    const { token } = await enter(app(), phone, phone14)
    const other = await enter(app(), phone, pixel)
    const { status, text, headers } = await client().signOut(token)
    expect({ status, text, type: headers.get('content-type') }).toEqual({ status: 204, text: '', type: null })
    expect((await client().me(token)).body).toMatchObject({ code: 'session_signed_out' })
    expect((await client().signOut(token)).status).toBe(401)
    expect((await client().me(other.token)).status).toBe(200)
  })

  test.skipIf(skipped)('a client that always sends its JSON content type can sign out too', async () => {
    const { phone } = await newTerminal(app())
    const first = await enter(app(), phone, phone14)
    const second = await enter(app(), phone, pixel)
    const headers = { 'content-type': 'application/json' }
    const other = await ask(app(), 'DELETE', `/v1/sessions/${first.id}`, { token: second.token, headers })
    expect(other).toMatchObject({ status: 204, text: '' })
    expect(await ask(app(), 'DELETE', '/v1/session', { token: second.token, headers })).toMatchObject({
      status: 204,
      text: '',
    })
    expect((await client().me(second.token)).status).toBe(401)
  })

  test.skipIf(skipped)('another device is signed out by its id, once or twice', async () => {
    const { phone } = await newTerminal(app())
    const mine = await enter(app(), phone, phone14)
    const other = await enter(app(), phone, pixel)
    expect((await client().me(other.token)).status).toBe(200)
    for (const _ of [1, 2])
      expect(await client().endDevice(mine.token, other.id)).toMatchObject({ status: 204, text: '' })
    expect((await client().me(other.token)).body).toMatchObject({ code: 'session_kicked' })
    expect((await client().me(mine.token)).status).toBe(200)
    expect((await client().devices(mine.token)).body).toMatchObject({ sessions: [{ id: mine.id }] })
  })

  test.skipIf(skipped)('ending the own session by its id is signing out', async () => {
    const { phone } = await newTerminal(app())
    const { token, id } = await enter(app(), phone, phone14)
    const answer = await ask(app(), 'DELETE', `/v1/sessions/${id}`, { token })
    expect(answer.status).toBe(204)
    expect((await client().me(token)).body).toMatchObject({ code: 'session_signed_out' })
  })

  test.skipIf(skipped)(
    'the session of another account is not found, to the byte, and stays live',
    async () => {
      const mine = await enter(app(), (await newTerminal(app())).phone, phone14)
      const theirs = await enter(app(), (await newTerminal(app())).phone, pixel)
      const seen = async (id: string) => {
        const headers = { 'x-request-id': 'same' }
        const answer = await ask(app(), 'DELETE', `/v1/sessions/${id}`, { token: mine.token, headers })
        return { ...answer, headers: [...answer.headers].filter(([name]) => name !== 'date') }
      }
      const notOurs = await seen(theirs.id)
      expect(notOurs.status).toBe(404)
      expect(notOurs.body).toEqual(problem('session_not_found'))
      expect(notOurs).toEqual(await seen('A'.repeat(22)))
      expect((await client().me(theirs.token)).status).toBe(200)
    },
  )

  test.skipIf(skipped)('/readyz reports whether Redis is in use', async () => {
    const { status, body } = await ask(app(), 'GET', '/readyz')
    expect(status).toBe(200)
    expect(body).toEqual({ status: 'ok', database: 'ok', redis: redis ? 'ok' : 'not_used' })
  })

  const endings: [
    EndReason,
    string,
    (phone: string, mine: { id: string; token: string }, accountId: string) => Promise<object>,
  ][] = [
    [
      'signed_out',
      'by itself',
      async (phone, { id, token }) => {
        const stored = await app().services.accounts.get(phone)
        await app().services.sessions.end({
          id,
          accountId: stored.id,
          reason: 'signed_out',
          by: { accountId: stored.id, sessionId: id, token },
        })
        return { ended_by: { platform: 'ios', device_name: '小明的 iPhone 14' } }
      },
    ],
    [
      'replaced',
      'by a newer one',
      async (phone) => {
        await enter(app(), phone, { ...phone14, name: 'iPhone 17' })
        return { ended_by: { platform: 'ios', device_name: 'iPhone 17' } }
      },
    ],
    [
      'kicked',
      'from another device',
      async (phone, { id }) => {
        const other = await enter(app(), phone, pixel)
        await client().endDevice(other.token, id)
        return { ended_by: { platform: 'android', device_name: 'Pixel 9' } }
      },
    ],
    [
      'kicked',
      'from a device without a name',
      async (phone, { id }) => {
        const other = await enter(app(), phone)
        await client().endDevice(other.token, id)
        return { ended_by: { platform: 'other', device_name: null } }
      },
    ],
    ...(
      [
        'kicked',
        'banned',
        'password_changed',
        'phone_changed',
        'account_closed',
        'expired',
        'token_reused',
      ] as const
    ).map((reason): (typeof endings)[number] => [
      reason,
      'by nobody that has a device',
      async (_phone, { id }, accountId) => {
        await app().services.sessions.end({ id, accountId, reason, by: null })
        return {}
      },
    ]),
  ]

  test.skipIf(skipped).each(endings)(
    'a session that was %s %s says so, and when',
    async (reason, _how, finish) => {
      const { phone, id: accountId } = await newTerminal(app())
      const mine = await enter(app(), phone, phone14)
      expect((await client().me(mine.token)).status).toBe(200)
      app().clock.advance(90 * secondMs)
      const endedAt = app().clock.now()
      const by = await finish(phone, mine, accountId)
      app().clock.advance(90 * secondMs)
      for (const _ of [1, 2]) {
        const { status, headers, body } = await client().me(mine.token)
        expect(status).toBe(401)
        expect(headers.get('content-type')).toBe('application/problem+json; charset=utf-8')
        expect(headers.get('www-authenticate')).toBe('Bearer error="invalid_token"')
        const detail = reason === 'replaced' && {
          detail: expect.stringMatching(/^Your account signed in on .* at \d\d:\d\d UTC\./),
        }
        expect(body).toEqual(problem(`session_${reason}`, { ended_at: iso(endedAt), ...by, ...detail }))
      }
      for (const [language, words] of [
        ['zh-CN', 'zh'],
        ['en', 'en'],
      ] as const) {
        const { headers, body } = await clientOf(app(), { language }).me(mine.token)
        expect(headers.get('content-language')).toBe(language)
        expect(body.title).toBe(publicErrors[`session_${reason}`][words])
        expect(/\p{Script=Han}/u.test(String(body.title))).toBe(language === 'zh-CN')
      }
      const byId = (token: string) => ask(app(), 'DELETE', `/v1/sessions/${mine.id}`, { token })
      for (const call of [client().devices, client().signOut, byId])
        expect(await call(mine.token)).toMatchObject({ status: 401, body: { code: `session_${reason}` } })
    },
  )

  test.skipIf(skipped)(
    'a session that was not used for 30 days says that it has expired, and when',
    async () => {
      const { phone } = await newTerminal(app())
      const { token } = await enter(app(), phone, phone14)
      const end = app().clock.now() + 30 * dayMs
      app().clock.advance(30 * dayMs - 1)
      const { phone: bystander } = await newTerminal(app())
      const late = await enter(app(), bystander)
      app().clock.advance(1)
      const { status, body } = await client().me(token)
      expect(status).toBe(401)
      expect(body).toEqual(problem('session_expired', { ended_at: iso(end) }))
      expect((await client().me(late.token)).status).toBe(200)
    },
  )

  test.skipIf(skipped)('two devices of one platform are allowed where HUFU_SESSION_MAX is 2', async () => {
    const { phone } = await newTerminal(app())
    const tokens: string[] = []
    for (const name of ['one', 'two', 'three']) {
      tokens.push((await enter(app(), phone, { platform: 'ios', id: name, name })).token)
      app().clock.advance(secondMs)
    }
    const answers = await Promise.all(tokens.map((token) => client().me(token)))
    expect(answers.map(({ status }) => status)).toEqual([401, 200, 200])
    expect(answers[0]?.body).toMatchObject({ code: 'session_replaced', ended_by: { device_name: 'three' } })
  })
})

describe('a refused request', () => {
  let app: RunningApp
  let fresh: FreshDatabase
  const client = () => clientOf(app)
  beforeAll(async () => {
    fresh = await newDatabase()
    cleanUps.length = 0
    app = await startApp(fresh.url)
  })
  afterAll(async () => {
    await app.close()
    await fresh.drop()
  })

  test('an unknown number and a wrong password get the same answer, to the byte', async () => {
    const { phone } = await newTerminal(app)
    const answer = async (phone_number: string, password: string) => {
      const headers = { 'x-request-id': 'same' }
      const {
        status,
        headers: received,
        text,
      } = await ask(app, 'POST', '/v1/sessions', {
        headers,
        body: { phone_number, password, device: { platform: 'ios', id: 'A-1', app_version: '2.1.0' } },
      })
      return { status, text, headers: [...received].filter(([name]) => name !== 'date') }
    }
    const wrong = await answer(phone, 'wrong')
    expect(wrong.status).toBe(401)
    expect(JSON.parse(wrong.text)).toEqual(problem('credentials_wrong'))
    expect(await answer('13700000000', 'wrong')).toEqual(wrong)
    expect(await answer('+447400123456', person.password)).toEqual(wrong)
  })

  test('a wrong password names no scheme, because no token would help', async () => {
    const { phone } = await newTerminal(app)
    expect((await signIn(app, phone, phone14, 'wrong')).headers.get('www-authenticate')).toBeNull()
  })

  test('without a credential, WWW-Authenticate carries no error code (RFC 6750, section 3.1)', async () => {
    for (const [method, path] of [
      ['GET', '/v1/session'],
      ['DELETE', '/v1/session'],
      ['POST', '/v1/session/rotate'],
      ['GET', '/v1/sessions'],
      ['DELETE', '/v1/sessions/x'],
    ] as const) {
      const { status, headers, body } = await ask(app, method, path)
      expect({ status, body }).toEqual({ status: 401, body: problem('token_missing') })
      expect(headers.get('www-authenticate')).toBe('Bearer')
    }
  })

  test('with an unknown token, it carries invalid_token', async () => {
    const { token } = await enter(app, (await newTerminal(app)).phone)
    const cases: readonly (readonly [bad: string, isWhole: boolean])[] = [
      ['x', false],
      [token.toUpperCase(), false],
      [token.slice(0, -1), false],
      // The same response for a session and for none.
      [token.slice(0, 25) + 'A'.repeat(43), true],
      [`hf_${'A'.repeat(65)}`, true],
    ]
    for (const [bad, isWhole] of cases) {
      const { status, headers, body } = await client().me(bad)
      const detail = { detail: 'This is not a whole token.' }
      const expected = { ...problem('token_unknown'), ...(!isWhole && detail) }
      expect({ status, body }).toEqual({ status: 401, body: expected })
      expect(headers.get('www-authenticate')).toBe('Bearer error="invalid_token"')
    }
  })

  test('the scheme is case-insensitive', async () => {
    const { token } = await enter(app, (await newTerminal(app)).phone)
    for (const scheme of ['bearer', 'BEARER', 'bEaReR']) {
      const { status } = await ask(app, 'GET', '/v1/session', {
        headers: { authorization: `${scheme} ${token}` },
      })
      expect(status).toBe(200)
    }
  })

  test.each([
    ['zh-CN', 'zh-CN'],
    ['zh', 'zh-CN'],
    ['zh-Hans-CN,zh;q=0.9,en;q=0.8', 'zh-CN'],
    ['en;q=0.5, zh-CN', 'zh-CN'],
    ['zh;q=0.5, en-GB;q=0.7', 'en'],
    ['zh;q=0, en', 'en'],
    ['fr-CH, de', 'en'],
    ['*', 'en'],
    ['', 'en'],
  ])('Accept-Language "%s" is answered in %s', async (wanted, language) => {
    const { headers, body } = await ask(app, 'GET', '/v1/session', {
      headers: { 'accept-language': wanted },
    })
    expect(headers.get('content-language')).toBe(language)
    const { zh, en } = publicErrors.token_missing
    expect(body.title).toBe(language === 'zh-CN' ? zh : en)
  })

  test('the problem carries the request id, which the client may choose', async () => {
    const own = await ask(app, 'GET', '/v1/session', { headers: { 'x-request-id': 'app-42.x_y' } })
    expect(own.headers.get('x-request-id')).toBe('app-42.x_y')
    expect(own.body.request_id).toBe('app-42.x_y')
    const one = await ask(app, 'GET', '/v1/session')
    const two = await ask(app, 'GET', '/v1/session')
    expect(one.body.request_id).toBe(one.headers.get('x-request-id'))
    expect(one.body.request_id).not.toBe(two.body.request_id)
  })

  test('a banned account is refused with the end of its ban, and so are its sessions', async () => {
    const { phone, id } = await newTerminal(app)
    const { token } = await enter(app, phone, phone14)
    const until = app.clock.now() + dayMs
    await app.byHand
      .updateTable('hufu_accounts')
      .set({ banned_at: app.clock.now(), banned_until: until })
      .where('id', '=', id)
      .execute()
    const refused = await signIn(app, phone, phone14)
    expect({ status: refused.status, body: refused.body }).toEqual({
      status: 403,
      body: problem('account_banned', { banned_until: iso(until) }),
    })
    expect(await signIn(app, phone, phone14, 'wrong')).toMatchObject({ status: 401 })
    expect(await client().me(token)).toMatchObject({ status: 401, body: { code: 'session_banned' } })
    app.clock.advance(dayMs)
    expect((await signIn(app, phone, pixel)).status).toBe(201)
  })

  test('a closing account has no live session, a deleted one no session at all', async () => {
    const { phone, id } = await newTerminal(app)
    const { token } = await enter(app, phone, phone14)
    await app.byHand.updateTable('hufu_accounts').set({ closes_at: 1 }).where('id', '=', id).execute()
    expect(await client().me(token)).toMatchObject({ status: 401, body: { code: 'session_account_closed' } })
    await app.byHand.deleteFrom('hufu_accounts').where('id', '=', id).execute()
    expect(await client().me(token)).toMatchObject({ status: 401, body: { code: 'token_unknown' } })
  })
})

describe('the lifetime of a session', () => {
  /** The same database behind a new process, `ms` after the start: unwritten state is lost. */
  async function reopen(app: RunningApp, url: string, environment: Record<string, string> = {}) {
    const now = app.clock.now()
    await app.close()
    const next = await start(url, environment)
    next.clock.advance(now - next.clock.now())
    return next
  }

  async function statusAfter(app: RunningApp, ms: number, token: string): Promise<number> {
    app.clock.advance(ms)
    return (await clientOf(app).me(token)).status
  }

  test('is extended by use, also across a restart', async () => {
    const { url } = await newDatabase()
    const first = await start(url)
    const { phone } = await newTerminal(first)
    const used = await enter(first, phone, phone14)
    const unused = await enter(first, phone, pixel)
    expect(await statusAfter(first, 20 * dayMs, used.token)).toBe(200)
    const second = await reopen(first, url)
    const { body } = await clientOf(second).me(used.token)
    expect(body).toMatchObject({
      session: { expires_at: iso(second.clock.now() + 30 * dayMs), seen_at: iso(second.clock.now()) },
    })
    expect(await statusAfter(second, 10 * dayMs, unused.token)).toBe(401)
    const third = await reopen(second, url)
    expect(await statusAfter(third, 20 * dayMs - 1, used.token)).toBe(200)
  })

  test('is extended at once by use in its last minute', async () => {
    const app = await start((await newDatabase()).url)
    const { token } = await enter(app, (await newTerminal(app)).phone)
    expect(await statusAfter(app, 30 * dayMs - 30 * secondMs, token)).toBe(200)
    expect(await statusAfter(app, dayMs, token)).toBe(200)
  })

  test('is not extended when another device lists it', async () => {
    const { url } = await newDatabase()
    const first = await start(url)
    const { phone } = await newTerminal(first)
    const unused = await enter(first, phone, phone14)
    const used = await enter(first, phone, pixel)
    first.clock.advance(20 * dayMs)
    expect((await clientOf(first).devices(used.token)).status).toBe(200)
    const second = await reopen(first, url)
    expect(await statusAfter(second, 10 * dayMs, unused.token)).toBe(401)
    expect((await clientOf(second).me(used.token)).status).toBe(200)
  })

  test('never ends with HUFU_SESSION_LIFE_DAYS=0', async () => {
    const app = await start((await newDatabase()).url, { HUFU_SESSION_LIFE_DAYS: '0' })
    const { phone } = await newTerminal(app)
    const { body } = await signIn(app, phone, phone14)
    expect(body).toMatchObject({ session: { expires_at: null } })
    expect(await statusAfter(app, 100 * 365 * dayMs, String(body.token))).toBe(200)
  })

  test('ends by HUFU_SESSION_MAX_LIFE_DAYS, however much it is used', async () => {
    const environment = { HUFU_SESSION_LIFE_DAYS: '30', HUFU_SESSION_MAX_LIFE_DAYS: '40' }
    const { url } = await newDatabase()
    const first = await start(url, environment)
    const { token } = await enter(first, (await newTerminal(first)).phone)
    const end = first.clock.now() + 40 * dayMs
    expect(await statusAfter(first, 25 * dayMs, token)).toBe(200)
    const second = await reopen(first, url, environment)
    expect((await clientOf(second).me(token)).body).toMatchObject({ session: { expires_at: iso(end) } })
    expect(await statusAfter(second, 15 * dayMs - 1, token)).toBe(200)
    second.clock.advance(1)
    expect((await clientOf(second).me(token)).body).toEqual(
      problem('session_expired', { ended_at: iso(end) }),
    )
  })

  test('ends by HUFU_SESSION_MAX_LIFE_DAYS also where it would never expire', async () => {
    const environment = { HUFU_SESSION_LIFE_DAYS: '0', HUFU_SESSION_MAX_LIFE_DAYS: '7' }
    const app = await start((await newDatabase()).url, environment)
    const { token } = await enter(app, (await newTerminal(app)).phone)
    expect(await statusAfter(app, 7 * dayMs - 1, token)).toBe(200)
    expect(await statusAfter(app, 1, token)).toBe(401)
  })
})

describe('a sign-in replaces', () => {
  /**
   * Signs in on each device in turn, a second apart, and returns the status of each sign-in and of each token
   * at the end.
   */
  async function inTurn(environment: Record<string, string>, devices: readonly NewDevice[]) {
    const app = await start((await newDatabase()).url, environment)
    const { phone } = await newTerminal(app)
    const answers: Answer[] = []
    for (const device of devices) {
      answers.push(await signIn(app, phone, device))
      app.clock.advance(secondMs)
    }
    const live = await Promise.all(
      answers.map(async ({ body }) =>
        body.token ? (await clientOf(app).me(String(body.token))).status : null,
      ),
    )
    return { app, phone, answers, signIns: answers.map(({ status }) => status), live }
  }

  const ios = { platform: 'ios', id: '1' } as const
  const otherIos = { platform: 'ios', id: '2' } as const
  const android = { platform: 'android', id: '1' } as const

  test('by default, the session of the same platform', async () => {
    const { signIns, live } = await inTurn({}, [ios, android, otherIos])
    expect(signIns).toEqual([201, 201, 201])
    expect(live).toEqual([401, 200, 200])
  })

  test('with scope account, any session', async () => {
    const { live } = await inTurn({ HUFU_SESSION_SCOPE: 'account' }, [ios, android, otherIos])
    expect(live).toEqual([401, 401, 200])
  })

  test('with scope device, that of the same device only', async () => {
    const { live } = await inTurn({ HUFU_SESSION_SCOPE: 'device' }, [ios, android, otherIos, ios])
    expect(live).toEqual([401, 200, 200, 200])
  })

  test('with HUFU_SESSION_MAX=2, the oldest of three', async () => {
    const environment = { HUFU_SESSION_SCOPE: 'account', HUFU_SESSION_MAX: '2' }
    const { live } = await inTurn(environment, [ios, android, otherIos])
    expect(live).toEqual([401, 200, 200])
  })

  test('with HUFU_SESSION_MAX=0 none, except that of the same device', async () => {
    const { live } = await inTurn({ HUFU_SESSION_MAX: '0' }, [ios, otherIos, android, ios])
    expect(live).toEqual([401, 200, 200, 200])
  })

  test('with HUFU_SESSION_WHEN_FULL=refuse none: a new device gets 409, and the same device signs in', async () => {
    const environment = { HUFU_SESSION_MAX: '1', HUFU_SESSION_WHEN_FULL: 'refuse' }
    const { app, phone, answers, signIns, live } = await inTurn(environment, [ios, otherIos, android, ios])
    expect(signIns).toEqual([201, 409, 201, 201])
    expect(live).toEqual([401, null, 200, 200])
    expect(answers[1]?.body).toEqual(problem('session_limit_reached'))
    await clientOf(app).signOut(String(answers[3]?.body.token))
    expect((await signIn(app, phone, otherIos)).status).toBe(201)
  })

  test("every session by the tutorial's API, under every policy", async () => {
    const app = await start((await newDatabase()).url, { HUFU_SESSION_MAX: '0' })
    const { phone } = await newTerminal(app)
    const mine = await enter(app, phone, phone14)
    const login = async () => {
      const body = { phone_number: phone, password: person.password }
      return String((await ask(app, 'POST', '/login', { body })).body.token)
    }
    const [first, second] = [await login(), await login()]
    expect((await clientOf(app).me(first)).body).toMatchObject({ code: 'session_replaced' })
    expect((await clientOf(app).me(second)).body).toMatchObject({ session: { platform: 'classic' } })
    expect((await clientOf(app).me(mine.token)).status).toBe(200)
  })
})

describe('password hashes', () => {
  const currentCost = '$argon2id$v=19$m=19456,t=2,p=1$'

  async function storeHash(
    { services }: RunningApp,
    id: string,
    cost: { memoryCost: number; timeCost: number },
  ) {
    const password_hash = await hash(person.password, { algorithm: 2, parallelism: 1, ...cost })
    await services.db.updateTable('hufu_accounts').set({ password_hash }).where('id', '=', id).execute()
    return password_hash
  }

  async function storedHash({ services }: RunningApp, id: string): Promise<string> {
    const row = await services.db
      .selectFrom('hufu_accounts')
      .select('password_hash')
      .where('id', '=', id)
      .executeTakeFirstOrThrow()
    return row.password_hash ?? ''
  }

  test('a storm of sign-ins is answered 503 with Retry-After, and GET /user goes on', async () => {
    const environment = { HUFU_PASSWORD_PARALLEL: '1', HUFU_PASSWORD_QUEUE: '1' }
    const app = await start((await newDatabase()).url, environment)
    const { phone, id } = await newTerminal(app)
    const login = { body: { phone_number: phone, password: person.password } }
    const classic = await ask(app, 'POST', '/login', login)
    // A password with a slow hash, so that the pool stays full.
    await storeHash(app, id, { memoryCost: 19_456, timeCost: 12 })
    const order: string[] = []
    const storm = Array.from({ length: 10 }, async (_, i) => {
      const device = { platform: 'ios', id: String(i) } as const
      const answer = await (i < 8 ? signIn(app, phone, device) : ask(app, 'POST', '/login', login))
      order.push(answer.status < 300 ? 'signed in' : 'refused')
      return answer
    })
    const headers = { token: String(classic.body.token) }
    const userAnswer = await ask(app, 'GET', '/user', { headers })
    order.push('user')
    expect(userAnswer).toMatchObject({ status: 200, body: { code: 1, phone_number: phone } })
    const answers = await Promise.all(storm)
    expect(order.indexOf('user')).toBeLessThan(order.indexOf('signed in'))
    const refused = answers.filter(({ status }) => status === 503)
    expect(answers.length - refused.length).toBeGreaterThanOrEqual(1)
    expect(refused.length).toBeGreaterThanOrEqual(2)
    for (const { status, headers: received, body } of answers) {
      if (status === 200 || status === 201) continue
      expect(status).toBe(503)
      expect(received.get('retry-after')).toMatch(/^[1-9]\d*$/)
      expect([problem('overloaded'), { code: 0, message: publicErrors.overloaded.zh }]).toContainEqual(body)
    }
    expect((await signIn(app, phone, phone14)).status).toBe(201)
  })

  describe.each(databases)('on $name', ({ name, skipped }) => {
    test.skipIf(skipped)('that are weaker than the current ones are replaced at sign-in', async () => {
      const app = await start((await newDatabase(name)).url)
      const { phone, id } = await newTerminal(app)
      const fresh = await storedHash(app, id)
      expect(fresh.startsWith(currentCost)).toBe(true)
      const weak = await storeHash(app, id, { memoryCost: 1024, timeCost: 1 })
      expect(weak.startsWith(currentCost)).toBe(false)
      expect((await signIn(app, phone, phone14, 'wrong')).status).toBe(401)
      expect(await storedHash(app, id)).toBe(weak)
      expect((await signIn(app, phone, phone14)).status).toBe(201)
      const strong = await storedHash(app, id)
      expect(strong.startsWith(currentCost)).toBe(true)
      expect(strong).not.toBe(fresh)
      expect((await signIn(app, phone, phone14)).status).toBe(201)
      expect(await storedHash(app, id)).toBe(strong)
      expect((await signIn(app, phone, phone14, 'wrong')).status).toBe(401)
    })

    test.skipIf(skipped)('are replaced while eight devices sign in at once, and all succeed', async () => {
      const app = await start((await newDatabase(name)).url, { HUFU_SESSION_MAX: '0' })
      const { phone, id } = await newTerminal(app)
      await storeHash(app, id, { memoryCost: 1024, timeCost: 1 })
      const devices = Array.from({ length: 8 }, (_, i) => ({ platform: 'ios' as const, id: String(i) }))
      const signedIn = await Promise.all(devices.map((device) => enter(app, phone, device)))
      expect((await storedHash(app, id)).startsWith(currentCost)).toBe(true)
      const answers = await Promise.all(signedIn.map(({ token }) => clientOf(app).me(token)))
      expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 200))
    })
  })
})

/** The part of OpenAPI 3.1 that these tests read. */
interface Operation {
  readonly operationId?: unknown
  readonly summary?: unknown
  readonly parameters?: readonly Json[]
  readonly security?: readonly Json[]
  readonly responses: Readonly<Record<string, Json>>
}
interface Description {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: {
    readonly schemas: Json & { readonly Problem: { readonly properties: { readonly code: Json } } }
    readonly securitySchemes: Json
  }
}

describe('health and description', () => {
  let app: RunningApp
  let fresh: FreshDatabase
  let description: Description
  beforeAll(async () => {
    fresh = await newDatabase()
    cleanUps.length = 0
    app = await startApp(fresh.url)
    description = JSON.parse((await ask(app, 'GET', '/openapi.json')).text)
  })
  afterAll(async () => {
    await app.close()
    await fresh.drop()
  })

  test('/livez and /readyz report ok', async () => {
    expect(await ask(app, 'GET', '/livez')).toMatchObject({ status: 200, body: { status: 'ok' } })
    const ready = await ask(app, 'GET', '/readyz')
    expect(ready.status).toBe(200)
    expect(ready.body).toEqual({ status: 'ok', database: 'ok', redis: 'not_used' })
    expect((await ask(app, 'HEAD', '/livez')).status).toBe(200)
    expect((await ask(app, 'HEAD', '/readyz')).status).toBe(200)
  })

  /** Every operation of the description: its method, its path and its content. */
  function operations(): { method: string; path: string; operation: Operation }[] {
    return Object.entries(description.paths).flatMap(([path, item]) =>
      Object.entries(item).map(([method, operation]) => ({ method, path, operation })),
    )
  }

  test('/openapi.json is OpenAPI 3.1 with a title, a version and servers', async () => {
    const { status, headers } = await ask(app, 'GET', '/openapi.json')
    expect(status).toBe(200)
    expect(headers.get('content-type')).toBe('application/json; charset=utf-8')
    expect(description).toMatchObject({
      openapi: expect.stringMatching(/^3\.1\.\d$/),
      info: { title: expect.any(String), version: expect.stringMatching(/^\d+\.\d+\.\d+/) },
      servers: [{ url: '/' }],
    })
  })

  test('/openapi.json has every route', () => {
    const described = operations().map(({ method, path }) => `${method.toUpperCase()} ${path}`)
    expect(described.toSorted()).toEqual(
      [
        'DELETE /v1/account',
        'DELETE /v1/session',
        'DELETE /v1/sessions',
        'DELETE /v1/sessions/{id}',
        'POST /v1/account/close',
        'POST /v1/account/password',
        'POST /v1/account/phone',
        'POST /v1/account/update',
        'POST /v1/session/end',
        'POST /v1/sessions/end',
        'POST /v1/sessions/{id}/end',
        'GET /v1/account',
        'GET /v1/account/export',
        'PATCH /v1/account',
        'POST /v1/codes',
        'POST /v1/password-resets',
        'PUT /v1/account/password',
        'PUT /v1/account/phone',
        'GET /',
        'GET /livez',
        'GET /logout',
        'GET /readyz',
        'GET /user',
        'GET /v1/session',
        'GET /v1/sessions',
        'POST /login',
        'POST /v1/session/rotate',
        'POST /v1/sessions',
      ].toSorted(),
    )
  })

  test('every operation has a unique operationId, a summary and described responses', () => {
    const ids = operations().map(({ method, path, operation }) => [
      `${method} ${path}`,
      operation.operationId,
    ])
    expect(ids.filter(([, id]) => typeof id !== 'string' || !/^[a-z]\w+$/i.test(id))).toEqual([])
    expect(new Set(ids.map(([, id]) => id)).size).toBe(ids.length)
    for (const { path, operation } of operations()) {
      expect({ path, summary: operation.summary }).toEqual({ path, summary: expect.any(String) })
      const responses = Object.entries(operation.responses)
      expect(responses.length).toBeGreaterThan(0)
      for (const [status, response] of responses) {
        expect(status).toMatch(/^[1-5]\d\d$/)
        expect({ path, status, description: response.description }).toEqual({
          path,
          status,
          description: expect.any(String),
        })
      }
    }
  })

  test('every parameter of a path is described, and no other', () => {
    for (const { path, operation } of operations()) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
      const described = (operation.parameters ?? []).filter((one) => one.in === 'path')
      expect({ path, names: described.map(({ name }) => name) }).toEqual({ path, names: inPath })
      for (const one of described) expect(one).toMatchObject({ required: true, schema: expect.any(Object) })
    }
  })

  test('every $ref has a target, and every component is used', () => {
    const text = JSON.stringify(description)
    const references = [...text.matchAll(/"\$ref":"([^"]+)"/g)].map(([, target]) => target ?? '')
    expect(references.length).toBeGreaterThan(10)
    for (const reference of references) {
      expect(reference).toMatch(/^#\//)
      const target = reference
        .slice(2)
        .split('/')
        .reduce<unknown>(
          (at, key) => (Object(at) === at ? Reflect.get(Object(at), key) : undefined),
          description,
        )
      expect({ reference, target }).toEqual({ reference, target: expect.any(Object) })
    }
    const { schemas } = description.components
    for (const name of Object.keys(schemas)) expect(references).toContain(`#/components/schemas/${name}`)
  })

  test('a route that needs a token says so, and its scheme is described', () => {
    const { securitySchemes } = description.components
    const isClassicClosed = (path: string) => path === '/user' || path === '/logout'
    const open = ['post /v1/codes', 'post /v1/password-resets', 'post /v1/sessions']
    const closed = operations().filter(
      ({ path, method }) =>
        (path.startsWith('/v1') && !open.includes(`${method} ${path}`)) || isClassicClosed(path),
    )
    for (const { path, operation } of operations()) {
      const names = (operation.security ?? []).flatMap((one) => Object.keys(one))
      for (const name of names) expect(securitySchemes).toHaveProperty(name)
      const isClosed = closed.some((one) => one.operation === operation)
      expect({ path, closed: names.length > 0 }).toEqual({ path, closed: isClosed })
    }
    expect(securitySchemes).toEqual({
      token: expect.objectContaining({ type: 'http', scheme: 'bearer' }),
      classicToken: expect.objectContaining({ type: 'apiKey', in: 'header', name: 'token' }),
    })
  })

  test('every route that needs a token refuses a request without one, or with one that was never issued', async () => {
    const needToken = operations().filter(
      ({ path, operation }) => path.startsWith('/v1') && operation.security !== undefined,
    )
    expect(needToken.length).toBeGreaterThan(10)
    const stranger = { authorization: `Bearer hf_${'A'.repeat(65)}` }
    for (const { method, path } of needToken) {
      for (const [headers, code] of [
        [{}, 'token_missing'],
        [stranger, 'token_unknown'],
      ] as const) {
        const answer = await fetch(app.url + path.replace('{id}', 'A'.repeat(22)), {
          method: method.toUpperCase(),
          headers,
        })
        const body = await answer.json()
        expect({ method, path, status: answer.status, body }).toMatchObject({ status: 401, body: { code } })
      }
    }
  })

  test('every status that occurs in these tests is described', () => {
    const met: Record<string, string[]> = {
      'post /v1/sessions': ['201', '400', '401', '403', '409', '413', '415', '422', '503'],
      'get /v1/session': ['200', '400', '401', '503'],
      'delete /v1/session': ['204', '400', '401', '503'],
      'post /v1/session/rotate': ['200', '400', '401', '503'],
      'get /v1/sessions': ['200', '400', '401', '503'],
      'delete /v1/sessions/{id}': ['204', '400', '401', '404', '503'],
    }
    for (const { method, path, operation } of operations().filter((one) => one.path.startsWith('/v1'))) {
      const name = `${method} ${path}`
      const described = Object.keys(operation.responses)
      expect({ name, missing: (met[name] ?? []).filter((status) => !described.includes(status)) }).toEqual({
        name,
        missing: [],
      })
    }
  })

  test('the codes of problems are the existing codes', () => {
    const { schemas } = description.components
    expect(schemas.Problem.properties.code.enum).toEqual([...errorCodes])
  })

  test.each([
    '/docs',
    '/docs/',
    '/docs/js/scalar.js',
  ])('%s knows no method but GET and HEAD, and says so', async (path) => {
    for (const method of ['OPTIONS', 'PATCH', 'POST']) {
      const answer = await fetch(app.url + path, { method, redirect: 'manual' })
      expect(answer.status, method).toBe(405)
      expect(answer.headers.get('allow'), method).toBe('GET, HEAD')
    }
    expect((await fetch(`${app.url}/docs/nothing`, { method: 'PATCH' })).status).toBe(404)
  })

  test('/docs is a page that no other site can embed, and that loads nothing from outside', async () => {
    const page = await fetch(`${app.url}/docs`)
    expect(page.status).toBe(200)
    expect(page.headers.get('content-type')).toMatch(/^text\/html\b/)
    const policy = page.headers.get('content-security-policy') ?? ''
    const directives = new Map(
      policy.split(';').map((directive) => {
        const [name = '', ...sources] = directive.trim().split(/\s+/)
        return [name, sources]
      }),
    )
    expect(directives.get('default-src')).toEqual(["'self'"])
    expect(directives.get('connect-src')).toEqual(["'self'"])
    const harmless = ["'self'", "'none'", "'unsafe-inline'", 'data:', 'blob:']
    for (const [name, sources] of directives)
      expect({ name, outside: sources.filter((source) => !harmless.includes(source)) }).toEqual({
        name,
        outside: [],
      })
    const html = await page.text()
    const assets = [...html.matchAll(/\b(?:src|href)\s*=\s*["']?([^"'\s>]+)/gi)].map(([, url]) => url ?? '')
    expect(assets.length).toBeGreaterThan(0)
    for (const asset of assets) expect(new URL(asset, page.url).origin).toBe(new URL(app.url).origin)
    expect(html).toContain('"url": "/openapi.json"')
    for (const asset of assets) await expectHarmless(new URL(asset, page.url).href)
  })

  /** An existing script, in whose text no element loads anything from another origin. */
  async function expectHarmless(url: string): Promise<void> {
    const response = await fetch(url)
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toMatch(/^(application|text)\/javascript\b/)
    const script = await response.text()
    expect(script.length).toBeGreaterThan(10_000)
    expect(
      [...script.matchAll(/\bsrc\s*=\s*\\?["'](?:https?:)?\/\/[^"']+/gi)].map(([found]) => found),
    ).toEqual([])
    const linked = /<link\b[^>]*\bhref\s*=\s*\\?["'](?:https?:)?\/\/[^"']+/gi
    expect([...script.matchAll(linked)].map(([found]) => found)).toEqual([])
    expect(script).not.toMatch(/@import\s+(?:url\()?\s*\\?["'](?:https?:)?\/\//)
  }
})
