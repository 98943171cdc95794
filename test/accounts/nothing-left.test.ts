// After the removal of an account, no table contains its number, the number before a move, an address, or a
// name of the person, even for requests that began before the removal and end after it.
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { sql } from 'kysely'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { codeOf } from '../../src/codes/code-digits.ts'
import { findCode } from '../../src/codes/code-rows.ts'
import { Codes } from '../../src/codes/codes.ts'
import type { Purpose } from '../../src/codes/purpose.ts'
import { ownTables } from '../../src/database/migrate.ts'
import { Limiter } from '../../src/limits/limiter.ts'
import { Passwords } from '../../src/passwords/password.ts'
import { getOrCreateKey } from '../../src/signing-keys/stored-key.ts'
import { SmsSender } from '../../src/sms/sms-sender.ts'
import { type RunningApp, startApp } from '../support/app.ts'
import { databases, type FreshDatabase } from '../support/databases.ts'
import { ask, type Json } from '../support/v1-calls.ts'

const hourMs = 3_600_000
const first = '13600000011'
const second = '13600000022'
const other = '13700000033'
const mover = '13700000044'
const ip = '203.0.113.77'
/** Chosen by the client, as apps do that find their requests by the person. */
const requestId = 'app-of-hidden-person-1'
const traces = [first, second, ip, requestId, '隐身者', 'hidden.example']
const password = 'a horse, a staple'

/** Holds calls of methods back: each result waits until all calls are released. */
class Gate {
  readonly #release = Promise.withResolvers<void>()
  #held = 0

  hold<T extends object, K extends keyof T & string>(prototype: T, method: K): void {
    const original = prototype[method] as (...args: unknown[]) => Promise<unknown>
    const gate = this
    const held = async function (this: unknown, ...args: unknown[]) {
      const done = Promise.resolve(original.apply(this, args)).then(
        (value) => ({ value }),
        (error: unknown) => ({ error }),
      )
      const outcome = await done
      gate.#held++
      await gate.#release.promise
      if ('error' in outcome) throw outcome.error
      return outcome.value
    }
    // The type of a method does not follow from its name here.
    vi.spyOn(prototype, method as never).mockImplementation(held as never)
  }

  async isHolding(count: number): Promise<void> {
    await vi.waitFor(() => expect(this.#held).toBe(count), 10_000)
  }

  open(): void {
    vi.restoreAllMocks()
    this.#release.resolve()
  }
}

test('events are written under the lock of their account, and nowhere else', () => {
  const src = fileURLToPath(new URL('../../src/', import.meta.url))
  const files = readdirSync(src, { recursive: true })
    .map(String)
    .filter(
      (file) =>
        file.endsWith('.ts') && /\b(recordEvents|recordEnds)\(/.test(readFileSync(src + file, 'utf8')),
    )
  expect(files.toSorted()).toEqual([
    // A new account, and an export under the lock.
    'accounts/accounts.ts',
    'events/events.ts',
    // Events of keys, which belong to no account.
    'service-keys/key-uses.ts',
    'service-keys/service-keys.ts',
    'sessions/account-change.ts',
    'sessions/account-writer.ts',
    'sessions/pending-ends.ts',
  ])
})

describe.each(databases)('on $name', (database) => {
  const usable = test.skipIf(database.skipped !== null)
  let fresh: FreshDatabase
  let app: RunningApp

  beforeEach(async () => {
    if (database.skipped !== null) return
    fresh = await database.create()
    app = await startApp(fresh.url, {
      environment: {
        HUFU_TRUSTED_PROXIES: '127.0.0.1',
        HUFU_SESSION_MAX: '0',
        HUFU_DATABASE_POOL: '20',
      },
    })
  })
  afterEach(async () => {
    vi.restoreAllMocks()
    await app?.close()
    await fresh?.drop()
  })

  async function call(method: string, path: string, body: object | null, token?: string, from = ip) {
    return await ask(app, method, path, {
      headers: { 'x-forwarded-for': from, 'x-request-id': from === ip ? requestId : 'other' },
      ...(body !== null && { body }),
      ...(token !== undefined && { token }),
    })
  }

  const codeFor = async (number: string, purpose: Purpose, from = ip) => {
    await call('POST', '/v1/codes', { phone_number: number, purpose }, undefined, from)
    await app.services.codeSender.close()
    // Two messages to a number need a minute between them.
    app.clock.advance(61_000)
    const name = { phoneNumber: `+86${number}`, purpose }
    const { nonce } = (await findCode(app.byHand, name)) ?? expect.fail(`no code for ${purpose}`)
    return codeOf(await getOrCreateKey(app.services.db), { ...name, nonce })
  }

  const wrong = async (number: string, from = ip) =>
    await call('POST', '/v1/sessions', { phone_number: number, password: 'wrong' }, undefined, from)

  /** Another person, at another address, and the attempt of that person to move with a made-up code. */
  async function addMover() {
    const from = '198.51.100.10'
    const credential = { phone_number: mover, code: await codeFor(mover, 'sign_in', from) }
    const { body } = await call('POST', '/v1/sessions', credential, undefined, from)
    const token = String(body.token)
    const { id } = body.account as { id: string }
    const moveTo = async (number: string) => {
      const move = { phone_number: number, code: '000000', confirmation: { password: 'wrong' } }
      return await call('PUT', '/v1/account/phone', move, token, from)
    }
    return { id, moveTo }
  }

  /** The personal data in the tables. */
  async function left(): Promise<string[]> {
    const found: string[] = []
    for (const table of ownTables) {
      const { rows } = await sql`select * from ${sql.table(table)}`.execute(app.byHand)
      for (const row of rows) {
        const text = JSON.stringify(row)
        const trace = traces.find((part) => text.includes(part)) ?? null
        if (trace !== null) found.push(`${table}: ${trace} in ${text}`)
      }
    }
    return found
  }

  /** An account with data in every table: other callers at the number before, a move, sessions, failures. */
  async function addPast(): Promise<{ token: string; id: string }> {
    await wrong(first)
    await call('POST', '/v1/codes', { phone_number: first, purpose: 'reset_password' })
    const device = { platform: 'ios', id: 'd1', name: '隐身者的手机' }
    const { body } = await call('POST', '/v1/sessions', {
      phone_number: first,
      code: await codeFor(first, 'sign_in'),
      nickname: '隐身者',
      device,
    })
    const token = String(body.token)
    const { id } = body.account as { id: string }
    await wrong(second)
    const confirmation = { code: await codeFor(first, 'confirm') }
    const code = await codeFor(second, 'change_phone')
    const move = { phone_number: second, code, confirmation }
    expect(await call('PUT', '/v1/account/phone', move, token)).toMatchObject({ status: 200 })
    const set = { new_password: password, code: await codeFor(second, 'confirm') }
    expect((await call('PUT', '/v1/account/password', set, token)).status).toBeLessThan(300)
    await wrong(second)
    const profile = { avatar_url: 'https://hidden.example/a.png', locale: 'zh-CN' }
    expect((await call('PATCH', '/v1/account', profile, token)).status).toBe(200)
    expect((await call('GET', '/v1/account/export', null, token)).status).toBe(200)
    await app.byHand
      .insertInto('hufu_identities')
      .values({
        kind: 'test',
        issuer: 'https://hidden.example',
        subject: '隐身者',
        account_id: id,
        created_at: 1,
      })
      .execute()
    return { token, id }
  }

  /** One request of each kind that names the person, by name. */
  function startRequests(
    token: string,
    anyone: Awaited<ReturnType<typeof addMover>>,
  ): Record<string, Promise<{ status: number; body: Json }>> {
    const code = '000000'
    return {
      'a wrong password': wrong(second),
      'the right password': call('POST', '/v1/sessions', { phone_number: second, password }),
      'a wrong code': call('POST', '/v1/sessions', { phone_number: second, code }),
      'a reset with a wrong code': call('POST', '/v1/password-resets', {
        phone_number: second,
        code,
        new_password: 'another horse, a staple',
      }),
      'a step-up with a wrong password': call(
        'PUT',
        '/v1/account/password',
        { new_password: 'another horse, a staple', current_password: 'wrong' },
        token,
      ),
      'a closing with a wrong code': call('DELETE', '/v1/account', { code }, token),
      'a change of the profile': call('PATCH', '/v1/account', { nickname: '隐身者改名' }, token),
      'an export': call('GET', '/v1/account/export', null, token),
      'a move of another person': anyone.moveTo(second),
      'a code to sign in': call('POST', '/v1/codes', { phone_number: second, purpose: 'sign_in' }),
    }
  }

  usable(
    'a request that began before the removal and ends after it leaves nothing of the person',
    async () => {
      const { token, id } = await addPast()
      // Data of another person stays.
      await wrong(other, '198.51.100.9')
      const anyone = await addMover()
      for (const number of [first, second])
        expect(await anyone.moveTo(number)).toMatchObject({ status: 401, body: { code: 'code_wrong' } })
      expect((await left()).length).toBeGreaterThan(10)
      app.clock.advance(hourMs)

      const gate = new Gate()
      gate.hold(Passwords.prototype, 'verify')
      gate.hold(Codes.prototype, 'check')
      gate.hold(SmsSender.prototype, 'send')
      gate.hold(Limiter.prototype, 'countWrite')
      const held = startRequests(token, anyone)
      const asked = await call('POST', '/v1/codes', { phone_number: second, purpose: 'reset_password' })
      expect(asked.status).toBe(202)
      await gate.isHolding(Object.keys(held).length + 1)

      await sql`update hufu_accounts set closes_at = ${app.clock.now() - 1} where id = ${id}`.execute(
        app.byHand,
      )
      expect(await app.services.lifecycle.purge(app.clock.now(), 10)).toBe(1)
      // The tables contain the codes of every number that requested one, until an hour after they expire.
      const besidesCodes = async () => (await left()).filter((line) => !line.startsWith('hufu_codes'))
      expect(await besidesCodes()).toEqual([])

      gate.open()
      const statuses: Record<string, number> = {}
      for (const [name, answer] of Object.entries(held)) statuses[name] = (await answer).status
      await app.services.codeSender.close()
      expect(statuses).toMatchObject({ 'a wrong password': 401, 'the right password': 401, 'an export': 401 })
      expect(await anyone.moveTo(second)).toMatchObject({ status: 401, body: { code: 'code_wrong' } })
      expect(await besidesCodes()).toEqual([])
      // What happened is still recorded, without the person.
      const kinds = await app.byHand
        .selectFrom('hufu_events')
        .select('kind')
        .where('account_id', '=', id)
        .execute()
      expect(kinds.map(({ kind }) => kind)).toEqual(
        expect.arrayContaining(['account_purged', 'code_sent', 'sign_in_failed', 'proof_failed']),
      )
      app.clock.advance(2 * hourMs)
      await app.services.purgeExpired({ isClockRight: true })
      expect(await left()).toEqual([])
      const others = await app.byHand
        .selectFrom('hufu_events')
        .select('phone_number')
        .where('phone_number', '=', `+86${other}`)
        .execute()
      expect(others).toHaveLength(1)
      const moves = app.byHand.selectFrom('hufu_events').select(['ip', 'detail'])
      expect(
        await moves.where('account_id', '=', anyone.id).where('kind', '=', 'proof_failed').execute(),
      ).toEqual(Array(4).fill({ ip: '198.51.100.10', detail: '{"proof":"change_phone"}' }))
    },
    60_000,
  )

  usable(
    'a failed move of another account loses the number, as a server of an earlier version wrote it',
    async () => {
      const anyone = await addMover()
      for (const number of [first, second, other]) await anyone.moveTo(number)
      // `first` has an owner only now, and loses it in the move to `second`.
      const { id } = await addPast()
      const typed = [first, second, other].map((number) => `+86${number}`)
      const events = await app.byHand
        .selectFrom('hufu_events')
        .select('id')
        .where('account_id', '=', anyone.id)
        .where('kind', '=', 'proof_failed')
        .execute()
      for (const [i, phone_number] of typed.entries())
        await app.byHand
          .updateTable('hufu_events')
          .set({ phone_number })
          .where('id', '=', events[i]?.id ?? expect.fail('no event of the move'))
          .execute()
      app.clock.advance(hourMs)
      await sql`update hufu_accounts set closes_at = ${app.clock.now() - 1} where id = ${id}`.execute(
        app.byHand,
      )
      expect(await app.services.lifecycle.purge(app.clock.now(), 10)).toBe(1)
      app.clock.advance(2 * hourMs)
      await app.services.purgeExpired({ isClockRight: true })
      expect(await left()).toEqual([])
      const after = app.byHand.selectFrom('hufu_events').select(['phone_number', 'ip', 'detail'])
      const rest = { ip: '198.51.100.10', detail: '{"proof":"change_phone"}' }
      expect(
        (
          await after.where('account_id', '=', anyone.id).where('kind', '=', 'proof_failed').execute()
        ).toSorted((a, b) => String(a.phone_number).localeCompare(String(b.phone_number))),
      ).toEqual([
        { ...rest, phone_number: `+86${other}` },
        { ...rest, phone_number: null },
        { ...rest, phone_number: null },
      ])
    },
  )

  usable(
    'a removal that is cut off after an event that names a former number still finds its events',
    async () => {
      const { id } = await addPast()
      await sql`update hufu_accounts set closes_at = ${app.clock.now() - 1} where id = ${id}`.execute(
        app.byHand,
      )
      const { db } = app.services
      let emptied = 0
      const update = db.updateTable.bind(db)
      const spied = vi.spyOn(db, 'updateTable').mockImplementation(((table: never) => {
        if (table === 'hufu_events' && ++emptied > 1) throw new Error('this process is dead')
        return update(table)
      }) as never)
      await expect(app.services.lifecycle.purge(app.clock.now(), 10)).rejects.toThrow('this process is dead')
      spied.mockRestore()
      expect(await app.services.lifecycle.purge(app.clock.now(), 10)).toBe(1)
      app.clock.advance(2 * hourMs)
      await app.services.purgeExpired({ isClockRight: true })
      expect(await left()).toEqual([])
    },
  )
})
