// An account is removed in two parts, and no client sees an intermediate state: after a crash at any step the
// account is either complete, or gone with its number free. Data that remains to be deleted changes no
// response.
import { sql } from 'kysely'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Accounts } from '../../src/accounts/accounts.ts'
import { BarredNumbers } from '../../src/accounts/barred-numbers.ts'
import { AccountLifecycle } from '../../src/accounts/lifecycle.ts'
import { codeOf } from '../../src/codes/code-digits.ts'
import { findCode } from '../../src/codes/code-rows.ts'
import { databaseKind } from '../../src/database/open.ts'
import { noOrigin } from '../../src/events/events.ts'
import { admitKnown } from '../../src/sessions/sessions.ts'
import { getOrCreateKey } from '../../src/signing-keys/stored-key.ts'
import { addPerson, person, type RunningApp, runCommand, startApp } from '../support/app.ts'
import { databases, type FreshDatabase } from '../support/databases.ts'
import { openDomain, otherPhone, phone } from '../support/in-process-server.ts'
import { insertMany } from '../support/many-rows.ts'
import { Cut, faults, nextTurn } from '../support/step-faults.ts'
import { ask, clientOf, type Json } from '../support/v1-calls.ts'

/** The account in the response to a sign-in. */
const accountOf = ({ account }: Json) => account as { id: string; nickname: string | null }

const identity = { kind: 'test', issuer: 'https://idp.example' }

describe.each(databases)('a removal on $name', (database) => {
  const usable = test.skipIf(database.skipped !== null)
  let fresh: FreshDatabase
  let app: RunningApp
  let overdue = 0

  beforeEach(async () => {
    if (database.skipped !== null) return
    fresh = await database.create()
    app = await startApp(fresh.url)
  })
  afterEach(async () => {
    await app?.close()
    await fresh?.drop()
  })

  async function codeFor(number: string, purpose: 'sign_in' | 'reset_password' | 'change_phone' = 'sign_in') {
    const name = { phoneNumber: number, purpose }
    const asked = { purpose, origin: noOrigin, deviceId: null, deviceProof: null }
    await app.services.codeSender.send(number, asked)
    await app.services.codeSender.close()
    const nonce = (await findCode(app.byHand, name))?.nonce
    // No code is created for a number without an account, so this one is a guess.
    return nonce === undefined ? '123456' : codeOf(await getOrCreateKey(app.services.db), { ...name, nonce })
  }

  const signIn = async (number: string) =>
    await clientOf(app).signIn({
      phoneNumber: number,
      code: await codeFor(number),
      device: { platform: 'ios' },
    })

  /**
   * A closed account that is due for removal, with three sessions, an identity, and events of it and of its
   * number.
   */
  async function addDue(number: string): Promise<{ id: string; token: string }> {
    const { db } = app.services
    const { id } = await app.services.accounts.create({
      phoneNumber: number,
      nickname: '明',
      password: null,
      isVerified: true,
    })
    const issue = async (device: typeof phone) =>
      await app.services.sessions.issue({ device, origin: noOrigin, method: 'given', admit: admitKnown(id) })
    await issue(phone)
    await issue(otherPhone)
    const { token } = (await issue({ ...phone, platform: 'web' })) ?? expect.fail()
    await app.services.sessions.endAll({ accountId: id, reason: 'account_closed', by: null, except: null })
    const now = app.clock.now()
    // A purge removes the newest one first.
    overdue++
    await sql`update hufu_accounts set closes_at = ${now - overdue} where id = ${id}`.execute(db)
    await db
      .insertInto('hufu_identities')
      .values({ ...identity, subject: number, account_id: id, created_at: now })
      .execute()
    await insertMany(db, databaseKind(fresh.url) ?? expect.fail(), 'hufu_events', 3, {
      id: (i, { concat, padded }) => concat(sql`${sql.lit(`f${number}`)}`, padded(i, 7)),
      at: (i) => sql`${i} + 0`,
      kind: () => sql`'sign_in_failed'`,
      phone_number: () => sql`${sql.lit(number)}`,
      ip: () => sql`'192.0.2.1'`,
    })
    return { id, token }
  }

  /**
   * The number of events of the account, and of the number before the account, that still identify the
   * person.
   */
  async function remembered(id: string, number: string): Promise<number> {
    const { rows } = await sql<{ n: number }>`select count(*) as n from hufu_events
      where (account_id = ${id} or (phone_number = ${number} and account_id is null and at < 100))
      and (phone_number is not null or ip is not null or detail is not null)`.execute(app.byHand)
    return Number(rows[0]?.n)
  }

  const rowsOf = async (id: string) => {
    const { rows } = await sql<{ n: number }>`select (select count(*) from hufu_accounts where id = ${id})
      + (select count(*) from hufu_sessions where account_id = ${id})
      + (select count(*) from hufu_identities where account_id = ${id}) as n`.execute(app.byHand)
    return Number(rows[0]?.n)
  }

  /** Crashes a server at the n-th step of a purge. @returns the step; null: the purge ended before it */
  async function purgeCut(n: number, fault: (typeof faults)[number]): Promise<string | null> {
    const cut = new Cut()
    const { db, writer, clock, close } = await openDomain({
      databaseUrl: fresh.url,
      redisUrl: null,
      clock: app.clock,
      watch: cut.watch,
    })
    const lifecycle = new AccountLifecycle({
      db,
      clock,
      writer,
      barredNumbers: new BarredNumbers(db),
      closingMs: 0,
      onBackgroundError: () => {},
    })
    cut.arm(n, fault)
    await lifecycle.purge(clock.now(), 10).catch(() => {})
    await close()
    // SQLite's cache of the other server sees a commit of another connection in the next turn of the event
    // loop.
    await nextTurn()
    return cut.reached
  }

  for (const fault of faults) {
    usable(
      `a server that ${fault} any step leaves an account that is whole, or a number that is free`,
      async () => {
        const outcomes = new Set<boolean>()
        for (let n = 1; ; n++) {
          const number = `+8613600${String(n).padStart(6, '0')}`
          const { id, token } = await addDue(number)
          const before = await remembered(id, number)
          const reached = await purgeCut(n, fault)
          const where = `${fault} step ${n} (${reached})`
          expect((await clientOf(app).me(token)).status, where).toBe(401)
          const { status, body } = await signIn(number)
          expect(status, where).toBe(201)
          const account = accountOf(body)
          outcomes.add(body.created === true)
          if (body.created === true) {
            await app.services.lifecycle.purge(app.clock.now(), 10)
            expect(await rowsOf(id), where).toBe(0)
            expect(await remembered(id, number), where).toBe(0)
          } else {
            expect(account, where).toMatchObject({ id, nickname: '明' })
            expect(await remembered(id, number), where).toBeGreaterThanOrEqual(before)
            expect(await app.services.lifecycle.purge(app.clock.now(), 10)).toBe(0)
          }
          expect((await clientOf(app).me(String(body.token))).status, where).toBe(200)
          const events = await app.byHand
            .selectFrom('hufu_events')
            .select('detail')
            .where('account_id', '=', account.id)
            .where('kind', '=', 'signed_in')
            .where('detail', 'like', '%code%')
            .execute()
          expect(events, where).toHaveLength(1)
          if (reached === null) break
        }
        expect(outcomes).toEqual(new Set([true, false]))
      },
      120_000,
    )
  }

  /** An account whose removal crashed right after its first commit. */
  async function addHalfRemoved(number: string) {
    const due = await addDue(number)
    const commits = { seen: 0 }
    const { db, writer, clock, close } = await openDomain({
      databaseUrl: fresh.url,
      redisUrl: null,
      clock: app.clock,
      watch: async (step, work) => {
        if (commits.seen > 0 && step.startsWith('sql')) throw new Error('this process is dead')
        const result = await work()
        if (step === 'sql commit') commits.seen++
        return result
      },
    })
    const barredNumbers = new BarredNumbers(db)
    const onBackgroundError = () => {}
    const lifecycle = new AccountLifecycle({
      db,
      clock,
      writer,
      barredNumbers,
      closingMs: 0,
      onBackgroundError,
    })
    await expect(lifecycle.purge(clock.now(), 10)).rejects.toThrow('this process is dead')
    await close()
    await nextTurn()
    expect(await rowsOf(due.id)).toBeGreaterThan(0)
    return due
  }

  usable(
    'every route and command takes an account whose removal was cut off for one that is gone',
    async () => {
      const number = '+8613600000001'
      const { id, token } = await addHalfRemoved(number)
      const password = 'a horse, a staple'
      const client = clientOf(app)
      expect(await client.signIn({ phoneNumber: number, password })).toMatchObject({ status: 401 })
      expect(await ask(app, 'POST', '/login', { body: { phone_number: number, password } })).toMatchObject({
        status: 200,
        body: { code: 0 },
      })
      expect(await client.closeAccount(token, '123456')).toMatchObject({ status: 401 })
      const reset = {
        phoneNumber: number,
        code: await codeFor(number, 'reset_password'),
        newPassword: password,
      }
      expect(await client.resetPassword(reset)).toMatchObject({
        status: 401,
        body: { code: 'code_wrong' },
      })
      const environment = { HUFU_DATABASE_URL: fresh.url, LANG: 'C' }
      for (const args of [['show'], ['ban'], ['unban']]) {
        const ran = await runCommand(['accounts', ...args, id], environment)
        expect([args, ran.code, ran.stderr]).toEqual([args, 1, expect.stringMatching(/no account with/i)])
      }
      expect((await runCommand(['accounts', 'list'], environment)).stdout).not.toContain(id)
      const issued = app.services.sessions.issue({
        device: phone,
        origin: noOrigin,
        method: 'given',
        admit: admitKnown(id),
      })
      expect(await issued).toBeNull()

      // Another account can take its number, in each of three ways.
      await addPerson(app.services, number)
      const input = { phoneNumber: number, password: person.password }
      await client.signIn(input)
      const moved = '+8613600000002'
      await addHalfRemoved(moved)
      const { body: owner } = await client.signIn(input)
      const code = await codeFor(moved, 'change_phone')
      const confirmation = { password: person.password }
      const change = { phoneNumber: moved, code, confirmation }
      expect((await client.changePhone(String(owner.token), change)).status).toBe(200)
      const signedUp = '+8613600000003'
      await addHalfRemoved(signedUp)
      expect(await signIn(signedUp)).toMatchObject({ status: 201, body: { created: true } })

      expect(await app.services.lifecycle.purge(app.clock.now(), 10)).toBe(3)
      expect(await rowsOf(id)).toBe(0)
      expect(await app.services.accounts.find(moved)).toMatchObject({ id: accountOf(owner).id })
    },
  )

  usable(
    'a person who signs up while the past is being deleted loses nothing of the new account',
    async () => {
      const number = '+8613600000001'
      const { id } = await addDue(number)
      await insertMany(app.byHand, databaseKind(fresh.url) ?? expect.fail(), 'hufu_events', 5_000, {
        id: (i, { padded }) => padded(i, 22),
        at: (i) => sql`${i} + 0`,
        kind: () => sql`'signed_in'`,
        account_id: () => sql`${sql.lit(id)}`,
        detail: () => sql`'{}'`,
      })
      const before = await remembered(id, number)
      const purging = app.services.lifecycle.purge(app.clock.now(), 10)
      while ((await remembered(id, number)) === before) await nextTurn()
      const wrong = await clientOf(app).signIn({ phoneNumber: number, code: '000000' })
      expect(wrong.status).toBe(401)
      app.clock.advance(1)
      const { status, body } = await signIn(number)
      expect([status, body.created]).toEqual([201, true])
      expect(await purging).toBe(1)
      expect(await remembered(id, number)).toBe(0)
      expect(await rowsOf(id)).toBe(0)
      const kinds: string[] = []
      for await (const { kind, detail } of app.services.accounts.listEvents({
        id: accountOf(body).id,
        phoneNumber: number,
      }))
        if (detail !== null) kinds.push(kind)
      expect(kinds).toEqual(expect.arrayContaining(['signed_in', 'code_sent']))
    },
  )

  usable('a permanent ban stays with the number from the first commit on', async () => {
    const number = '+8613600000001'
    const { id } = await addDue(number)
    await app.services.lifecycle.ban(id, { until: null, reason: 'fraud' })
    await sql`update hufu_accounts set closes_at = ${app.clock.now() - 1} where id = ${id}`.execute(
      app.byHand,
    )
    const cut = { seen: 0 }
    for (let n = 1; cut.seen === 0; n++) {
      await purgeCut(n, 'dies after')
      const { status, body } = await signIn(number)
      expect([status, body.code]).toEqual([403, 'account_banned'])
      const { rows } = await sql`select 1 from hufu_barred_numbers`.execute(app.byHand)
      cut.seen = rows.length
    }
    expect(await app.services.lifecycle.purge(app.clock.now(), 10)).toBe(1)
    expect((await signIn(number)).body.code).toBe('account_banned')
  })

  usable(
    'accounts that cannot be removed do not stop the others, even more than a page of them',
    async () => {
      const good = [
        await addDue('+8613600000001'),
        await addDue('+8613600000002'),
        await addDue('+8613600000003'),
      ]
      // A purge tries these first.
      const bad: { id: string }[] = []
      for (let i = 0; i < 5; i++) bad.push(await addDue(`+861370000000${i}`))
      const { pendingEnds } = app.services.writer
      const write = pendingEnds.write.bind(pendingEnds)
      const broken = vi.spyOn(pendingEnds, 'write').mockImplementation(async (id) => {
        if (bad.some((one) => one.id === id)) throw new Error('this account cannot be removed')
        return await write(id)
      })
      const purge = () => app.services.lifecycle.purge(app.clock.now(), 2)
      expect(await purge()).toBe(2)
      await expect(purge()).rejects.toThrow('this account cannot be removed')
      for (const { id } of good) expect(await rowsOf(id)).toBe(0)
      for (const { id } of bad) expect(await rowsOf(id)).toBeGreaterThan(0)
      // The next purge tries them again, and each account once.
      expect(broken).toHaveBeenCalledTimes(8)
      broken.mockRestore()
      expect([await purge(), await purge(), await purge()]).toEqual([2, 2, 1])
      for (const { id } of bad) expect(await rowsOf(id)).toBe(0)
    },
  )

  /** A permanently banned account that is due for removal. */
  async function addBannedDue(number: string): Promise<void> {
    const { id } = await addDue(number)
    await app.services.lifecycle.ban(id, { until: null, reason: 'fraud' })
    const now = app.clock.now()
    await sql`update hufu_accounts set closes_at = ${now - 1} where id = ${id}`.execute(app.byHand)
  }

  /**
   * A server that stops right before its first insert, until `release`. On SQLite it does not stop: its
   * transaction would stop every other writer.
   */
  async function openStopping() {
    const reached = Promise.withResolvers<void>()
    const released = Promise.withResolvers<void>()
    const domain = await openDomain({
      databaseUrl: fresh.url,
      redisUrl: null,
      clock: app.clock,
      watch: async (step, work) => {
        if (step === 'sql insert' && database.name !== 'sqlite') {
          reached.resolve()
          await released.promise
        }
        return await work()
      },
    })
    return { domain, reached: reached.promise, release: released.resolve }
  }

  usable('no account is created for a number whose banned account is removed meanwhile', async () => {
    const number = '+8613600000001'
    await addBannedDue(number)
    const { domain, reached, release } = await openStopping()
    const accounts = new Accounts({
      ...app.services,
      ...domain,
      barredNumbers: new BarredNumbers(app.services.db),
      region: 'CN',
    })
    const creating = accounts.create({ phoneNumber: number, nickname: null, password: null }).then(
      () => 'created',
      (error) => error.code,
    )
    await Promise.race([reached, creating])
    await app.services.lifecycle.purge(app.clock.now(), 10)
    release()
    expect(await creating).toBe('phone_number_taken')
    await domain.close()
    expect((await signIn(number)).body.code).toBe('account_banned')
  })
})
