// Many concurrent requests through two server processes have one winner, on every database.
import { readdirSync } from 'node:fs'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { findCode } from '../../src/codes/code-rows.ts'
import { migrate, pendingMigrations } from '../../src/database/migrate.ts'
import { databaseKind, dialectFor, openDatabase } from '../../src/database/open.ts'
import type { Database } from '../../src/database/schema.ts'
import { person, runCommand, type ServerProcess, startProcess } from '../support/app.ts'
import { databases, redisUrl, stores } from '../support/databases.ts'
import {
  addAccount,
  signIn as issueSession,
  openDomain,
  untilAvailable,
} from '../support/in-process-server.ts'
import { startRedis } from '../support/services/redis.ts'
import { type Answer, ask, clientOf, signIn } from '../support/v1-calls.ts'

const allMigrations = readdirSync(new URL('../../src/database/migrations', import.meta.url))
  .map((file) => file.replace(/\.ts$/, ''))
  .sort()

interface Server {
  readonly url: string
}

/** The code of a response of the classic API. */
async function codeOf(response: Promise<Answer>): Promise<unknown> {
  return (await response).body.code
}

const login = (server: Server) =>
  ask(server, 'POST', '/login', { body: { phone_number: person.phone, password: person.password } })
const user = (server: Server, token: string) => codeOf(ask(server, 'GET', '/user', { headers: { token } }))
const logout = (server: Server, token: string) =>
  codeOf(ask(server, 'GET', '/logout', { headers: { token } }))

/** Rotates as a client that sends a content type without a body. */
const rotateWithContentType = (server: Server, token: string) =>
  ask(server, 'POST', '/v1/session/rotate', { token, headers: { 'content-type': 'application/json' } })

describe.each(stores)('$name', ({ database, redis, skipped }) => {
  const servers: ServerProcess[] = []
  let environment: Record<string, string>
  let drop: () => Promise<void>

  beforeAll(async () => {
    if (skipped !== null) return
    const fresh = await database.createEmpty()
    drop = fresh.drop
    environment = {
      HUFU_DATABASE_URL: fresh.url,
      HUFU_PASSWORD_QUEUE: '1000',
      ...(redis && { HUFU_REDIS_URL: redisUrl() ?? '' }),
    }
    // Both start on an empty database at the same moment.
    servers.push(...(await Promise.all([startProcess(environment), startProcess(environment)])))
    const added = await runCommand(
      ['accounts', 'add', person.phone, '--password-stdin', '--allow-weak-password'],
      environment,
      { stdin: person.password },
    )
    expect(added).toMatchObject({ code: 0 })
  })

  afterAll(async () => {
    for (const server of servers) expect(await server.stop()).toBe(0)
    await drop?.()
  })

  function serverFor(i: number): Server {
    return servers[i % 2] ?? expect.fail()
  }

  test.skipIf(skipped !== null)(
    'of 64 parallel sign-ins through two servers exactly one session is live',
    async () => {
      const answers = await Promise.all(Array.from({ length: 64 }, (_, i) => login(serverFor(i))))
      for (const answer of answers) expect(answer).toMatchObject({ status: 200, body: { code: 1 } })
      const tokens = answers.map(({ body }) => String(body.token))
      expect(new Set(tokens).size).toBe(64)

      for (const server of servers) {
        const codes = await Promise.all(tokens.map((token) => user(server, token)))
        expect(codes.filter((code) => code === 1)).toHaveLength(1)
        expect(codes.filter((code) => code === 2)).toHaveLength(63)
      }
      const listed = await runCommand(['sessions', 'list', person.phone, '--json'], environment)
      expect(listed.stdout.trim().split('\n')).toHaveLength(1)
    },
  )

  test.skipIf(skipped !== null)(
    'without the cost of passwords, when all of them really overlap, it is one as well',
    async () => {
      const options = {
        databaseUrl: environment.HUFU_DATABASE_URL ?? '',
        redisUrl: redis ? redisUrl() : null,
      }
      const domains = await Promise.all(Array.from({ length: 4 }, () => openDomain(options)))
      const [first = expect.fail()] = domains
      const accountId = await addAccount(first.db)
      const issued = await Promise.all(
        Array.from({ length: 64 }, (_, i) =>
          untilAvailable(() => issueSession(domains[i % domains.length] ?? first, accountId)),
        ),
      )
      expect(await first.sessions.list(accountId)).toHaveLength(1)
      for (const { verification } of domains) {
        const verified = await Promise.all(issued.map(({ token }) => verification.verify(token)))
        expect(verified.filter(({ is }) => is === 'live')).toHaveLength(1)
      }
      for (const domain of domains) await domain.close()
    },
  )

  test.skipIf(skipped !== null)('of 16 parallel sign-outs with one token exactly one succeeds', async () => {
    const token = String((await login(serverFor(0))).body.token)
    const codes = await Promise.all(Array.from({ length: 16 }, (_, i) => logout(serverFor(i), token)))
    expect(codes.filter((code) => code === 1)).toHaveLength(1)
    expect(codes.filter((code) => code === 2)).toHaveLength(15)
  })

  /** Requests a code to sign in with, and reads it from the server's standard error. */
  async function codeFor(phoneNumber: string): Promise<string> {
    const sent = await clientOf(serverFor(0)).sendCode({ phoneNumber, purpose: 'sign_in' })
    expect(sent).toMatchObject({ status: 202 })
    const text = new RegExp(`${phoneNumber.slice(-4)}  您的验证码是 (\\d{6})`)
    return await vi.waitFor(() => text.exec(servers[0]?.output() ?? '')?.[1] ?? expect.fail('no message'))
  }

  async function inDatabase<T>(query: (db: Database) => Promise<T>): Promise<T> {
    const db = openDatabase(dialectFor(environment.HUFU_DATABASE_URL ?? '', 1))
    try {
      return await query(db)
    } finally {
      await db.destroy()
    }
  }

  const accountsWith = (phoneNumber: string) =>
    inDatabase((db) =>
      db.selectFrom('hufu_accounts').select('id').where('phone_number', '=', phoneNumber).execute(),
    )

  test.skipIf(skipped !== null)(
    'of 64 parallel sign-ups with one code through two servers one creates the account, and no other succeeds',
    async () => {
      for (let round = 0; round < 2; round++) {
        const phoneNumber = `+861390000700${round}`
        const code = await codeFor(phoneNumber)
        const answers = await Promise.all(
          Array.from({ length: 64 }, (_, i) => clientOf(serverFor(i)).signIn({ phoneNumber, code })),
        )
        expect(answers.filter(({ status }) => status === 201)).toMatchObject([{ body: { created: true } }])
        const refused = answers.filter(({ status }) => status !== 201)
        expect(new Set(refused.map(({ status, body }) => `${status} ${body.code}`))).toEqual(
          new Set(['401 code_wrong']),
        )
        expect(await accountsWith(phoneNumber)).toHaveLength(1)
      }
    },
  )

  test.skipIf(skipped !== null)(
    'of 64 parallel guesses through two servers, the right one among them, five are compared and one wins at most',
    async () => {
      let won = 0
      for (let round = 0; round < 4; round++) {
        const phoneNumber = `+861390000800${round}`
        const code = await codeFor(phoneNumber)
        // In the last rounds every second guess is right, so that some of the five certainly are.
        const isRight = (i: number) => (round < 2 ? i === 7 * round : (i >> 1) % 2 === 0)
        const answers = await Promise.all(
          Array.from({ length: 64 }, (_, i) => {
            const guess = isRight(i) ? code : String((Number(code) + i + 1) % 1e6).padStart(6, '0')
            return clientOf(serverFor(i)).signIn({ phoneNumber, code: guess })
          }),
        )
        const wins = answers.filter(({ status }) => status === 201).length
        expect(wins).toBeLessThanOrEqual(1)
        won += wins
        for (const { status, body } of answers) expect([201, 401], JSON.stringify(body)).toContain(status)
        expect(await accountsWith(phoneNumber)).toHaveLength(wins)
        // The code is used up in any case.
        const late = await clientOf(serverFor(1)).signIn({ phoneNumber, code })
        expect(late).toMatchObject({ status: 401, body: { code: 'code_wrong' } })
        const row = await inDatabase((db) => findCode(db, { phoneNumber, purpose: 'sign_in' }))
        expect(row?.guesses).toBeGreaterThan(0)
        expect(row?.guesses).toBeLessThanOrEqual(5)
      }
      expect(won).toBeGreaterThan(0)
    },
  )

  test.skipIf(skipped !== null)(
    '64 parallel rotations with one token through two servers all get the same successor',
    async () => {
      const old = await signIn(serverFor(0), person.phone, person.password)
      const answers = await Promise.all(
        Array.from({ length: 64 }, (_, i) =>
          i < 32 ? clientOf(serverFor(i)).rotate(old) : rotateWithContentType(serverFor(i), old),
        ),
      )
      for (const answer of answers)
        expect(answer).toMatchObject({
          status: 200,
          body: { session: { id: old.slice(3, 25), current: true } },
        })
      const successors = new Set(answers.map(({ body }) => String(body.token)))
      expect(successors.size).toBe(1)
      expect(successors).not.toContain(old)
      for (const token of [old, ...successors])
        for (const server of servers) expect(await clientOf(server).me(token)).toMatchObject({ status: 200 })
    },
  )

  test.skipIf(skipped !== null)(
    'an old token that is reused on one server ends the session on the other at once',
    async () => {
      for (let i = 0; i < 10; i++) {
        const [server, other] = [serverFor(i), serverFor(i + 1)]
        const old = await signIn(server, person.phone, person.password)
        const successor = String((await clientOf(server).rotate(old)).body.token)
        // Both have it in memory as valid.
        for (const one of [server, other]) expect(await clientOf(one).me(old)).toMatchObject({ status: 200 })
        expect(await clientOf(other).me(successor)).toMatchObject({ status: 200 })
        expect(await clientOf(server).me(successor)).toMatchObject({ status: 200 })
        const reused = { status: 401, body: { code: 'session_token_reused', ended_at: expect.any(String) } }
        expect(await clientOf(server).me(old)).toMatchObject(reused)
        expect(await clientOf(other).me(successor)).toMatchObject(reused)
        expect(await clientOf(server).rotate(successor)).toMatchObject(reused)
      }
    },
  )

  test.skipIf(skipped !== null)(
    'a session ended on one server is refused on the other once the answer arrives',
    async () => {
      for (let i = 0; i < 20; i++) {
        const token = String((await login(serverFor(i))).body.token)
        // Both have it in memory now.
        for (const server of servers) expect(await user(server, token)).toBe(1)
        expect(await logout(serverFor(i), token)).toBe(1)
        expect(await user(serverFor(i + 1), token)).toBe(2)
      }
    },
  )
})

test.skipIf(redisUrl() === null)(
  'of 64 codes that are requested through two servers, the last one of the day goes to one number',
  async () => {
    const { url, drop } = await (databases[0] ?? expect.fail()).create()
    const redis = await startRedis()
    const environment = {
      HUFU_DATABASE_URL: url,
      HUFU_REDIS_URL: redis.url,
      HUFU_LIMITS: 'on',
      HUFU_SMS_DAILY_BUDGET: '3',
      HUFU_TRUSTED_PROXIES: '127.0.0.1',
    }
    const servers = await Promise.all([startProcess(environment), startProcess(environment)])
    const answers = await Promise.all(
      Array.from({ length: 64 }, (_, i) =>
        // Each from another network, to a number of another range: only the budget limits them.
        clientOf(servers[i % 2] ?? servers[0], { from: `198.${i}.100.7` }).sendCode({
          phoneNumber: `+86138${1000 + i}0009`,
          purpose: 'sign_in',
        }),
      ),
    )
    const statuses = answers.map(({ status }) => status)
    expect(statuses.filter((status) => status === 202)).toHaveLength(3)
    expect(statuses.filter((status) => status === 429)).toHaveLength(61)
    const sent = servers.map(({ output }) => output().match(/您的验证码是/g)?.length ?? 0)
    expect(sent.reduce((a, b) => a + b)).toBe(3)
    for (const server of servers) await server.stop()
    await redis.stop()
    await drop()
  },
)

describe.each(databases)('$name', (database) => {
  test.skipIf(database.skipped !== null)(
    'of 16 parallel registrations of one number exactly one succeeds',
    async () => {
      const { url, drop } = await database.create()
      const { openServices } = await import('../../src/app.ts')
      const { readSettings } = await import('../../src/settings/settings.ts')
      const settings = readSettings({ HUFU_DATABASE_URL: url })
      const opened = [await openServices(settings), await openServices(settings)]
      await migrate(opened[0]?.db ?? expect.fail(), settings.database.location.kind)
      const spellings = ['13800005223', '+8613800005223', '138 0000 5223', '0086 138 0000 5223']
      const made = await Promise.allSettled(
        Array.from({ length: 16 }, (_, i) =>
          opened[i % 2]?.accounts.create({
            phoneNumber: spellings[i % spellings.length] ?? '',
            nickname: null,
            password: null,
          }),
        ),
      )
      expect(made.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
      for (const one of made)
        if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'phone_number_taken' })
      for (const services of opened) await services.close()
      await drop()
    },
  )

  test.skipIf(database.skipped !== null)(
    'two processes that migrate at once run each migration once',
    async () => {
      const { url, drop } = await database.createEmpty()
      const environment = { HUFU_DATABASE_URL: url }
      const both = await Promise.all([
        runCommand(['migrate', '--json'], environment),
        runCommand(['migrate', '--json'], environment),
      ])
      for (const one of both) expect(one).toMatchObject({ code: 0, stderr: '' })
      const ran = both.flatMap(({ stdout }) => (JSON.parse(stdout) as { migrated: string[] }).migrated)
      // They alternate, one migration at a time.
      expect(ran.toSorted()).toEqual(allMigrations)

      const kind = databaseKind(url) ?? expect.fail()
      const db = openDatabase(dialectFor(url, 1))
      expect(await pendingMigrations(db, kind)).toEqual([])
      await db.destroy()
      await drop()
    },
  )

  test.skipIf(database.skipped !== null)(
    'a migration that crashed half-way is finished by the next start',
    async () => {
      const { url, drop } = await database.createEmpty()
      const kind = databaseKind(url) ?? expect.fail()
      const db = openDatabase(dialectFor(url, 1))
      await migrate(db, kind)
      // As on MySQL when the process dies between a table and the record of its migration.
      await db.schema.dropTable('hufu_sessions').execute()
      await sql`delete from hufu_migrations`.execute(db)
      expect(await migrate(db, kind)).toEqual(allMigrations)
      expect(await db.selectFrom('hufu_sessions').selectAll().execute()).toEqual([])
      // The same between two columns.
      await db.schema.alterTable('hufu_sessions').dropColumn('rotated_at').execute()
      await db.schema.alterTable('hufu_accounts').dropColumn('locale').execute()
      await sql`delete from hufu_migrations`.execute(db)
      expect(await migrate(db, kind)).toEqual(allMigrations)
      expect(await db.selectFrom('hufu_sessions').select('rotated_at').execute()).toEqual([])
      expect(await db.selectFrom('hufu_accounts').select('locale').execute()).toEqual([])
      await db.destroy()
      await drop()
    },
  )
})
