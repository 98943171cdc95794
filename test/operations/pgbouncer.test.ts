// Through PgBouncer, each transaction may run on another connection to PostgreSQL, which other programs use
// too.
import { sql } from 'kysely'
import { Client } from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest'
import { openServices } from '../../src/app.ts'
import { dialectFor, openDatabase } from '../../src/database/open.ts'
import type { Database } from '../../src/database/schema.ts'
import { requestDeadlines } from '../../src/database/session-defaults.ts'
import { inTransaction } from '../../src/database/transaction.ts'
import { readSettings } from '../../src/settings/settings.ts'
import { addPerson, person, runCommand, startProcess } from '../support/app.ts'
import { whyMissing } from '../support/services/binaries.ts'
import { startPgbouncer } from '../support/services/pgbouncer.ts'
import { createPostgresDatabase, type Postgres, startPostgres } from '../support/services/postgres.ts'

const skipped = inject('postgres').skipped ?? whyMissing(['pgbouncer'], 'pgbouncer')

const asInstalled = ['pool_mode = transaction', 'default_pool_size = 3', 'max_client_conn = 100']
const modes: readonly (readonly [name: string, lines: readonly string[]])[] = [
  ['transaction pooling', asInstalled],
  [
    'transaction pooling that ignores startup parameters',
    [...asInstalled, 'ignore_startup_parameters = lock_timeout,statement_timeout'],
  ],
  ['session pooling', ['pool_mode = session', 'default_pool_size = 40']],
]

describe.skipIf(skipped !== null).each(modes)('PgBouncer, %s', (mode, lines) => {
  let server: Postgres
  /** A database through the pooler, and past it. */
  let url: string
  let directUrl: string
  let stopPooler: () => Promise<void>
  const closers: (() => Promise<unknown>)[] = []

  beforeAll(async () => {
    server = await startPostgres()
    directUrl = await createPostgresDatabase(server.url)
    const pooler = await startPgbouncer(server, lines)
    stopPooler = pooler.stop
    url = pooler.url + new URL(directUrl).pathname
  }, 60_000)

  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close()
  }, 60_000)

  afterAll(async () => {
    await stopPooler?.()
    await server?.stop()
  })

  function open(deadlines = requestDeadlines): Database {
    const db = openDatabase(dialectFor(url, 2, { deadlines }))
    closers.push(() => db.destroy())
    return db
  }

  async function connect(to: string): Promise<Client> {
    const client = new Client({ connectionString: to })
    await client.connect()
    closers.push(() => client.end())
    return client
  }

  const shown = sql<Record<string, string>>`select current_setting('statement_timeout') as statement,
    current_setting('lock_timeout') as lock, current_setting('idle_in_transaction_session_timeout') as idle,
    current_setting('transaction_read_only') as read_only, current_setting('transaction_isolation') as isolation,
    current_setting('synchronous_commit') as durability, ${1}::int as parameter`
  const ours = {
    statement: '5s',
    lock: '4s',
    idle: '10s',
    read_only: 'off',
    isolation: 'read committed',
    durability: 'on',
    parameter: 1,
  }

  test('two servers start at once on an empty database, and sign in and out', async () => {
    const servers = await Promise.all([1, 2].map(() => startProcess({ HUFU_DATABASE_URL: url })))
    for (const one of servers) closers.push(() => one.stop())
    const services = await openServices(readSettings({ HUFU_DATABASE_URL: url }))
    await addPerson(services)
    await services.close()
    const [first, second] = servers.map((one) => one.url)
    const signedIn = await fetch(`${first}/v1/sessions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ phone_number: person.phone, password: person.password }),
    })
    expect(signedIn.status).toBe(201)
    const { token } = (await signedIn.json()) as { token: string }
    const ask = (method: string, to = second) =>
      fetch(`${to}/v1/session`, { method, headers: { authorization: `Bearer ${token}` } })
    expect((await ask('GET')).status).toBe(200)
    expect((await ask('DELETE')).status).toBe(204)
    expect((await ask('GET', first)).status).toBe(401)
    expect((await fetch(`${first}/readyz`)).status).toBe(200)
    // A lock for a session would stay with the pooler's connection.
    const direct = await connect(directUrl)
    const { rows } = await direct.query("select count(*)::int as n from pg_locks where locktype = 'advisory'")
    expect(rows).toEqual([{ n: 0 }])
  }, 90_000)

  test('every statement and every transaction has our settings, whatever other programs have left', async () => {
    if (mode !== 'session pooling') {
      const others = await Promise.all([1, 2, 3].map(() => connect(url)))
      // At once, so that each has a connection of its own to the server.
      await Promise.all(
        others.map(async (other) => {
          await other.query('begin')
          await other.query('select pg_sleep(0.1)')
          await other.query("set statement_timeout = '77s'")
          await other.query('set default_transaction_read_only = on')
          await other.query("set default_transaction_isolation = 'serializable'")
          await other.query('set synchronous_commit = off')
          await other.query('commit')
        }),
      )
    }
    const db = open()
    for (let i = 0; i < 5; i++) {
      expect((await shown.execute(db)).rows).toEqual([ours])
      expect((await inTransaction(db, (tx) => shown.execute(tx))).rows).toEqual([ours])
    }
    await sql`create table if not exists things (id int primary key)`.execute(db)
    await sql`insert into things values (${1}) on conflict do nothing`.execute(db)
    const { numDeletedRows } = await db
      .withTables<{ things: { id: number } }>()
      .deleteFrom('things')
      .where('id', '=', 1)
      .executeTakeFirstOrThrow()
    expect(numDeletedRows).toBe(1n)
  })

  test('nothing of ours is left on the connections of the pooler', async () => {
    const db = open()
    await Promise.all(
      [1, 2, 3, 4].map(() => inTransaction(db, (tx) => sql`select pg_sleep(0.05)`.execute(tx))),
    )
    const others = await Promise.all([1, 2, 3].map(() => connect(url)))
    const left = await Promise.all(
      others.map((other) => other.query("select pg_sleep(0.1), current_setting('lock_timeout') as lock")),
    )
    if (mode !== 'session pooling') expect(left.map(({ rows }) => rows[0].lock)).toEqual(['0', '0', '0'])
  })

  test('the server ends what waits too long, outside of a transaction too', async () => {
    const db = open({ ...requestDeadlines, lockMs: 100 })
    await sql`create table if not exists things (id int primary key)`.execute(db)
    await sql`insert into things values (2) on conflict do nothing`.execute(db)
    const holder = await connect(directUrl)
    await holder.query('begin')
    await holder.query('select * from things where id = 2 for update')
    const update = sql`update things set id = ${3} where id = ${2}`
    await expect(update.execute(db)).rejects.toMatchObject({ code: '55P03' })
    await expect(db.transaction().execute((tx) => update.execute(tx))).rejects.toMatchObject({
      code: '55P03',
    })
    await holder.query('rollback')
    await expect(update.execute(db)).resolves.toMatchObject({ numAffectedRows: 1n })
    await sql`delete from things`.execute(db)
  })

  test('an error rolls everything back, and the next statement works', async () => {
    const db = open()
    await sql`create table if not exists things (id int primary key)`.execute(db)
    const work = inTransaction(db, async (tx) => {
      await sql`insert into things values (${7})`.execute(tx)
      await sql`insert into things values (${7})`.execute(tx)
    })
    await expect(work).rejects.toMatchObject({ code: '23505' })
    await expect(sql`insert into nowhere values (${7})`.execute(db)).rejects.toMatchObject({ code: '42P01' })
    expect((await sql`select * from things where id = ${7}`.execute(db)).rows).toEqual([])
  })
})

describe.skipIf(skipped !== null)('PgBouncer, statement pooling', () => {
  test('serve does not wait and doctor finds a problem; both say what to set', async () => {
    const server = await startPostgres()
    const pooler = await startPgbouncer(server, ['pool_mode = statement'])
    try {
      const environment = {
        HUFU_DATABASE_URL: `${pooler.url}/postgres`,
        HUFU_DATABASE_WAIT_SECONDS: '3600',
      }
      const advice = /set it to transaction or session in pgbouncer\.ini/
      expect(await runCommand(['serve'], environment)).toMatchObject({
        code: 2,
        stdout: '',
        stderr: expect.stringMatching(advice),
      })
      expect(await runCommand(['doctor'], environment)).toMatchObject({
        code: 1,
        stdout: expect.stringMatching(advice),
      })
      const chinese = await runCommand(['serve'], { ...environment, LANG: 'zh_CN.UTF-8' })
      expect(chinese.stderr).toContain('请在 pgbouncer.ini 里改为 transaction 或 session')
    } finally {
      await pooler.stop()
      await server.stop()
    }
  }, 60_000)
})
