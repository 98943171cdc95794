// An account without a phone number, created by SQL: no route creates one yet, and everything that reads
// accounts accepts it.
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { noOrigin } from '../../src/events/events.ts'
import { newAccountId } from '../../src/ids.ts'
import { admitKnown } from '../../src/sessions/sessions.ts'
import { addPerson, person, type RunningApp, runCommand, startApp } from '../support/app.ts'
import { openCacheInRedis } from '../support/cache-in-redis.ts'
import { redisUrl, stores } from '../support/databases.ts'
import { phone } from '../support/in-process-server.ts'
import { clientOf } from '../support/v1-calls.ts'

const identity = { kind: 'test', issuer: 'https://idp.example', subject: 'user-1' }
const password = 'a horse, a staple'
const newPassword = 'another horse, a staple'

describe.each(stores)('an account without a number on $name', ({ database, redis, skipped }) => {
  const usable = test.skipIf(skipped !== null)
  let app: RunningApp
  let url: string
  let drop: () => Promise<void>
  const id = newAccountId(Date.now())

  beforeAll(async () => {
    if (skipped !== null) return
    const fresh = await database.create()
    url = fresh.url
    drop = fresh.drop
    app = await startApp(url, redis ? { environment: { HUFU_REDIS_URL: redisUrl() ?? '' } } : {})
    await addPerson(app.services)
    const { passwordHash } = await hashOf(app)
    const now = app.clock.now()
    await app.byHand
      .insertInto('hufu_accounts')
      .values({
        id,
        phone_number: null,
        nickname: '无号码',
        password_hash: passwordHash,
        registered_at: now,
        updated_at: now,
      })
      .execute()
    await app.byHand
      .insertInto('hufu_identities')
      .values({ ...identity, account_id: id, created_at: now })
      .execute()
  })
  afterAll(async () => {
    await app?.close()
    await drop?.()
  })

  /** The password hash of another account. */
  async function hashOf({ services, byHand }: RunningApp) {
    await services.accounts.create({ phoneNumber: '13800004711', nickname: null, password })
    const row = await byHand
      .selectFrom('hufu_accounts')
      .select('password_hash as passwordHash')
      .where('phone_number', '=', '+8613800004711')
      .executeTakeFirstOrThrow()
    return row
  }

  async function newSession(): Promise<string> {
    const request = { device: phone, origin: noOrigin, method: 'given', admit: admitKnown(id) } as const
    return ((await app.services.sessions.issue(request)) ?? expect.fail('no session')).token
  }

  usable('every route of a signed-in client works', async () => {
    const token = await newSession()
    const client = clientOf(app)
    for (let times = 0; times < 3; times++) {
      expect(await client.me(token)).toMatchObject({
        status: 200,
        body: { account: { id, phone_number: null, nickname: '无号码' } },
      })
      const classic = await fetch(`${app.url}/user`, { headers: { token } })
      expect(await classic.json()).toEqual({ code: 1, nickname: '无号码', phone_number: null })
    }
    expect(await client.account(token)).toMatchObject({ status: 200, body: { phone_number: null } })
    expect(await client.updateAccount(token, { nickname: '还是无号码' })).toMatchObject({ status: 200 })
    expect(await client.devices(token)).toMatchObject({ status: 200 })
    expect(await client.exportAccount(token)).toMatchObject({
      status: 200,
      body: {
        account: { id, phone_number: null },
        identities: [{ kind: 'test', issuer: identity.issuer, subject: 'user-1' }],
      },
    })
    // Confirmation by code needs a number; by password it does not.
    const byCode = { code: '123456', newPassword }
    const missing = { status: 409, body: { code: 'phone_number_missing' } }
    expect(await client.setPassword(token, byCode)).toMatchObject(missing)
    expect(await client.closeAccount(token, '123456')).toMatchObject(missing)
    const wrong = { currentPassword: 'not this one', newPassword }
    expect(await client.setPassword(token, wrong)).toMatchObject({ status: 401 })
    const right = { currentPassword: password, newPassword }
    expect(await client.setPassword(token, right)).toMatchObject({ status: 204 })
    expect(await client.rotate(token)).toMatchObject({ status: 200 })
  })

  usable('another server reads its cache entry', async () => {
    const token = await newSession()
    const { body } = await clientOf(app).me(token)
    if (!redis) return
    const cache = await openCacheInRedis(redisUrl() ?? expect.fail())
    // The schema of this route: test/docs/docs.test.ts.
    const { id: sessionId } = body.session as { id: string }
    await vi.waitFor(async () =>
      expect((await cache.read(sessionId))?.copy?.account).toMatchObject({ id, phoneNumber: null }),
    )
    await cache.close()
    const other = await startApp(url, { environment: { HUFU_REDIS_URL: redisUrl() ?? '' } })
    expect(await other.services.verification.verify(token)).toMatchObject({
      is: 'live',
      account: { phoneNumber: null },
    })
    await other.close()
  })

  // Commands use the database alone, so a store with Redis would show the same.
  const onceForEachDatabase = redis ? null : usable
  onceForEachDatabase?.('commands name it by its id', async () => {
    const environment = { HUFU_DATABASE_URL: url }
    const run = async (...args: string[]) => {
      const result = await runCommand([...args, '--json'], environment)
      expect(result).toMatchObject({ code: 0, stderr: '' })
      return result.stdout
    }
    expect(await run('accounts', 'list')).toContain(`"id":"${id}","phone_number":null`)
    expect(JSON.parse(await run('accounts', 'show', id))).toMatchObject({ id, phone_number: null })
    expect(await run('sessions', 'list', id)).toContain('"platform":"ios"')
    expect(await run('events', id)).toContain('"signed_in"')
    expect(JSON.parse(await run('accounts', 'ban', id, '--until', '2999-01-01'))).toMatchObject({
      state: 'banned',
    })
    expect(JSON.parse(await run('accounts', 'unban', id))).toMatchObject({ state: 'active' })
    await run('sessions', 'end', '--all', id)
    const listed = await runCommand(['accounts', 'list'], environment)
    expect(listed).toMatchObject({ code: 0 })
    expect(listed.stdout).toContain('-  ')
    // The tutorial's account is still found by its number.
    expect(JSON.parse(await run('accounts', 'show', person.phone))).toMatchObject({
      nickname: person.nickname,
    })
  })

  usable(
    'a permanent ban keeps no number, and the purge removes the account with its identities',
    async () => {
      await app.byHand
        .updateTable('hufu_accounts')
        .set({ closes_at: app.clock.now() - 1, banned_at: app.clock.now() })
        .where('id', '=', id)
        .execute()
      await app.services.lifecycle.purge(app.clock.now(), 10)
      const left = await app.byHand.selectFrom('hufu_accounts').select('id').where('id', '=', id).execute()
      const identities = await app.byHand.selectFrom('hufu_identities').selectAll().execute()
      expect([...left, ...identities]).toEqual([])
    },
  )
})
