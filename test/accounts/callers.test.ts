// After an acknowledged end, nothing happens on behalf of a session, however late its request continues.
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { codeOf } from '../../src/codes/code-digits.ts'
import { findCode } from '../../src/codes/code-rows.ts'
import type { Purpose } from '../../src/codes/purpose.ts'
import { noOrigin } from '../../src/events/events.ts'
import { admitKnown, type IssuedSession } from '../../src/sessions/sessions.ts'
import { getOrCreateKey } from '../../src/signing-keys/stored-key.ts'
import { type RunningApp, startApp } from '../support/app.ts'
import { redisUrl, stores } from '../support/databases.ts'
import { holdRequest } from '../support/held-request.ts'

const password = 'a horse, a staple'
const device = { deviceId: null, deviceName: null, appVersion: null, ip: null } as const
let nextNumber = 13_500_000_000

interface Person {
  readonly accountId: string
  readonly phone: string
  /** The session that sends the request, which is held. */
  readonly thief: IssuedSession
  /** Another session of the account. */
  readonly owner: IssuedSession
}

/** Every route that writes on behalf of a session, with a body that it accepts while the session is live. */
const writes: Readonly<Record<string, (app: RunningApp, person: Person) => Promise<object> | object>> = {
  'DELETE /v1/session': () => ({}),
  'DELETE /v1/sessions': () => ({}),
  'DELETE /v1/sessions?all=true': () => ({}),
  'DELETE /v1/sessions/{owner}': () => ({}),
  'POST /v1/session/rotate': () => ({}),
  'PATCH /v1/account': () => ({ nickname: 'thief' }),
  'PUT /v1/account/password': () => ({ new_password: 'another horse, a staple', current_password: password }),
  'PUT /v1/account/phone': async (app) => {
    const phone = newNumber()
    return {
      phone_number: phone,
      code: await codeFor(app, phone, 'change_phone'),
      confirmation: { password },
    }
  },
  'DELETE /v1/account': async (app, { phone }) => ({ code: await codeFor(app, phone, 'close_account') }),
}

/** How the session ends while its request is held, and how its token is refused from then on. */
const ends: Readonly<Record<string, (app: RunningApp, person: Person) => Promise<unknown>>> = {
  session_kicked: ({ services }, { owner, thief, accountId }) =>
    services.sessions.end({
      id: thief.session.id,
      accountId,
      reason: 'kicked',
      by: { accountId, sessionId: owner.session.id, token: owner.token },
    }),
  session_banned: ({ services }, { accountId }) =>
    services.lifecycle.ban(accountId, { until: null, reason: null }),
  token_unknown: async ({ services }, { thief }) => {
    // The token was rotated, and its successor was used.
    const rotated = await services.verification.rotate(thief.token)
    await services.verification.verify('token' in rotated ? rotated.token : expect.fail())
  },
}

function newNumber(): string {
  nextNumber++
  return `+86${nextNumber}`
}

async function codeFor({ services }: RunningApp, phone: string, purpose: Purpose): Promise<string> {
  await services.codeSender.send(phone, { purpose, origin: noOrigin, deviceId: null, deviceProof: null })
  await services.codeSender.close()
  const { nonce } = (await findCode(services.db, { phoneNumber: phone, purpose })) ?? expect.fail()
  return codeOf(await getOrCreateKey(services.db), { phoneNumber: phone, purpose, nonce })
}

async function newPerson({ services }: RunningApp): Promise<Person> {
  const phone = newNumber()
  const { id: accountId } = await services.accounts.create({
    phoneNumber: phone,
    nickname: null,
    password,
    isVerified: true,
  })
  const enter = async (platform: 'ios' | 'android') =>
    (await services.sessions.issue({
      device: { ...device, platform },
      origin: noOrigin,
      method: 'given',
      admit: admitKnown(accountId),
    })) ?? expect.fail()
  return { accountId, phone, thief: await enter('ios'), owner: await enter('android') }
}

/** Everything that a write on behalf of a session can change. */
async function everythingOf({ byHand }: RunningApp, { accountId, phone }: Person) {
  const [account, sessions, events, codes] = await Promise.all([
    byHand.selectFrom('hufu_accounts').selectAll().where('id', '=', accountId).execute(),
    byHand
      .selectFrom('hufu_sessions')
      .select(['id', 'token_hash', 'ended_at', 'end_reason'])
      .where('account_id', '=', accountId)
      .orderBy('id')
      .execute(),
    byHand
      .selectFrom('hufu_events')
      .select(['kind', 'id'])
      .where('account_id', '=', accountId)
      .orderBy('id')
      .execute(),
    byHand
      .selectFrom('hufu_codes')
      .select(['purpose', 'used_at', 'guesses'])
      .where('phone_number', '=', phone)
      .execute(),
  ])
  return { account, sessions, events, codes }
}

describe.each(stores)('$name', ({ database, redis, skipped }) => {
  let app: RunningApp
  let url: string
  let drop: () => Promise<void>
  beforeAll(async () => {
    if (skipped !== null) return
    const fresh = await database.create()
    url = fresh.url
    drop = fresh.drop
    app = await startApp(url, { environment: redis ? { HUFU_REDIS_URL: redisUrl() ?? '' } : {} })
  })
  afterAll(async () => {
    await app?.close()
    await drop?.()
  })

  async function held(route: string, person: Person) {
    const body = JSON.stringify(await writes[route]?.(app, person))
    const [method = '', path = ''] = route.split(' ')
    const url = app.url + path.replace('{owner}', person.owner.session.id)
    const request = await holdRequest({ method, url, token: person.thief.token, body })
    // The server checks the token when the headers arrive, which cannot be observed from outside. If this
    // time is too short, a test fails.
    await sleep(50)
    return request
  }

  test.skipIf(skipped !== null).each(Object.keys(writes))(
    '%s takes effect with a slow body',
    async (route) => {
      const person = await newPerson(app)
      const { release, answer } = await held(route, person)
      release()
      expect((await answer).status).toBeLessThan(300)
    },
  )

  test
    .skipIf(skipped !== null)
    .each(Object.keys(writes).flatMap((route) => Object.keys(ends).map((code) => [route, code] as const)))(
    '%s has no effect for a session that ended before its body arrived: %s',
    async (route, code) => {
      const person = await newPerson(app)
      const { release, answer } = await held(route, person)
      await ends[code]?.(app, person)
      const before = await everythingOf(app, person)
      release()
      const { status, text } = await answer
      expect({ status, code: JSON.parse(text).code }).toEqual({ status: 401, code })
      expect(await everythingOf(app, person)).toEqual(before)
    },
  )

  test.skipIf(skipped !== null)(
    'the table above names every route that writes on behalf of a session',
    async () => {
      const answer = await fetch(`${app.url}/openapi.json`)
      // The description is an OpenAPI document.
      const { paths } = (await answer.json()) as {
        paths: Record<string, Record<string, { security?: unknown; operationId: string }>>
      }
      const described = Object.entries(paths).flatMap(([path, methods]) =>
        Object.entries(methods)
          .filter(
            ([method, { security }]) => path.startsWith('/v1/') && security !== undefined && method !== 'get',
          )
          .map(([method, { operationId }]) => ({ route: `${method.toUpperCase()} ${path}`, operationId })),
      )
      const known = Object.keys(writes).map((route) => route.replace('{owner}', '{id}').replace(/\?.*/, ''))
      // A POST twin has the handler of its route.
      const twins = described.filter(({ operationId }) => /ByPost$/.test(operationId))
      const left = described.filter((one) => !twins.includes(one) && !known.includes(one.route))
      expect(left).toEqual([])
    },
  )

  /** Errors that are decided under the lock, however long ago the caller was checked. */
  test.skipIf(skipped !== null).each(Object.keys(ends))(
    'a write that waits for the lock is refused there: %s',
    async (code) => {
      const person = await newPerson(app)
      const { accountId, thief, owner } = person
      const by = { accountId, sessionId: thief.session.id, token: thief.token }
      await ends[code]?.(app, person)
      const before = await everythingOf(app, person)
      const { sessions, writer, accounts, lifecycle } = app.services
      const asker = { ...by, origin: noOrigin }
      const decide = async () => ({ set: { nickname: 'thief' }, events: [] })
      const tries = [
        () => sessions.end({ id: owner.session.id, accountId, reason: 'kicked', by }),
        () => sessions.endAll({ accountId, reason: 'kicked', by, except: null }),
        () => writer.update({ accountId, by, origin: noOrigin, decide }),
        () => accounts.update(by, { nickname: 'thief' }, noOrigin),
        () => accounts.export(by, noOrigin),
        () => lifecycle.close(async () => true, asker),
      ]
      for (const attempt of tries) await expect(attempt()).rejects.toMatchObject({ code })
      expect(await everythingOf(app, person)).toEqual(before)
    },
  )

  test.skipIf(skipped !== null)(
    'a code for closing is void once the account has another number',
    async () => {
      const { accountId, phone, owner } = await newPerson(app)
      const { credentials, lifecycle } = app.services
      const asker = { accountId, sessionId: owner.session.id, token: owner.token, origin: noOrigin }
      const confirmed = await credentials.checkClosingCode(asker, await codeFor(app, phone, 'close_account'))
      const moved = newNumber()
      const code = await codeFor(app, moved, 'change_phone')
      await credentials.changePhone(asker, { phoneNumber: moved, code, confirmation: { password } })
      await expect(lifecycle.close(confirmed, asker)).rejects.toMatchObject({ code: 'code_wrong' })
      expect(await app.services.accounts.getById(accountId)).toMatchObject({ closesAt: null })
    },
  )

  test.skipIf(skipped !== null)(
    'a password that waits for its hash is not set if a ban comes first',
    async () => {
      const person = await newPerson(app)
      const { accountId, thief } = person
      const asker = { accountId, sessionId: thief.session.id, token: thief.token, origin: noOrigin }
      const slow = await startApp(url, { slowHashes: true })
      // Earlier hashes keep the password waiting until the ban is committed.
      const before = Array.from({ length: 16 }, () =>
        slow.services.accounts.create({ phoneNumber: newNumber(), nickname: null, password }),
      )
      const changed = slow.services.credentials.changePassword(asker, 'another horse, a staple', { password })
      const refused = expect(changed).rejects.toMatchObject({ code: 'session_banned' })
      await app.services.lifecycle.ban(accountId, { until: null, reason: null })
      await refused
      await Promise.all(before)
      await slow.close()
      await app.services.lifecycle.unban(accountId)
      const { phone } = person
      const context = { device: { ...device, platform: 'ios' }, origin: noOrigin } as const
      const again = await app.services.signIn.by('password', context, { phoneNumber: phone, password })
      expect(again.account.id).toBe(accountId)
    },
  )
})
