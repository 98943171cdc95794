// A sign-in method outside of the source: its line in the list of methods, and its field in the list of
// fields, are all that the rest of the program needs.
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type * as Methods from '../../src/authentication/methods/methods.ts'
import type * as Fields from '../../src/http/v1/sign-in-fields.ts'
import { addPerson, person, type RunningApp, startApp } from '../support/app.ts'
import { databases, type FreshDatabase } from '../support/databases.ts'
import { ask } from '../support/v1-calls.ts'

vi.mock('../../src/authentication/methods/methods.ts', async (load) => {
  const real = await load<typeof Methods>()
  const { riddleCheck, riddleMethod } = await import('../support/riddle-method.ts')
  return {
    ...real,
    signInChecks: [...real.signInChecks, riddleCheck],
    signInMethods: (parts: Methods.SignInMethodParts) => ({
      ...real.signInMethods(parts),
      riddle: riddleMethod,
    }),
  }
})

vi.mock('../../src/http/v1/sign-in-fields.ts', async (load) => {
  const real = await load<typeof Fields>()
  const { Type } = await import('typebox')
  return {
    ...real,
    signInFields: { ...real.signInFields, riddle: Type.Optional(Type.String()) },
    methodNames: [...real.methodNames, 'riddle'],
    readCredential: {
      ...real.readCredential,
      riddle: (riddle: string, fields: { phone_number: string }) => ({
        phoneNumber: fields.phone_number,
        riddle,
      }),
    },
  }
})

let fresh: FreshDatabase
let app: RunningApp

beforeAll(async () => {
  fresh = await (databases[0] ?? expect.fail()).create()
  app = await startApp(fresh.url, { environment: { HUFU_LIMITS: 'on' } })
  await addPerson(app.services)
})
afterAll(async () => {
  await app?.close()
  await fresh?.drop()
})

const phone_number = person.phone
const signIn = async (credential: object) =>
  await ask(app, 'POST', '/v1/sessions', { body: { phone_number, ...credential } })

test('it signs a person in, and the event names it', async () => {
  const { status, body } = await signIn({ riddle: 'an egg' })
  expect(status).toBe(201)
  expect(await ask(app, 'GET', '/v1/session', { token: String(body.token) })).toMatchObject({ status: 200 })
  const events = await app.services.db.selectFrom('hufu_events').select(['kind', 'detail']).execute()
  const signedIn = events.find(({ kind }) => kind === 'signed_in')
  expect(JSON.parse(String(signedIn?.detail))).toMatchObject({ method: 'riddle' })
})

test('one request has one method', async () => {
  const both = await signIn({ riddle: 'an egg', password: person.password })
  expect(both).toMatchObject({ status: 422, body: { fields: [{ pointer: '/riddle' }] } })
  expect(await signIn({})).toMatchObject({ status: 422, body: { fields: [{ pointer: '/password' }] } })
})

test('its guesses have limits of their own', async () => {
  for (let i = 0; i < 3; i++) expect((await signIn({ riddle: 'a stone' })).status).toBe(401)
  expect(await signIn({ riddle: 'an egg' })).toMatchObject({ status: 429, body: { code: 'rate_limited' } })
  expect((await signIn({ password: person.password })).status).toBe(201)
})
