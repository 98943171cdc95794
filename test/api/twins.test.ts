// A client that sends GET and POST only can use all of /v1: each other route has a POST route that does the
// same.
import fastify from 'fastify'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { addTwins } from '../../src/http/v1/twins.ts'
import { person, type RunningApp, startApp } from '../support/app.ts'
import { databases } from '../support/databases.ts'

const phone = '13800005223'
const code = '493817'
const environment = {
  HUFU_TEST_NUMBERS: `+86${phone}=${code},+8613900005224=${code}`,
  HUFU_TEST_NUMBERS_UNTIL: '2026-12-01',
}

interface Operation {
  readonly operationId: string
  readonly summary: string
  readonly description?: string
  readonly [part: string]: unknown
}

let app: RunningApp
let drop: () => Promise<void>
let paths: Record<string, Record<string, Operation>>
let token: string

interface Answer {
  readonly status: number
  readonly body: Record<string, unknown>
}

async function call(route: string, body?: object, bearer: string | null = token): Promise<Answer> {
  const [method = '', path = ''] = route.split(' ')
  const answer = await fetch(app.url + path, {
    method,
    headers: {
      ...(bearer !== null && { authorization: `Bearer ${bearer}` }),
      ...(body && { 'content-type': 'application/json' }),
    },
    ...(body && { body: JSON.stringify(body) }),
  })
  const text = await answer.text()
  return { status: answer.status, body: text === '' ? {} : JSON.parse(text) }
}

async function signIn(platform: string): Promise<string> {
  await call('POST /v1/codes', { phone_number: phone, purpose: 'sign_in' }, null)
  const body = { phone_number: phone, code, device: { platform } }
  const answer = await call('POST /v1/sessions', body, null)
  expect(answer.status).toBe(201)
  return String(answer.body.token)
}

const codeFor = (purpose: string, phone_number = phone) =>
  call('POST /v1/codes', { phone_number, purpose }, null)
const statusOf = async (bearer: string) => (await call('GET /v1/session', undefined, bearer)).body.code ?? 200

beforeAll(async () => {
  const fresh = await (databases[0] ?? expect.fail()).create()
  drop = fresh.drop
  app = await startApp(fresh.url, { environment })
  paths = (await call('GET /openapi.json', undefined, null)).body.paths as typeof paths
})
afterAll(async () => {
  await app?.close()
  await drop?.()
})
beforeEach(async () => {
  app.clock.advance(120_000)
  token = await signIn('ios')
})

test('every route with a method other than GET and POST has a documented POST twin', () => {
  const routes = Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({
      route: `${method.toUpperCase()} ${path}`,
      operation,
    })),
  )
  const others = routes.filter(({ route }) => !/^(GET|POST) /.test(route))
  const pairs = others.map(({ route, operation: { operationId, description, ...rest } }) => {
    const twin = routes.find(({ operation }) => operation.operationId === `${operationId}ByPost`)
    const {
      operationId: _,
      description: twinDescription,
      ...twinRest
    } = twin?.operation ?? expect.fail(route)
    expect({ route, ...twinRest }).toEqual({ route, ...rest })
    expect(twinDescription).toContain(`The same as \`${route}\``)
    if (description !== undefined) expect(twinDescription).toContain(description)
    return `${route} = ${twin?.route}`
  })
  expect(pairs.toSorted()).toEqual([
    'DELETE /v1/account = POST /v1/account/close',
    'DELETE /v1/session = POST /v1/session/end',
    'DELETE /v1/sessions = POST /v1/sessions/end',
    'DELETE /v1/sessions/{id} = POST /v1/sessions/{id}/end',
    'PATCH /v1/account = POST /v1/account/update',
    'PUT /v1/account/password = POST /v1/account/password',
    'PUT /v1/account/phone = POST /v1/account/phone',
  ])
  expect(routes.filter(({ operation }) => operation.operationId.endsWith('ByPost'))).toHaveLength(
    pairs.length,
  )
})

test('a server with a route whose method implies no POST route does not start', async () => {
  const server = fastify()
  addTwins(server)
  server.addHttpMethod('SEARCH')
  expect(() => server.route({ method: 'SEARCH', url: '/v1/people', handler: async () => '' })).toThrow(
    'SEARCH /v1/people has no POST route',
  )
  const both = { method: ['PUT', 'PATCH'], url: '/v1/people', handler: async () => '' } as const
  expect(() => server.route({ ...both, method: [...both.method] })).toThrow('has no POST route')
  await server.close()
})

describe('by POST', () => {
  test('a session signs out', async () => {
    expect(await call('POST /v1/session/end')).toEqual({ status: 204, body: {} })
    expect(await statusOf(token)).toBe('session_signed_out')
    expect(await call('POST /v1/session/end')).toMatchObject({
      status: 401,
      body: { code: 'session_signed_out' },
    })
  })

  test('a device is signed out, and a session of another account is not found', async () => {
    const other = await signIn('web')
    const { sessions } = (await call('GET /v1/sessions')).body as {
      sessions: { id: string; current: boolean }[]
    }
    const id = sessions.find(({ current }) => !current)?.id ?? expect.fail('one session only')
    expect(await call(`POST /v1/sessions/${id}/end`)).toEqual({ status: 204, body: {} })
    expect([await statusOf(token), await statusOf(other)]).toEqual([200, 'session_kicked'])
    expect(await call('POST /v1/sessions/end/end')).toMatchObject({
      status: 404,
      body: { code: 'session_not_found' },
    })
  })

  test('the other devices are signed out, and this one too on request', async () => {
    const other = await signIn('web')
    expect(await call('POST /v1/sessions/end')).toEqual({ status: 204, body: {} })
    expect([await statusOf(token), await statusOf(other)]).toEqual([200, 'session_kicked'])
    expect(await call('POST /v1/sessions/end?all=yes')).toMatchObject({
      status: 422,
      body: { fields: [{ pointer: '/all', problem: 'is_not_one_of_the_allowed' }] },
    })
    expect(await statusOf(token)).toBe(200)
    expect((await call('POST /v1/sessions/end?all=true')).status).toBe(204)
    expect(await statusOf(token)).toBe('session_kicked')
  })

  test('a profile, a password and a number are changed', async () => {
    expect(await call('POST /v1/account/update', { nickname: '小虎' })).toMatchObject({
      status: 200,
      body: { nickname: '小虎', has_password: false },
    })
    await codeFor('confirm')
    const password = { new_password: 'correct horse battery', code }
    expect((await call('POST /v1/account/password', password)).status).toBe(204)
    await codeFor('change_phone', '13900005224')
    const confirmation = { password: password.new_password }
    const moved = await call('POST /v1/account/phone', { phone_number: '13900005224', code, confirmation })
    expect(moved).toMatchObject({ status: 200, body: { phone_number: '+8613900005224', has_password: true } })
  })

  test('an account is closed', async () => {
    await codeFor('close_account')
    expect(await call('POST /v1/account/close', { code })).toMatchObject({
      status: 202,
      body: { closes_at: expect.any(String) },
    })
    expect(await statusOf(token)).toBe('session_account_closed')
    expect(await signIn('ios')).not.toBe(token)
  })

  test.each([
    ['POST /v1/session/end', 401, 'token_missing'],
    ['POST /v1/sessions/x/end', 401, 'token_missing'],
    ['POST /v1/account/close', 401, 'token_missing'],
  ])('%s needs a token', async (route, status, code) => {
    expect(await call(route, {}, null)).toMatchObject({ status, body: { code } })
  })

  test.each([
    ['POST /v1/account/close', { code: '1' }, '/code'],
    ['POST /v1/account/update', { is_admin: true }, '/is_admin'],
    ['POST /v1/account/password', {}, '/new_password'],
  ])('%s is as strict as the route that it repeats', async (route, body, pointer) => {
    expect(await call(route, body)).toMatchObject({
      status: 422,
      body: { code: 'invalid_request', fields: [{ pointer }] },
    })
  })

  test('wrong passwords count in the same limits as those by the other method', async () => {
    const fresh = await (databases[0] ?? expect.fail()).create()
    const limited = await startApp(fresh.url, { environment: { ...environment, HUFU_LIMITS: 'on' } })
    const before = app
    app = limited
    try {
      const mine = await signIn('ios')
      await codeFor('confirm')
      limited.clock.advance(61_000)
      await codeFor('confirm')
      const change = (method: string, current_password: string) =>
        call(
          `${method} /v1/account/password`,
          { new_password: 'correct horse battery', current_password },
          mine,
        )
      const codes = new Set<unknown>()
      for (let i = 0; i < 200 && !codes.has('rate_limited'); i++)
        codes.add((await change(i % 2 === 0 ? 'PUT' : 'POST', 'wrong')).body.code)
      expect(codes).toEqual(new Set(['credentials_wrong', 'rate_limited']))
      for (const method of ['PUT', 'POST'])
        expect((await change(method, person.password)).body.code).toBe('rate_limited')
    } finally {
      app = before
      await limited.close()
      await fresh.drop()
    }
  })
})

describe('a route that takes no body', () => {
  test.each([
    'POST /v1/session/rotate',
    'POST /v1/session/end',
    'POST /v1/sessions/end',
    'POST /v1/sessions/x/end',
    'DELETE /v1/session',
    'DELETE /v1/sessions',
    'DELETE /v1/sessions/x',
  ])('%s refuses a member of one, because it would be dropped without a word', async (route) => {
    expect(await call(route, { all: true })).toMatchObject({
      status: 422,
      body: { code: 'invalid_request', fields: [{ pointer: '/all', problem: 'is_unknown' }] },
    })
    expect(await statusOf(token)).toBe(200)
  })

  test.each([
    'application/x-www-form-urlencoded',
    'text/plain;charset=UTF-8',
    'multipart/form-data; boundary=x',
  ])('takes an empty one of type %s, which some platforms name by themselves, and refuses any other', async (type) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': type }
    const post = (body: string) => fetch(`${app.url}/v1/session/end`, { method: 'POST', headers, body })
    expect((await post('all=true')).status).toBe(415)
    expect(await statusOf(token)).toBe(200)
    expect((await post('')).status).toBe(204)
    expect(await statusOf(token)).toBe('session_signed_out')
  })

  test('accepts an empty body, which some platforms send', async () => {
    expect((await call('POST /v1/sessions/end', {})).status).toBe(204)
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const answer = await fetch(`${app.url}/v1/session/end`, { method: 'POST', headers, body: '' })
    expect(answer.status).toBe(204)
  })
})
