// Sessions with a further condition than their token (a proof of a key, a second factor). Until one is
// implemented, such a session is never remembered by its token, never answered on the fast path, and refused
// by every route.
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { noOrigin } from '../../src/events/events.ts'
import { cacheMiss } from '../../src/session-cache/session-cache.ts'
import { findSession } from '../../src/sessions/session-rows.ts'
import { sessionIdOf } from '../../src/sessions/token.ts'
import { addPerson, person, type RunningApp, startApp } from '../support/app.ts'
import { databases } from '../support/databases.ts'
import { phone } from '../support/in-process-server.ts'

let app: RunningApp
let drop: () => Promise<void>
let token: string
let reached = 0
const count = () => reached++

beforeAll(async () => {
  const fresh = await (databases[0] ?? expect.fail()).create()
  drop = fresh.drop
  app = await startApp(fresh.url)
  await addPerson(app.services)
  subscribe('tracing:fastify.request.handler:start', count)
})

afterAll(async () => {
  unsubscribe('tracing:fastify.request.handler:start', count)
  await app.close()
  await drop()
})

beforeEach(async () => {
  const context = { device: phone, origin: noOrigin }
  const credential = { phoneNumber: person.phone, password: person.password }
  token = (await app.services.signIn.by('password', context, credential)).token
  reached = 0
})

const ask = async (path: string) => {
  const headers = path === '/user' ? { token } : { authorization: `Bearer ${token}` }
  const answer = await fetch(app.url + path, { headers })
  return { status: answer.status, body: await answer.json() }
}

/** From now on the session has a condition, as if a later version had signed it in. */
async function plantCondition(): Promise<() => void> {
  const { cache, db } = app.services
  const { session } = cache
  const stored = (await findSession(db, sessionIdOf(token) ?? '')) ?? expect.fail('there is no session')
  const found = { ...cacheMiss, value: { ...stored, condition: 'made_up' }, isCurrent: true }
  cache.session = () => found
  return () => {
    cache.session = session
  }
}

test.each(['/user', '/v1/session'])('%s: without a condition the fast path answers', async (path) => {
  // A token is remembered once its cache entry was found.
  for (let i = 0; i < 3; i++) expect(await ask(path)).toMatchObject({ status: 200 })
  reached = 0
  for (let i = 0; i < 3; i++) expect(await ask(path)).toMatchObject({ status: 200 })
  expect(reached).toBe(0)
})

test('a session with a condition is live, and not remembered', async () => {
  const unplant = await plantCondition()
  try {
    const { verification } = app.services
    for (let i = 0; i < 3; i++) {
      expect(await verification.verify(token)).toMatchObject({ is: 'live', condition: 'made_up' })
      expect(verification.verifyFromMemory(token)).toBeNull()
    }
  } finally {
    unplant()
  }
})

test('no route accepts its token alone, and none reports it as ended', async () => {
  const unplant = await plantCondition()
  try {
    for (let i = 0; i < 5; i++) {
      expect(await ask('/user')).toEqual({ status: 200, body: { code: 0, message: '需要验证' } })
      expect(await ask('/v1/session')).toMatchObject({ status: 401, body: { code: 'token_missing' } })
      expect(await ask('/v1/account')).toMatchObject({ status: 401, body: { code: 'token_missing' } })
    }
  } finally {
    unplant()
  }
  expect(await ask('/v1/session')).toMatchObject({ status: 200 })
})
