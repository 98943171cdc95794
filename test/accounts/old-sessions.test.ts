// An expired session is written as ended an hour later, and an ended one is deleted after
// HUFU_ENDED_SESSIONS_DAYS. Until then its token is answered as at its end.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { noOrigin } from '../../src/events/events.ts'
import { findValidProof } from '../../src/sessions/device-proofs.ts'
import { endAtOnce } from '../../src/sessions/pending-ends.ts'
import { admitKnown } from '../../src/sessions/sessions.ts'
import { addPerson, person, type RunningApp, startApp } from '../support/app.ts'
import { type FreshDatabase, redisUrl, stores } from '../support/databases.ts'
import { phone } from '../support/in-process-server.ts'
import { ask, clientOf } from '../support/v1-calls.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs
const lifeMs = 30 * dayMs

describe.each(stores)('old sessions on $name', (store) => {
  const usable = test.skipIf(store.skipped !== null)
  let fresh: FreshDatabase
  let app: RunningApp
  let accountId: string

  beforeEach(async () => {
    if (store.skipped !== null) return
    fresh = await store.database.create()
    await start()
    accountId = (await addPerson(app.services)).id
  })
  afterEach(async () => {
    await app?.close()
    await fresh?.drop()
  })

  async function start(environment: Record<string, string> = {}): Promise<void> {
    const redis = store.redis && { HUFU_REDIS_URL: redisUrl() ?? '' }
    app = await startApp(fresh.url, { environment: { HUFU_SESSION_MAX: '0', ...redis, ...environment } })
  }

  async function signIn(device = phone): Promise<{ token: string; id: string }> {
    const { sessions } = app.services
    const request = { device, origin: noOrigin, method: 'given', admit: admitKnown(accountId) } as const
    const { token, session } = (await sessions.issue(request)) ?? expect.fail('no session')
    return { token, id: session.id }
  }

  const purge = async () =>
    (await app.services.purgeExpired({ isClockRight: true })).find(({ step }) => step === 'sessions')?.removed

  const rowOf = async (id: string) =>
    await app.byHand
      .selectFrom('hufu_sessions')
      .select(['expires_at', 'ended_at', 'end_reason'])
      .where('id', '=', id)
      .executeTakeFirst()

  const answerTo = async (token: string) => {
    const { status, body } = await ask(app, 'GET', '/v1/session', { token })
    return { status, code: body.code, ended_at: body.ended_at }
  }

  usable(
    'an expired session is written as ended after an hour, and its token is answered as before',
    async () => {
      const { token, id } = await signIn()
      const expiresAt = app.clock.now() + lifeMs
      app.clock.advance(lifeMs + hourMs - 1)
      const expired = { status: 401, code: 'session_expired', ended_at: new Date(expiresAt).toISOString() }
      expect(await answerTo(token)).toEqual(expired)
      await purge()
      // A use before the expiry may not have been written yet.
      expect(await rowOf(id)).toMatchObject({ ended_at: null, end_reason: null })
      app.clock.advance(2)
      await purge()
      expect(await rowOf(id)).toEqual({ expires_at: expiresAt, ended_at: expiresAt, end_reason: 'expired' })
      expect(await answerTo(token)).toEqual(expired)
      const { body } = await clientOf(app).signIn({ phoneNumber: person.phone, password: person.password })
      const exported = await ask(app, 'GET', '/v1/account/export', { token: String(body.token) })
      expect(exported.body.sessions).toContainEqual(
        expect.objectContaining({ id, end_reason: 'expired', ended_at: expired.ended_at }),
      )
    },
  )

  usable('a session that was used in time does not end, and one without an expiry never does', async () => {
    const { token, id } = await signIn()
    const { id: everlasting } = await signIn()
    await app.byHand
      .updateTable('hufu_sessions')
      .set({ expires_at: null })
      .where('id', '=', everlasting)
      .execute()
    app.clock.advance(lifeMs - 1)
    expect((await answerTo(token)).status).toBe(200)
    app.clock.advance(2 * hourMs)
    await purge()
    expect(await rowOf(id)).toMatchObject({ ended_at: null })
    expect((await answerTo(token)).status).toBe(200)
    app.clock.advance(10 * 365 * dayMs)
    await purge()
    expect(await rowOf(everlasting)).toMatchObject({ ended_at: null })
  })

  usable(
    'an ended session is deleted after HUFU_ENDED_SESSIONS_DAYS, and then its token is unknown',
    async () => {
      const live = await signIn()
      const { token, id } = await signIn()
      await clientOf(app).endDevice(live.token, id)
      const endedAt = new Date(app.clock.now()).toISOString()
      // The first session stays in use.
      for (let day = 0; day < 180; day += 20) {
        app.clock.advance(20 * dayMs)
        expect(await answerTo(live.token)).toMatchObject({ status: 200 })
        // Writes the use.
        await app.services.verification.close()
        expect(await purge()).toBe(0)
      }
      expect(await answerTo(token)).toEqual({ status: 401, code: 'session_kicked', ended_at: endedAt })
      app.clock.advance(1)
      expect(await purge()).toBe(1)
      expect(await rowOf(id)).toBeUndefined()
      // Cache entries of an ended session are kept for ten minutes.
      if (store.redis || store.database.name === 'sqlite') {
        await app.close()
        await start()
        app.clock.advance(180 * dayMs + 1)
      }
      expect((await answerTo(live.token)).status).toBe(200)
      if (!store.redis) expect((await answerTo(token)).code).toBe('token_unknown')
      expect((await ask(app, 'DELETE', `/v1/sessions/${id}`, { token: live.token })).body.code).toBe(
        'session_not_found',
      )
    },
  )

  usable('an expired session is deleted this long after its expiry; with 0 none is', async () => {
    const { id } = await signIn()
    app.clock.advance(lifeMs + 180 * dayMs + hourMs)
    await app.close()
    await start({ HUFU_ENDED_SESSIONS_DAYS: '0' })
    app.clock.advance(lifeMs + 180 * dayMs + hourMs)
    expect(await purge()).toBe(0)
    expect(await rowOf(id)).toMatchObject({ end_reason: 'expired' })
    await app.close()
    await start()
    app.clock.advance(lifeMs + 180 * dayMs + hourMs)
    expect(await purge()).toBe(1)
    expect(await rowOf(id)).toBeUndefined()
  })

  usable('what a pending end ends gets the reason of that end, however late it is written', async () => {
    const { id } = await signIn()
    const { db, clock } = app.services
    await db
      .transaction()
      .execute((tx) =>
        endAtOnce(tx, accountId, { reason: 'kicked', at: clock.now(), by: null, origin: noOrigin, kept: [] }),
      )
    app.clock.advance(lifeMs + 2 * hourMs)
    // As in a process that cannot write it.
    const { pendingEnds } = app.services.writer
    const resume = pendingEnds.resume
    pendingEnds.resume = async () => {}
    await purge()
    expect(await rowOf(id)).toMatchObject({ ended_at: null })
    pendingEnds.resume = resume
    await purge()
    expect(await rowOf(id)).toMatchObject({ end_reason: 'kicked' })
  })

  usable(
    'with the shortest time, a key is still refused for an hour, and a device proof outlives its session',
    async () => {
      await app.close()
      await start({ HUFU_ENDED_SESSIONS_DAYS: '1' })
      const sent = {
        headers: { 'idempotency-key': 'q7tX1bK0Tn2mG4hJ8sLdZw' },
        body: { phone_number: person.phone, password: person.password },
      }
      const first = await ask(app, 'POST', '/v1/sessions', sent)
      expect(first.status).toBe(201)
      await clientOf(app).signOut(String(first.body.token))
      app.clock.advance(hourMs - 1)
      await purge()
      expect(await ask(app, 'POST', '/v1/sessions', sent)).toMatchObject({ status: 422 })
      app.clock.advance(dayMs + 2)
      expect(await purge()).toBe(1)
      const shown = { phoneNumber: '+8612345678901', text: String(first.body.device_proof), deviceId: null }
      expect(await findValidProof(app.services.db, shown)).not.toBeNull()
      const again = await ask(app, 'POST', '/v1/sessions', { ...sent, headers: {} })
      expect(again.status).toBe(201)
    },
  )

  usable('any number is ended and deleted in batches', async () => {
    const ids: string[] = []
    for (let i = 0; i < 120; i++) ids.push((await signIn({ ...phone, platform: 'web' })).id)
    app.clock.advance(lifeMs + 2 * hourMs)
    expect(await purge()).toBe(0)
    for (const id of ids) expect(await rowOf(id)).toMatchObject({ end_reason: 'expired' })
    app.clock.advance(180 * dayMs)
    expect(await purge()).toBe(120)
  })
})
