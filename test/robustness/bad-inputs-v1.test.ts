// Every field of every body of /v1, made invalid in every way, generated from /openapi.json. The answer is
// never 5xx, and nothing is lost.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { noOrigin } from '../../src/events/events.ts'
import { admitKnown } from '../../src/sessions/sessions.ts'
import { addPerson, type RunningApp, startApp } from '../support/app.ts'
import { databases } from '../support/databases.ts'

interface Schema {
  readonly properties?: Record<string, Schema>
  readonly type?: string
}

interface Operation {
  readonly requestBody?: { readonly content: Record<string, { readonly schema: { readonly $ref: string } }> }
}

/** A valid body for each route; the codes in it are wrong, so it has no effect. */
const good: Record<string, Record<string, unknown>> = {
  'post /v1/codes': { phone_number: '13800005223', purpose: 'confirm', device: { platform: 'ios' } },
  'post /v1/sessions': { phone_number: '13800005223', code: '000000', nickname: '小明', device: { id: 'a' } },
  'patch /v1/account': { nickname: '小明', avatar_url: 'https://example.com/a', locale: 'zh-CN' },
  'put /v1/account/password': { new_password: 'correct horse battery', code: '000000' },
  'post /v1/password-resets': {
    phone_number: '13800005223',
    code: '000000',
    new_password: 'correct horse battery',
  },
  'put /v1/account/phone': {
    phone_number: '13900005224',
    code: '000000',
    confirmation: { code: '000000' },
  },
  'delete /v1/account': { code: '000000' },
}
for (const [route, twin] of [
  ['patch /v1/account', 'post /v1/account/update'],
  ['put /v1/account/password', 'post /v1/account/password'],
  ['put /v1/account/phone', 'post /v1/account/phone'],
  ['delete /v1/account', 'post /v1/account/close'],
] as const)
  good[twin] = good[route] ?? {}

/** JSON texts that no field accepts, or that no field may fail on. */
const wrong: Record<string, string> = {
  null: 'null',
  number: '1e400',
  minus: '-1',
  true: 'true',
  list: '["13800005223"]',
  object: '{"$ne":null}',
  empty: '""',
  spaces: '"   "',
  'control characters': '"\\u0000\\u001b[2J\\r\\nSet-Cookie: a=b"',
  'half a character': '"\\ud800"',
  'turned text': '"\\u202e123456\\u2066"',
  'other digits': '"１２３４５６"',
  sql: `"' OR '1'='1' --"`,
  'redis and globs': '"hufu:*\\r\\nFLUSHALL\\r\\n"',
  'a path': '"../../../etc/passwd"',
  long: JSON.stringify('九'.repeat(5000)),
}

let app: RunningApp
let token: string
let drop: () => Promise<void>
let cases: { route: string; field: string; name: string; body: string }[] = []

beforeAll(async () => {
  const [sqlite = expect.fail()] = databases
  const fresh = await sqlite.create()
  drop = fresh.drop
  app = await startApp(fresh.url)
  const { id } = await addPerson(app.services)
  const device = { platform: 'ios', deviceId: null, deviceName: null, appVersion: null, ip: null } as const
  const issued = await app.services.sessions.issue({
    device,
    origin: noOrigin,
    method: 'given',
    admit: admitKnown(id),
  })
  token = issued?.token ?? expect.fail('no session')
  const { paths, components } = (await (await fetch(`${app.url}/openapi.json`)).json()) as {
    paths: Record<string, Record<string, Operation>>
    components: { schemas: Record<string, Schema> }
  }
  cases = Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).flatMap(([method, { requestBody }]) => {
      const ref = requestBody?.content['application/json']?.schema.$ref
      if (!path.startsWith('/v1') || ref === undefined) return []
      const schema = components.schemas[ref.split('/').at(-1) ?? ''] ?? expect.fail(ref)
      return invalidBodies(`${method} ${path}`, Object.keys(schema.properties ?? {}))
    }),
  )
})

afterAll(async () => {
  await app?.close()
  await drop?.()
})

/** The valid body of a route with one field at a time missing, invalid, duplicated, or added. */
function invalidBodies(route: string, fields: readonly string[]) {
  const base = good[route] ?? expect.fail(`${route} has no good body here`)
  const text = (replaced: string, json: string | null) => {
    const rest = Object.entries(base).filter(([name]) => name !== replaced)
    const pairs = rest.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`)
    return `{${[...pairs, ...(json === null ? [] : [`${JSON.stringify(replaced)}:${json}`])].join(',')}}`
  }
  const each = fields.flatMap((field) => [
    { route, field, name: 'missing', body: text(field, null) },
    { route, field, name: 'twice', body: text(field, `"a",${JSON.stringify(field)}:"b"`) },
    ...Object.entries(wrong).map(([name, json]) => ({ route, field, name, body: text(field, json) })),
  ])
  const whole = ['', 'null', '[]', '"x"', '1', '{', '{}', '{"__proto__":{}}', '[[[[', '\uFEFF{}']
  return [
    ...each,
    { route, field: 'is_admin', name: 'unknown', body: text('is_admin', 'true') },
    ...whole.map((body) => ({ route, field: '', name: body, body })),
  ]
}

test('every invalid body of the API is refused with its error, or harmless', async () => {
  expect(new Set(cases.map(({ route }) => route))).toEqual(new Set(Object.keys(good)))
  expect(cases.length).toBeGreaterThan(400)
  for (const { route, field, name, body } of cases) {
    const [method = '', path = ''] = route.split(' ')
    const answer = await fetch(app.url + path, {
      method: method.toUpperCase(),
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body,
    })
    const text = await answer.text()
    const where = `${route} ${field} ${name}: ${answer.status} ${text}`
    expect(answer.status, where).toBeLessThan(500)
    expect(answer.headers.get('set-cookie'), where).toBeNull()
    if (answer.status < 400) continue
    expect(JSON.parse(text), where).toMatchObject({ status: answer.status, code: expect.any(String) })
    expect(text, where).not.toMatch(/SQLITE|at .*\.ts:\d|node_modules/)
  }
  // The account is still signed in, with its password and number.
  const account = await fetch(`${app.url}/v1/account`, { headers: { authorization: `Bearer ${token}` } })
  expect(await account.json()).toMatchObject({ phone_number: '+8612345678901', has_password: true })
  expect(app.lines.filter((line) => line.includes('"level":50'))).toEqual([])
})
