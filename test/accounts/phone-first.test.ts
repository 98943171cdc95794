// Phone-first accounts over /v1, on every database, with and without Redis: codes, sign-up, credentials,
// closing, bans.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ChangePhoneInput, NewDevice } from '../../sdk/src/client.ts'
import { codeOf } from '../../src/codes/code-digits.ts'
import { findCode } from '../../src/codes/code-rows.ts'
import { codeLifeMs } from '../../src/codes/codes.ts'
import type { Purpose } from '../../src/codes/purpose.ts'
import { noOrigin } from '../../src/events/events.ts'
import { getOrCreateKey } from '../../src/signing-keys/stored-key.ts'
import { person, type RunningApp, startApp } from '../support/app.ts'
import { redisUrl, stores } from '../support/databases.ts'
import { ask, clientOf } from '../support/v1-calls.ts'

const dayMs = 86_400_000
let nextNumber = 13_700_000_000

/** A number that no other test uses. */
function newNumber(): string {
  nextNumber++
  return `+86${nextNumber}`
}

/** Requests a code, and derives what the message would contain. */
async function codeFor(app: RunningApp, phoneNumber: string, purpose: Purpose): Promise<string> {
  const { services } = app
  expect((await clientOf(app).sendCode({ phoneNumber, purpose })).status).toBe(202)
  // Codes for owners of accounts are created after the response, so that it does not reveal whether there is
  // an account.
  await services.codeSender.close()
  return await currentCode(services, phoneNumber, purpose)
}

async function currentCode(
  { db }: RunningApp['services'],
  phoneNumber: string,
  purpose: Purpose,
): Promise<string> {
  const row = await findCode(db, { phoneNumber, purpose })
  if (!row || row.usedAt !== null) throw new Error('no code was sent')
  return codeOf(await getOrCreateKey(db), { phoneNumber, purpose, nonce: row.nonce })
}

const android = { platform: 'android' } as const
const wrong = (code: string) => String((Number(code) + 1) % 1_000_000).padStart(6, '0')

async function signUp(app: RunningApp, phone = newNumber(), device: NewDevice = { platform: 'ios' }) {
  const code = await codeFor(app, phone, 'sign_in')
  const answer = await clientOf(app).signIn({ phoneNumber: phone, code, device })
  expect(answer).toMatchObject({ status: 201 })
  const { token, account, session } = answer.body as {
    token: string
    account: { id: string }
    session: { id: string }
  }
  return { phone, token, accountId: account.id, sessionId: session.id }
}

async function setPassword(app: RunningApp, user: { phone: string; token: string }, password: string) {
  const code = await codeFor(app, user.phone, 'confirm')
  expect((await clientOf(app).setPassword(user.token, { newPassword: password, code })).status).toBe(204)
}

async function kindsOf(app: RunningApp, accountId: string, phoneNumber: string): Promise<string[]> {
  const kinds: string[] = []
  for await (const { kind } of app.services.accounts.listEvents({ id: accountId, phoneNumber }))
    kinds.unshift(kind)
  return kinds
}

for (const { name, skipped, database, redis } of stores) {
  describe(name, () => {
    let app: RunningApp
    let drop: () => Promise<void>
    const client = () => clientOf(app)

    beforeAll(async () => {
      if (skipped !== null) return
      const fresh = await database.create()
      drop = fresh.drop
      const url = redis ? redisUrl() : null
      app = await startApp(fresh.url, { environment: { ...(url !== null && { HUFU_REDIS_URL: url }) } })
      // The start of a server: purges are allowed from a day later on.
      await app.services.purgeExpired()
    })

    afterAll(async () => {
      await app?.close()
      await drop?.()
    })

    describe.skipIf(skipped !== null)('codes', () => {
      test('a code signs a new number up and a known one in, once each', async () => {
        const phone = newNumber()
        const code = await codeFor(app, phone, 'sign_in')
        const input = { phoneNumber: phone, code, nickname: '小明' }
        const up = await client().signIn(input)
        expect(up).toMatchObject({
          status: 201,
          body: { created: true, account: { phone_number: phone, nickname: '小明' } },
        })
        expect(await client().signIn(input)).toMatchObject({
          status: 401,
          body: { code: 'code_wrong' },
        })
        const again = await codeFor(app, phone, 'sign_in')
        const next = await client().signIn({ ...input, nickname: 'x', code: again })
        expect(next).toMatchObject({ status: 201, body: { created: false, account: { nickname: '小明' } } })
      })

      test('another request keeps the code and its guesses; it is for one purpose and five minutes', async () => {
        const phone = newNumber()
        const code = await codeFor(app, phone, 'sign_in')
        const guess = (text: string) => client().signIn({ phoneNumber: phone, code: text })
        for (let i = 0; i < 3; i++) expect((await guess(wrong(code))).status).toBe(401)
        expect(await codeFor(app, phone, 'sign_in')).toBe(code)
        expect(await findCode(app.services.db, { phoneNumber: phone, purpose: 'sign_in' })).toMatchObject({
          guesses: 3,
        })
        const reset = { phoneNumber: phone, code, newPassword: 'correct horse' }
        expect(await client().resetPassword(reset)).toMatchObject({ status: 401 })
        app.clock.advance(codeLifeMs)
        expect(await guess(code)).toMatchObject({ status: 401, body: { code: 'code_wrong' } })
        expect(await codeFor(app, phone, 'sign_in')).not.toBe(code)
      })

      test('after five guesses the right code is refused, and the next message has another one', async () => {
        const phone = newNumber()
        const code = await codeFor(app, phone, 'sign_in')
        const guess = (text: string) => client().signIn({ phoneNumber: phone, code: text })
        for (let i = 0; i < 5; i++) expect((await guess(wrong(code))).status).toBe(401)
        expect(await guess(code)).toMatchObject({ status: 401, body: { code: 'code_wrong' } })
        const next = await codeFor(app, phone, 'sign_in')
        expect(next).not.toBe(code)
        expect((await guess(next)).status).toBe(201)
      })

      test('of 64 parallel guesses with the right one among them five are counted and one wins at most', async () => {
        for (let round = 0; round < 5; round++) {
          const phone = newNumber()
          const code = await codeFor(app, phone, 'sign_in')
          const { signIn } = app.services
          const device = {
            platform: 'ios',
            deviceId: null,
            deviceName: null,
            appVersion: null,
            ip: null,
          } as const
          const context = { device, origin: noOrigin }
          const guess = (text: string) =>
            signIn.by('code', context, { phoneNumber: phone, code: text, nickname: null })
          const guesses = Array.from({ length: 64 }, (_, i) => (i % 4 === round % 4 ? code : wrong(code)))
          const results = await Promise.allSettled(guesses.map(guess))
          expect(results.filter(({ status }) => status === 'fulfilled').length).toBeLessThanOrEqual(1)
          const row = await findCode(app.services.db, { phoneNumber: phone, purpose: 'sign_in' })
          expect(row?.guesses).toBeLessThanOrEqual(5)
          for (const result of results) {
            if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'code_wrong' })
          }
        }
      })

      test('64 parallel sign-ins with the right code are one session of one account', async () => {
        const phone = newNumber()
        const code = await codeFor(app, phone, 'sign_in')
        const input = { phoneNumber: phone, code }
        const answers = await Promise.all(Array.from({ length: 64 }, () => client().signIn(input)))
        expect(answers.filter(({ status }) => status === 201)).toHaveLength(1)
        const account = await app.services.accounts.get(phone)
        expect(await app.services.sessions.list(account.id)).toHaveLength(1)
      })

      test('the answer to a request for a code is the same with and without an account', async () => {
        const { phone } = await signUp(app)
        const purposes = ['sign_in', 'reset_password', 'close_account', 'confirm', 'change_phone'] as const
        for (const purpose of purposes) {
          const [known, unknown] = await Promise.all(
            [phone, newNumber()].map((phoneNumber) => client().sendCode({ phoneNumber, purpose })),
          )
          expect(known?.status).toBe(202)
          expect(unknown).toMatchObject({ status: known?.status, body: known?.body ?? {} })
        }
      })

      test('a code for a number without an account is valid only for sign-up', async () => {
        const phone = newNumber()
        await expect(codeFor(app, phone, 'reset_password')).rejects.toThrow('no code was sent')
        const code = await codeFor(app, phone, 'sign_in')
        const input = { phoneNumber: phone, code, newPassword: 'correct horse' }
        expect(await client().resetPassword(input)).toMatchObject({
          status: 401,
          body: { code: 'code_wrong' },
        })
        expect(await app.services.accounts.find(phone)).toBeNull()
      })
    })

    describe.skipIf(skipped !== null)('the creator of an account', () => {
      test('keeps nothing in it once the owner has verified the number', async () => {
        const phone = newNumber()
        const { id } = await app.services.accounts.create({
          phoneNumber: phone,
          nickname: '占位者',
          password: person.password,
          allowWeakPassword: true,
        })
        const password = { phoneNumber: phone, password: person.password, device: android }
        const squatter = await client().signIn(password)
        const owner = await signUp(app, phone)
        expect(owner.accountId).toBe(id)
        const token = String(squatter.body.token)
        expect(await client().me(token)).toMatchObject({
          status: 401,
          body: { code: 'session_phone_verified' },
        })
        expect((await client().signIn(password)).status).toBe(401)
        expect(await client().account(owner.token)).toMatchObject({
          body: { nickname: null, has_password: false },
        })
        // Only the first verification has this effect.
        await setPassword(app, owner, 'correct horse')
        await signUp(app, phone)
        expect((await app.services.accounts.get(phone)).hasPassword).toBe(true)
      })

      test('keeps nothing either if the owner starts with a password reset', async () => {
        const phone = newNumber()
        await app.services.accounts.create({
          phoneNumber: phone,
          nickname: '占位者',
          password: person.password,
          allowWeakPassword: true,
        })
        const password = { phoneNumber: phone, password: person.password, device: android }
        const token = String((await client().signIn(password)).body.token)
        const avatarUrl = 'https://example.com/a.png'
        expect((await client().updateAccount(token, { avatarUrl })).status).toBe(200)
        const reset = async () => {
          const code = await codeFor(app, phone, 'reset_password')
          const answer = await client().resetPassword({
            phoneNumber: phone,
            code,
            newPassword: 'correct horse',
          })
          expect(answer.status).toBe(204)
        }
        await reset()
        expect(await client().me(token)).toMatchObject({
          status: 401,
          body: { code: 'session_phone_verified' },
        })
        const entered = await client().signIn({ ...password, password: 'correct horse' })
        const own = String(entered.body.token)
        expect(await client().account(own)).toMatchObject({
          body: { nickname: null, avatar_url: null, has_password: true },
        })
        const change = { nickname: '主人' }
        expect((await client().updateAccount(own, change)).status).toBe(200)
        await reset()
        expect((await app.services.accounts.get(phone)).nickname).toBe('主人')
      })

      test('the profile is changed a field at a time, and every check returns the new name', async () => {
        const user = await signUp(app)
        const avatarUrl = 'https://example.com/a.png'
        const change = { nickname: '大明', locale: 'zh-CN' }
        const { token } = user
        expect(await client().updateAccount(token, { ...change, avatarUrl })).toMatchObject({
          status: 200,
          body: { ...change, avatar_url: avatarUrl, has_password: false, phone_number: user.phone },
        })
        expect(await client().updateAccount(token, { avatarUrl: null })).toMatchObject({
          body: { nickname: '大明', avatar_url: null, locale: 'zh-CN' },
        })
        expect(await client().me(token)).toMatchObject({
          body: { account: { nickname: '大明' } },
        })
        for (const body of [
          { nickname: '' },
          { avatar_url: 'http://example.com' },
          { locale: '!' },
          { state: 'banned' },
        ]) {
          expect(await ask(app, 'PATCH', '/v1/account', { token, body })).toMatchObject({ status: 422 })
        }
      })

      test('a password is set by code, changed by the old one, and every change ends the other sessions', async () => {
        const user = await signUp(app)
        const other = await signUp(app, user.phone, { platform: 'android' })
        await setPassword(app, user, 'correct horse')
        expect(await client().me(other.token)).toMatchObject({
          status: 401,
          body: { code: 'session_password_changed' },
        })
        const { token } = user
        const change = { newPassword: 'battery staple', currentPassword: 'wrong' }
        expect(await client().setPassword(token, change)).toMatchObject({
          status: 401,
          body: { code: 'credentials_wrong' },
        })
        change.currentPassword = 'correct horse'
        expect((await client().setPassword(token, change)).status).toBe(204)
        expect((await client().me(token)).status).toBe(200)
        const signIn = { phoneNumber: user.phone, password: 'battery staple' }
        expect((await client().signIn(signIn)).status).toBe(201)
        const number = { newPassword: user.phone.slice(3), currentPassword: 'battery staple' }
        expect(await client().setPassword(token, number)).toMatchObject({
          status: 422,
          body: { code: 'password_refused', rule: 'is_phone_number' },
        })
        for (const body of [
          { new_password: 'correct horse' },
          { new_password: 'correct horse', current_password: 'x', code: '000000' },
        ]) {
          expect(await ask(app, 'PUT', '/v1/account/password', { token, body })).toMatchObject({
            status: 422,
            body: { code: 'invalid_request' },
          })
        }
      })

      test('a forgotten password is reset by code, once, and ends every session', async () => {
        const user = await signUp(app)
        const code = await codeFor(app, user.phone, 'reset_password')
        const input = { phoneNumber: user.phone, code, newPassword: 'correct horse' }
        const answers = await Promise.all(Array.from({ length: 5 }, () => client().resetPassword(input)))
        expect(answers.map(({ status }) => status).sort()).toEqual([204, 401, 401, 401, 401])
        expect(await client().me(user.token)).toMatchObject({
          body: { code: 'session_password_changed' },
        })
        const signIn = { phoneNumber: user.phone, password: 'correct horse' }
        expect((await client().signIn(signIn)).status).toBe(201)
      })

      test('an account moves to another number with proof of both, and the other sessions end', async () => {
        const user = await signUp(app)
        const other = await signUp(app, user.phone, { platform: 'android' })
        const taken = await signUp(app)
        const { token } = user
        const phoneNumber = newNumber()
        const confirm = await codeFor(app, user.phone, 'confirm')
        const code = await codeFor(app, phoneNumber, 'change_phone')
        const move = (input: ChangePhoneInput) => client().changePhone(token, input)
        expect(await move({ phoneNumber, code, confirmation: { code: wrong(confirm) } })).toMatchObject({
          status: 401,
        })
        expect(await move({ phoneNumber, code: wrong(code), confirmation: { code: confirm } })).toMatchObject(
          {
            status: 401,
          },
        )
        expect(await move({ phoneNumber, code, confirmation: { code: confirm } })).toMatchObject({
          status: 200,
          body: { phone_number: phoneNumber },
        })
        expect(await client().me(token)).toMatchObject({
          status: 200,
          body: { account: { phone_number: phoneNumber } },
        })
        expect(await client().me(other.token)).toMatchObject({
          body: { code: 'session_phone_changed' },
        })
        // The old number is free, and creates a new account.
        expect((await signUp(app, user.phone)).accountId).not.toBe(user.accountId)
        const again = {
          confirmation: { code: await codeFor(app, phoneNumber, 'confirm') },
          code: await codeFor(app, taken.phone, 'change_phone'),
        }
        expect(await move({ phoneNumber: taken.phone, ...again })).toMatchObject({
          status: 409,
          body: { code: 'phone_number_taken' },
        })
      })

      test('a typing error in one of the two codes does not use up the other, and the answer names the wrong one', async () => {
        const user = await signUp(app)
        const phoneNumber = newNumber()
        const confirm = await codeFor(app, user.phone, 'confirm')
        let code = await codeFor(app, phoneNumber, 'change_phone')
        const move = (codes: Omit<ChangePhoneInput, 'phoneNumber'>) =>
          client().changePhone(user.token, { phoneNumber, ...codes })
        for (let i = 0; i < 5; i++)
          expect(await move({ code: wrong(code), confirmation: { code: confirm } })).toMatchObject({
            status: 401,
            body: { code: 'code_wrong', fields: [{ pointer: '/code', problem: 'is_wrong' }] },
          })
        code = await codeFor(app, phoneNumber, 'change_phone')
        expect(await move({ code, confirmation: { code: wrong(confirm) } })).toMatchObject({
          status: 401,
          body: { code: 'code_wrong', fields: [{ pointer: '/confirmation', problem: 'is_wrong' }] },
        })
        expect(await move({ code, confirmation: { code: confirm } })).toMatchObject({ status: 200 })
      })

      test('an account does not move to its own number, and nothing ends', async () => {
        const user = await signUp(app)
        const other = await signUp(app, user.phone, { platform: 'android' })
        const input = { phoneNumber: user.phone, code: '000000', confirmation: { code: '000000' } }
        expect(await client().changePhone(user.token, input)).toMatchObject({
          status: 409,
          body: { code: 'phone_number_taken' },
        })
        expect((await client().me(other.token)).status).toBe(200)
      })

      test('the current owner of a number sees and takes along no events of the previous one', async () => {
        const first = await signUp(app)
        const moved = newNumber()
        await client().signIn({ phoneNumber: first.phone, password: 'wrong one' })
        const confirmation = { code: await codeFor(app, first.phone, 'confirm') }
        const code = await codeFor(app, moved, 'change_phone')
        const input = { phoneNumber: moved, code, confirmation }
        expect((await client().changePhone(first.token, input)).status).toBe(200)

        const second = await signUp(app, first.phone)
        const kinds = async (token: string) => {
          const { body } = await client().exportAccount(token)
          return (body.events as { kind: string }[]).map(({ kind }) => kind).toSorted()
        }
        expect(await kinds(second.token)).toEqual(['account_created', 'account_exported', 'signed_in'])
        const before = await kinds(first.token)
        expect(before).toContain('sign_in_failed')

        const closing = await codeFor(app, first.phone, 'close_account')
        expect((await client().closeAccount(second.token, closing)).status).toBe(202)
        app.clock.advance(16 * dayMs)
        await app.services.purgeExpired()
        const events = await app.services.db
          .selectFrom('hufu_events')
          .select('phone_number')
          .where('account_id', '=', first.accountId)
          .where('kind', '=', 'sign_in_failed')
          .execute()
        expect(events).toEqual([{ phone_number: first.phone }])
      })

      test('a confirmation is valid once, also for two concurrent changes', async () => {
        const user = await signUp(app)
        const confirmation = { code: await codeFor(app, user.phone, 'confirm') }
        const numbers = [newNumber(), newNumber()]
        const codes = await Promise.all(numbers.map((phone) => codeFor(app, phone, 'change_phone')))
        const moves = await Promise.all(
          numbers.map((phoneNumber, i) =>
            client().changePhone(user.token, { phoneNumber, code: codes[i] ?? '', confirmation }),
          ),
        )
        expect(moves.map(({ status }) => status).sort()).toEqual([200, 401])
      })

      test('an account closes with a code, reopens at a sign-in, and is deleted after 15 days', async () => {
        const user = await signUp(app)
        const close = async (token: string) => {
          const code = await codeFor(app, user.phone, 'close_account')
          return await client().closeAccount(token, code)
        }
        expect(await client().closeAccount(user.token, '000000')).toMatchObject({ status: 401 })
        const closing = await close(user.token)
        expect(closing).toMatchObject({ status: 202 })
        expect(Date.parse(String(closing.body.closes_at))).toBe(app.clock.now() + 15 * dayMs)
        expect(await client().me(user.token)).toMatchObject({
          status: 401,
          body: { code: 'session_account_closed' },
        })
        const back = await signUp(app, user.phone)
        expect(back.accountId).toBe(user.accountId)
        app.clock.advance(16 * dayMs)
        await app.services.purgeExpired()
        expect((await client().me(back.token)).status).toBe(200)

        await close(back.token)
        app.clock.advance(15 * dayMs - 1)
        await app.services.purgeExpired()
        expect(await app.services.accounts.find(user.phone)).toMatchObject({ closesAt: expect.any(Number) })
        app.clock.advance(1)
        await Promise.all([app.services.purgeExpired(), app.services.purgeExpired()])
        expect(await app.services.accounts.find(user.phone)).toBeNull()
        expect(await client().me(back.token)).toMatchObject({ status: 401 })
        const { db } = app.services
        const left = await db
          .selectFrom('hufu_events')
          .selectAll()
          .where('account_id', '=', user.accountId)
          .execute()
        expect(left.map(({ kind }) => kind)).toContain('account_purged')
        expect(JSON.stringify(left)).not.toMatch(new RegExp(`${user.phone.slice(1)}|127\\.0\\.0\\.1`))
        expect((await signUp(app, user.phone)).accountId).not.toBe(user.accountId)
      })

      test('the export contains all data of a person and no secret', async () => {
        const user = await signUp(app)
        await setPassword(app, user, 'correct horse')
        const { status, body } = await client().exportAccount(user.token)
        expect(status).toBe(200)
        expect(body).toMatchObject({
          account: { id: user.accountId, has_password: true },
          sessions: [{ id: user.sessionId, platform: 'ios', ended_at: null }],
        })
        expect(JSON.stringify(body)).not.toMatch(/argon2|hf_|token_hash/)
      })

      test('a ban ends all sessions at once, names its end, and ends by itself', async () => {
        const user = await signUp(app)
        const until = app.clock.now() + dayMs
        await app.services.lifecycle.ban(user.accountId, { until, reason: 'spam' })
        expect(await client().me(user.token)).toMatchObject({
          status: 401,
          body: { code: 'session_banned' },
        })
        const code = await codeFor(app, user.phone, 'sign_in')
        const input = { phoneNumber: user.phone, code }
        expect(await client().signIn(input)).toMatchObject({
          status: 403,
          body: { code: 'account_banned', banned_until: new Date(until).toISOString() },
        })
        app.clock.advance(dayMs)
        await signUp(app, user.phone)
        await app.services.lifecycle.ban(user.accountId, { until: null, reason: null })
        await app.services.lifecycle.unban(user.accountId)
        // Sessions that a ban ended stay ended.
        expect(await client().me(user.token)).toMatchObject({
          status: 401,
          body: { code: 'session_banned' },
        })
        await signUp(app, user.phone)
      })
    })

    describe.skipIf(skipped !== null)('devices', () => {
      test('endOtherDevices ends all other sessions, and signOutEverywhere ends all', async () => {
        const user = await signUp(app)
        const others = [
          await signUp(app, user.phone, { platform: 'android' }),
          await signUp(app, user.phone, { platform: 'web' }),
        ]
        expect((await client().endOtherDevices(user.token)).status).toBe(204)
        for (const { token } of others) {
          expect(await client().me(token)).toMatchObject({
            status: 401,
            body: { code: 'session_kicked', ended_by: { platform: 'ios' } },
          })
        }
        expect((await client().me(user.token)).status).toBe(200)
        expect((await client().signOutEverywhere(user.token)).status).toBe(204)
        expect((await client().me(user.token)).status).toBe(401)
        expect((await ask(app, 'DELETE', '/v1/sessions?all=maybe', { token: user.token })).status).toBe(401)
      })

      test('a replaced phone gets the time and the device in words for people', async () => {
        const old = await signUp(app, newNumber(), { platform: 'ios', name: 'iPhone 14' })
        await signUp(app, old.phone, { platform: 'ios', name: 'iPhone 15' })
        const time = new Intl.DateTimeFormat('zh-CN', {
          timeZone: 'Asia/Shanghai',
          hour: '2-digit',
          minute: '2-digit',
          hourCycle: 'h23',
        }).format(app.clock.now())
        const refused = await clientOf(app, { language: 'zh-CN' }).me(old.token)
        expect(refused).toMatchObject({ status: 401, body: { code: 'session_replaced' } })
        expect(refused.body.detail).toBe(
          `您的账号于 ${time} 在 iPhone 15 登录。如非本人操作，请尽快修改密码。`,
        )
        app.clock.advance(3 * dayMs)
        const later = await clientOf(app, { language: 'zh-CN' }).me(old.token)
        expect(later.body.detail).toMatch(/^您的账号于 \d+月\d+日 ?\d\d:\d\d 在 iPhone 15 登录/)
      })
    })

    test.skipIf(skipped !== null)('events record what happened, in order', async () => {
      const user = await signUp(app)
      await setPassword(app, user, 'correct horse')
      const wrongPassword = { phoneNumber: user.phone, password: 'wrong' }
      await client().signIn(wrongPassword)
      const noProof = { newPassword: 'battery staple', currentPassword: 'wrong' }
      await client().setPassword(user.token, noProof)
      await client().signOut(user.token)
      const kinds = await kindsOf(app, user.accountId, user.phone)
      expect(kinds.filter((kind) => kind !== 'code_sent').sort()).toEqual(
        [
          'account_created',
          'password_set',
          'proof_failed',
          'session_ended',
          'sign_in_failed',
          'signed_in',
        ].sort(),
      )
      app.clock.advance(181 * dayMs)
      await app.services.purgeExpired()
      expect(await kindsOf(app, user.accountId, user.phone)).toEqual([])
    })
  })
}
