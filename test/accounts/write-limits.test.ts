// Each write on behalf of a session has a limit, except signing out; a request that changes nothing writes
// nothing.
import { afterEach, expect, test } from 'vitest'
import { noOrigin } from '../../src/events/events.ts'
import { admitKnown } from '../../src/sessions/sessions.ts'
import { addPerson, person, type RunningApp, startApp } from '../support/app.ts'
import { databases } from '../support/databases.ts'
import { type Answer, ask, clientOf, type Json } from '../support/v1-calls.ts'

const [sqlite = expect.fail()] = databases
const closers: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function start(environment: Record<string, string> = {}): Promise<RunningApp> {
  const { url, drop } = await sqlite.create()
  closers.push(drop)
  const app = await startApp(url, {
    environment: { HUFU_LIMITS: 'on', HUFU_SESSION_MAX: '0', ...environment },
  })
  closers.push(() => app.close())
  await addPerson(app.services)
  return app
}

async function signIn(app: RunningApp): Promise<{ token: string; id: string }> {
  const { body } = await clientOf(app).signIn({ phoneNumber: person.phone, password: person.password })
  // The response to a sign-in: test/api/v1.test.ts.
  return { token: String(body.token), id: String((body.session as Json).id) }
}

async function listEventsOf(app: RunningApp): Promise<string[]> {
  const account = await app.services.accounts.get(person.phone)
  const kinds: string[] = []
  for await (const { kind } of app.services.accounts.listEvents(account)) kinds.push(kind)
  return kinds
}

/** Writes until one is refused with the time to wait; returns the number of writes before. */
async function writesUntilRefused(write: (i: number) => Promise<Answer>): Promise<number> {
  for (let i = 0; i < 1_100; i++) {
    const { status, body, headers } = await write(i)
    if (status < 300) continue
    expect({ status, code: body.code }).toEqual({ status: 429, code: 'rate_limited' })
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
    return i
  }
  return Number.POSITIVE_INFINITY
}

test('a session changes its profile thirty times in ten minutes, and all sessions of an account ninety times', async () => {
  const app = await start()
  const sessions = [await signIn(app), await signIn(app), await signIn(app), await signIn(app)]
  const done: number[] = []
  for (const { token, id } of sessions)
    done.push(await writesUntilRefused((i) => clientOf(app).updateAccount(token, { nickname: `${id} ${i}` })))
  expect(done).toEqual([30, 30, 30, 0])
  expect((await listEventsOf(app)).filter((kind) => kind === 'account_updated')).toHaveLength(90)
  app.clock.advance(610_000)
  const again = await clientOf(app).updateAccount(sessions[3]?.token ?? expect.fail(), { nickname: 'n99' })
  expect(again).toMatchObject({ status: 200, body: { nickname: 'n99' } })
})

test('a profile that is already set is not written, has no event, and is not counted', async () => {
  const app = await start()
  const { token } = await signIn(app)
  const profile = { nickname: '小明', locale: 'zh-CN', avatarUrl: null }
  expect(await clientOf(app).updateAccount(token, profile)).toMatchObject({ status: 200 })
  const before = await written(app)
  for (let i = 0; i < 250; i++)
    expect(await clientOf(app).updateAccount(token, profile)).toMatchObject({
      status: 200,
      body: { nickname: '小明', locale: 'zh-CN', avatar_url: null },
    })
  expect(await written(app)).toEqual(before)
  const change = (i: number) => clientOf(app).updateAccount(token, { nickname: `n${i}` })
  expect(await writesUntilRefused(change)).toBe(29)
})

/** All rows that a profile change could affect. */
async function written({ byHand, services }: RunningApp) {
  const { id } = await services.accounts.get(person.phone)
  return {
    events: (await byHand.selectFrom('hufu_events').select('id').execute()).length,
    changes: (await byHand.selectFrom('hufu_account_changes').select('position').execute()).length,
    account: await byHand.selectFrom('hufu_accounts').selectAll().where('id', '=', id).execute(),
  }
}

test('a session exports five times an hour, and all sessions of an account fifteen times, because an export writes an event', async () => {
  const app = await start()
  const done: number[] = []
  for (const { token } of [await signIn(app), await signIn(app), await signIn(app), await signIn(app)])
    done.push(await writesUntilRefused(() => clientOf(app).exportAccount(token)))
  expect(done).toEqual([5, 5, 5, 0])
})

test('a session gets thirty new tokens in ten minutes; another session of the account has its own limit', async () => {
  const app = await start()
  const [mine, other] = [await signIn(app), await signIn(app)]
  const rotate = (holder: { token: string }) => async () => {
    const answer = await clientOf(app).rotate(holder.token)
    if (answer.status === 200) holder.token = String(answer.body.token)
    return answer
  }
  expect(await writesUntilRefused(rotate(mine))).toBe(30)
  expect(await rotate(other)()).toMatchObject({ status: 200 })
})

test('a thief who ends sessions up to the limit does not keep the owner from ending theirs', async () => {
  const app = await start()
  const [owner, thief] = [await signIn(app), await signIn(app)]
  const ended = await signIn(app)
  const end = () => clientOf(app).endDevice(thief.token, ended.id)
  expect(await writesUntilRefused(end)).toBe(100)
  expect(await clientOf(app).endOtherDevices(thief.token)).toMatchObject({ status: 429 })
  expect(await clientOf(app).endDevice(owner.token, thief.id)).toMatchObject({ status: 204 })
  expect(await clientOf(app).me(thief.token)).toMatchObject({ status: 401 })
})

test('a thief who uses up every limit of a stolen token does not affect the owner', async () => {
  const app = await start()
  const [owner, thief, other] = [await signIn(app), await signIn(app), await signIn(app)]
  const change = (token: string) => (i: number) => clientOf(app).updateAccount(token, { nickname: `${i}` })
  const passwordOf = (current: string) => ({
    currentPassword: current,
    newPassword: 'two turtles, one hat',
  })
  const setPassword = (token: string, current: string) =>
    clientOf(app).setPassword(token, passwordOf(current))
  await writesUntilRefused(change(thief.token))
  await writesUntilRefused(() => clientOf(app).exportAccount(thief.token))
  await writesUntilRefused(() => clientOf(app).endDevice(thief.token, other.id))
  const wrong = Array.from({ length: 40 }, () => setPassword(thief.token, 'not the password'))
  expect((await Promise.all(wrong)).map(({ status }) => status)).toContain(429)
  await writesUntilRefused(async () => {
    const answer = await clientOf(app).rotate(thief.token)
    if (answer.status === 200) thief.token = String(answer.body.token)
    return answer
  })
  const { token } = owner
  expect(await change(token)(99)).toMatchObject({ status: 200 })
  expect(await clientOf(app).exportAccount(token)).toMatchObject({ status: 200 })
  expect(await clientOf(app).rotate(token)).toMatchObject({ status: 200 })
  expect(await clientOf(app).endDevice(token, other.id)).toMatchObject({ status: 204 })
  expect(await clientOf(app).closeAccount(token, '000000')).toMatchObject({
    status: 401,
    body: { code: 'code_wrong' },
  })
  expect(await setPassword(token, person.password)).toMatchObject({ status: 204 })
  expect(await clientOf(app).me(thief.token)).toMatchObject({ status: 401 })
})

test.each([
  '/v1/session',
  '/v1/sessions/{id}',
  '/v1/sessions?all=true',
])('DELETE %s signs out a session that has used up every limit', async (path) => {
  const app = await start()
  const [session, other] = [await signIn(app), await signIn(app)]
  await writesUntilRefused(() => clientOf(app).endDevice(session.token, other.id))
  const own = path.replace('{id}', session.id)
  expect(await ask(app, 'DELETE', own, { token: session.token })).toMatchObject({ status: 204 })
  expect(await clientOf(app).me(session.token)).toMatchObject({ status: 401 })
})

test('every write of a signed-in client documents 429, except signing out', async () => {
  const app = await start()
  // test/api/openapi-examples.test.ts checks that.
  const { paths } = (await (await fetch(`${app.url}/openapi.json`)).json()) as {
    paths: Record<string, Record<string, { security?: { token?: [] }[]; responses: Json }>>
  }
  const closed = Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item)
      .filter(([, { security }]) => security?.some(({ token }) => token))
      .map(([method, { responses }]) => ({ what: `${method} ${path}`, isLimited: '429' in responses })),
  )
  const unlimited = closed.filter(({ isLimited }) => !isLimited).map(({ what }) => what)
  expect(unlimited.filter((what) => !what.startsWith('get '))).toEqual([
    'delete /v1/session',
    'post /v1/session/end',
  ])
  expect(closed.map(({ what }) => what)).toContain('get /v1/account/export')
  expect(unlimited).not.toContain('get /v1/account/export')
})

test('with the counters unreachable, devices are removed and tokens rotated', async () => {
  const app = await start({ HUFU_REDIS_URL: 'redis://127.0.0.1:1' })
  const issue = async () => {
    const { id } = await app.services.accounts.get(person.phone)
    const device = { platform: 'ios', deviceId: null, deviceName: null, appVersion: null, ip: null } as const
    const issued = await app.services.sessions.issue({
      device,
      origin: noOrigin,
      method: 'given',
      admit: admitKnown(id),
    })
    return issued ?? expect.fail()
  }
  const [mine, other] = [await issue(), await issue()]
  expect(await clientOf(app).endDevice(mine.token, other.session.id)).toMatchObject({
    status: 204,
  })
  expect(await clientOf(app).rotate(mine.token)).toMatchObject({ status: 200 })
})
