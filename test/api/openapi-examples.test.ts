// /docs shows an example of every body and response of each route, and the schema allows each of them.
import { Errors } from 'typebox/schema'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { noOrigin } from '../../src/events/events.ts'
import { endReasons } from '../../src/sessions/end-reason.ts'
import { admitKnown } from '../../src/sessions/sessions.ts'
import { familyHashOf, isSessionId, sessionIdOf } from '../../src/sessions/token.ts'
import { accountSettings } from '../../src/settings/accounts.ts'
import { addPerson, type RunningApp, startApp } from '../support/app.ts'
import { databases } from '../support/databases.ts'
import { phone } from '../support/in-process-server.ts'

type MediaTypes = Record<
  string,
  { schema: object; examples?: Record<string, { value?: unknown; $ref?: string }> }
>
interface Operation {
  readonly tags?: readonly string[]
  readonly requestBody?: { content: MediaTypes }
  readonly responses: Record<string, { content?: MediaTypes }>
}
interface Description {
  readonly tags: readonly { readonly name: string }[]
  readonly paths: Record<string, Record<string, Operation>>
  readonly components: { examples: Record<string, { value: unknown }> }
}
interface Shown {
  /** `put /v1/account/phone 401` */
  readonly where: string
  readonly schema: object
  /** name and value */
  readonly examples: readonly (readonly [string, unknown])[]
}

let app: RunningApp
let drop: () => Promise<void>
let description: Description

beforeAll(async () => {
  const fresh = await (databases[0] ?? expect.fail()).create()
  drop = fresh.drop
  app = await startApp(fresh.url)
  // test/api/v1.test.ts says the same.
  description = (await (await fetch(`${app.url}/openapi.json`)).json()) as Description
})

afterAll(async () => {
  await app.close()
  await drop()
})

function shown(): Shown[] {
  return Object.entries(description.paths).flatMap(([path, item]) =>
    Object.entries(item).flatMap(([method, { requestBody, responses }]) => [
      ...of(`${method} ${path} body`, requestBody?.content),
      ...Object.entries(responses).flatMap(([status, { content }]) =>
        of(`${method} ${path} ${status}`, content),
      ),
    ]),
  )
}

function of(where: string, content: MediaTypes = {}): Shown[] {
  return Object.values(content).map(({ schema, examples = {} }) => ({
    where,
    schema,
    examples: Object.entries(examples).map(([name, { value, $ref }]) => [
      name,
      $ref === undefined ? value : description.components.examples[$ref.split('/').at(-1) ?? '']?.value,
    ]),
  }))
}

/** The same schema with all additional properties forbidden. */
function strict(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(strict)
  if (schema === null || typeof schema !== 'object') return schema
  const inner = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, strict(value)]))
  return 'properties' in inner ? { additionalProperties: false, ...inner } : inner
}

describe('/openapi.json', () => {
  test('describes each existing group of routes, and no other', () => {
    const operations = Object.values(description.paths).flatMap((item) => Object.values(item))
    const used = new Set(operations.flatMap(({ tags = [] }) => tags))
    expect(new Set(description.tags.map(({ name }) => name))).toEqual(used)
  })

  test('has an example of every body and every response with one', () => {
    expect(shown().length).toBeGreaterThan(80)
    expect(shown().filter(({ examples }) => examples.length === 0)).toEqual([])
  })

  test('has no example that its schema refuses, or with a field of no schema', () => {
    const components = strict(description.components) as object
    for (const { where, schema, examples } of shown()) {
      for (const [name, value] of examples) {
        const whole = { ...(strict(schema) as object), components }
        expect({ where, name, errors: Errors(whole, value)[1] }).toEqual({ where, name, errors: [] })
      }
    }
  })

  test('has, for each code of a problem, an example of that code and status', () => {
    const problems = shown().filter(({ examples }) =>
      examples.some(([, value]) => Object(value).type?.startsWith?.('urn:hufu:')),
    )
    expect(problems.length).toBeGreaterThan(50)
    for (const { where, examples } of problems) {
      for (const [code, value] of examples) {
        expect({ where, value }).toMatchObject({ where, value: { code, status: Number(where.slice(-3)) } })
      }
    }
  })

  test('has tokens, ids and times in the formats of the server', () => {
    const examples = shown().flatMap(({ where, examples }) =>
      examples.map(([, value]) => ({ where, value: Object(value) })),
    )
    const tokens = new Map(examples.map(({ where, value }) => [where, value.token]))
    for (const { where, value } of examples) {
      const { token, session, account } = value
      if (token !== undefined) expect(sessionIdOf(token), where).toMatch(/^[\w-]{22}$/)
      if (token !== undefined && session !== undefined) expect(sessionIdOf(token), where).toBe(session.id)
      for (const { id } of [session, ...(value.sessions ?? [])].filter(Boolean)) {
        expect(isSessionId(id) && Buffer.from(id, 'base64url').toString('base64url'), where).toBe(id)
        expect(Buffer.from(id, 'base64url').readUInt8(6) >> 4, where).toBe(7)
      }
      if (account !== undefined) expect(account.id, where).toMatch(/^[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-/)
    }
    const first = tokens.get('post /v1/sessions 201')
    const next = tokens.get('post /v1/session/rotate 200')
    expect(familyHashOf(next)).toBe(familyHashOf(first))
    expect(next).not.toBe(first)
    const closing = examples.find(({ where }) => where === 'delete /v1/account 202')?.value.closes_at
    const asked = examples.find(({ where }) => where === 'get /v1/session 200')?.value.session.created_at
    const { closingMs } = accountSettings
    expect(Date.parse(closing) - Date.parse(asked)).toBe(closingMs.parse(closingMs.default))
  })

  test('has the classic messages of the default settings, and text where the response is text', async () => {
    await addPerson(app.services, '13800005231')
    const login = async (phone_number: string) => {
      const body = JSON.stringify({ phone_number, password: 'wrong' })
      const headers = { 'content-type': 'application/json' }
      return await (await fetch(`${app.url}/login`, { method: 'POST', headers, body })).json()
    }
    const [{ examples } = expect.fail()] = shown().filter(({ where }) => where === 'post /login 200')
    const values = examples.map(([, value]) => value)
    expect(values).toContainEqual(await login('13800005231'))
    expect(values).toContainEqual(await login('13800005232'))
    const hello = await fetch(app.url)
    expect(Object.keys(description.paths['/']?.get?.responses['200']?.content ?? {})).toEqual([
      hello.headers.get('content-type')?.split(';')[0],
    ])
    expect(description.paths['/v1/sessions']?.delete?.responses).toHaveProperty('422')
  })

  test('has, for each end of a session, the members that the server returns', async () => {
    const { id } = await addPerson(app.services, '13800005233')
    const signIn = () =>
      app.services.sessions.issue({ device: phone, origin: noOrigin, method: 'given', admit: admitKnown(id) })
    const membersOf = (problem: object) =>
      Object.keys(problem)
        .filter((key) => key !== 'detail')
        .toSorted()
    const { sessions, lifecycle } = app.services
    const day = 86_400_000
    for (const reason of endReasons) {
      const issued = (await signIn()) ?? expect.fail()
      const { id: sessionId } = issued.session
      if (reason === 'expired') app.clock.advance(31 * day)
      else if (reason === 'banned') await lifecycle.ban(id, { until: app.clock.now() + day, reason: null })
      else {
        const { token } = issued
        const by = reason === 'token_reused' ? null : { accountId: id, sessionId, token }
        await sessions.end({ id: sessionId, accountId: id, reason, by, origin: noOrigin })
      }
      const headers = { authorization: `Bearer ${issued.token}` }
      // A refused token gets a problem.
      const answer = (await (await fetch(`${app.url}/v1/session`, { headers })).json()) as { code: string }
      const example = description.components.examples[`session_${reason}`]?.value
      expect({ code: answer.code, members: membersOf(answer) }).toEqual({
        code: `session_${reason}`,
        members: membersOf(Object(example)),
      })
      if (reason === 'banned') await lifecycle.unban(id)
    }
  })

  test('has bodies that the server accepts: none is refused for its shape', async () => {
    const bodies = shown().filter(({ where }) => where.endsWith(' body'))
    expect(bodies.length).toBeGreaterThan(6)
    const { id } = await addPerson(app.services)
    const issued = await app.services.sessions.issue({
      device: phone,
      origin: noOrigin,
      method: 'given',
      admit: admitKnown(id),
    })
    const authorization = `Bearer ${issued?.token}`
    for (const { where, examples } of bodies) {
      const [method = '', path = ''] = where.split(' ')
      for (const [name, value] of examples) {
        const answer = await fetch(app.url + path, {
          method: method.toUpperCase(),
          headers: { 'content-type': 'application/json', authorization },
          body: JSON.stringify(value),
        })
        // No code or password of an example was ever issued, so 401 with such a code is the furthest result.
        const { code } = answer.status >= 400 ? ((await answer.json()) as { code: string }) : { code: 'done' }
        expect(['done', 'code_wrong', 'credentials_wrong', 0], `${where} ${name}`).toContain(code)
      }
    }
  })
})
