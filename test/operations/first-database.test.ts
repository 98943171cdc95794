// A database from before 0.1.0 is migrated to the current names, and tables of other programs are left alone.
import { Kysely, sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { columnNames, indexNames, tableNames } from '../../src/database/ddl.ts'
import { migrate, ownTables, pendingMigrations, upgrade } from '../../src/database/migrate.ts'
import { type DatabaseKind, databaseKind, dialectFor, openDatabase } from '../../src/database/open.ts'
import { UnusableDatabaseError } from '../../src/database/unusable.ts'
import { runCommand } from '../support/app.ts'
import { databases } from '../support/databases.ts'
import { createFirstTables, type FirstTables } from './first-database.ts'

const now = Date.UTC(2026, 10, 20)
const accounts = [
  { state: 'active', banned_until: null, ban_reason: null, closes_at: null, phone_proven_at: 5 },
  // A closing that was revoked under a ban that has ended: the purge would have deleted this account.
  { state: 'active', banned_until: 1, ban_reason: 'spam', closes_at: 2, phone_proven_at: null },
  { state: 'banned', banned_until: null, ban_reason: 'fraud', closes_at: null, phone_proven_at: 5 },
  { state: 'banned', banned_until: 3, ban_reason: null, closes_at: 4, phone_proven_at: 5 },
  { state: 'closing', banned_until: null, ban_reason: null, closes_at: 6, phone_proven_at: 5 },
] as const
const text = (prefix: string, i: number, length: number) => `${prefix}${i}`.padEnd(length, '_')

describe.each(databases)('$name', (database) => {
  const { skipped } = database
  let url: string
  let drop: () => Promise<void>
  let kind: DatabaseKind
  const openAlone = () => openDatabase(dialectFor(url, 1))
  const openFirst = () => new Kysely<FirstTables>({ dialect: dialectFor(url, 1) })

  beforeAll(async () => {
    if (skipped !== null) return
    const fresh = await database.createEmpty()
    url = fresh.url
    drop = fresh.drop
    kind = databaseKind(url) ?? expect.fail()
    const db = openFirst()
    await createFirstTables(db, kind)
    await db
      .insertInto('accounts')
      .values(
        accounts.map((account, i) => ({
          ...account,
          id: text('account', i, 36),
          phone_number: `+861380000000${i}`,
          nickname: '小明 📱',
          registered_at: 1,
          updated_at: now,
        })),
      )
      .execute()
    await db
      .insertInto('sessions')
      .values(
        ['phone_proven', 'kicked', null].map((end_reason, i) => ({
          id: text('session', i, 22),
          account_id: text('account', 0, 36),
          token_hash: text('hash', i, 43),
          platform: 'ios',
          created_at: 1,
          seen_at: 1,
          expires_at: null,
          ended_at: end_reason === null ? null : 9,
          end_reason,
        })),
      )
      .execute()
    // More than one batch of the statement that renames words.
    for (let from = 0; from < 25_000; from += 1_000)
      await db
        .insertInto('events')
        .values(
          Array.from({ length: 1_000 }, (_, i) => ({
            id: `e${from + i}`.padStart(22, '0'),
            at: from + i,
            kind: (from + i) % 5_000 === 17 ? 'phone_proven' : 'signed_in',
            account_id: null,
          })),
        )
        .execute()
    await db.destroy()
  })
  afterAll(async () => await drop?.())

  test.skipIf(skipped !== null)(
    'is refused as a whole while a server of the old version is connected',
    async () => {
      const oldServer = openFirst()
      await oldServer.selectFrom('accounts').select('id').execute()
      const refused = await runCommand(['migrate'], { HUFU_DATABASE_URL: url, LANG: 'en' })
      expect(refused).toMatchObject({ code: 1, stdout: '' })
      expect(refused.stderr).toMatch(/still connected.*stop every server of the old version/)
      expect(await oldServer.selectFrom('accounts').select('id').execute()).toHaveLength(accounts.length)
      await oldServer.destroy()
    },
  )

  test.skipIf(skipped !== null)('is migrated by two processes that start together, once', async () => {
    const both = await Promise.all(
      [1, 2].map(() => runCommand(['migrate', '--json'], { HUFU_DATABASE_URL: url })),
    )
    // Slow statements are reported.
    const progress = expect.stringMatching(/^(migration: [^\n]+\n)*$/)
    for (const one of both) expect(one).toMatchObject({ code: 0, stderr: progress })
    // Either process may have run the first ones.
    const ran = both.flatMap(({ stdout }) => (JSON.parse(stdout) as { migrated: string[] }).migrated)
    expect(ran.toSorted()[0]).toBe('0005-own-names')
    expect(new Set(ran).size).toBe(ran.length)
  })

  test.skipIf(skipped !== null)('keeps every row with its content', async () => {
    const db = openAlone()
    expect(await pendingMigrations(db, kind)).toEqual([])
    const rows = await db.selectFrom('hufu_accounts').selectAll().orderBy('id').execute()
    const base = {
      nickname: '小明 📱',
      banned_at: null,
      banned_until: null,
      ban_reason: null,
      closes_at: null,
    }
    expect(rows).toMatchObject([
      { ...base, phone_verified_at: 5 },
      { ...base, phone_verified_at: null },
      { ...base, banned_at: now, ban_reason: 'fraud' },
      { ...base, banned_at: now, banned_until: 3, closes_at: 4 },
      { ...base, closes_at: 6 },
    ])
    const sessions = await db.selectFrom('hufu_sessions').select(['end_reason']).orderBy('id').execute()
    expect(sessions.map((row) => row.end_reason)).toEqual(['phone_verified', 'kicked', null])
    const events = await db.selectFrom('hufu_events').select('kind').execute()
    expect(events).toHaveLength(25_000)
    expect(events.filter((event) => event.kind === 'phone_verified')).toHaveLength(5)
    expect(events.filter((event) => event.kind === 'phone_proven')).toEqual([])
    await db.destroy()
  })

  test.skipIf(skipped !== null)('is then like a new one: tables, columns, indexes', async () => {
    const fresh = await database.createEmpty()
    const [today, upgraded] = [openDatabase(dialectFor(fresh.url, 1)), openAlone()]
    await migrate(today, kind)
    const shapeOf = async (db: typeof today) => {
      const tables = (await tableNames(db, kind)).filter((name) => !name.startsWith('sqlite_')).toSorted()
      const shape = await Promise.all(
        tables.map(async (table) => [
          table,
          (await columnNames(db, kind, table)).toSorted(),
          // MySQL names the index of a unique column after the column, PostgreSQL after the former name of
          // the table.
          (await indexNames(db, kind, table)).toSorted(),
        ]),
      )
      return shape
    }
    expect(await shapeOf(upgraded)).toEqual(await shapeOf(today))
    const own = (await tableNames(today, kind)).filter((name) => /^hufu_(?!migration)/.test(name))
    expect(own.toSorted()).toEqual([...ownTables].toSorted())
    await today.destroy()
    await upgraded.destroy()
    await fresh.drop()
  })

  test.skipIf(skipped !== null)(
    'beside tables of another program is left as it is, and so are those',
    async () => {
      const { url: shared, drop: dropShared } = await database.createEmpty()
      const db = openDatabase(dialectFor(shared, 1))
      // Flask-Session's table, and one whose migrations the same library records.
      await sql`create table sessions (id integer primary key, session_id varchar(255), data varchar(9))`.execute(
        db,
      )
      await sql`create table kysely_migration (name varchar(255) primary key, timestamp varchar(255))`.execute(
        db,
      )
      await sql`insert into kysely_migration values ('2020-theirs', 'x')`.execute(db)
      await db.destroy()
      const open = () => openDatabase(dialectFor(shared, 1))
      expect((await upgrade(open, kind)).at(0)).toBe('0001-accounts-and-sessions')
      const after = open()
      expect(await columnNames(after, kind, 'sessions')).toEqual(['id', 'session_id', 'data'])
      await after.destroy()
      await dropShared()
    },
  )

  test.skipIf(skipped !== null)(
    'with a foreign table of the same name is refused with that name',
    async () => {
      const { url: shared, drop: dropShared } = await database.createEmpty()
      const open = () => openDatabase(dialectFor(shared, 1))
      const db = open()
      await sql`create table hufu_events (id integer primary key)`.execute(db)
      const refusal = await upgrade(open, kind).catch((error: unknown) => error)
      expect(refusal).toBeInstanceOf(UnusableDatabaseError)
      expect(refusal).toMatchObject({ message: expect.stringContaining('hufu_events') })
      expect((await tableNames(db, kind)).filter((name) => name.startsWith('hufu'))).toEqual(['hufu_events'])
      await db.destroy()
      await dropShared()
    },
  )

  test.skipIf(skipped !== null)(
    'in which the old version used a foreign table is refused with that name',
    async () => {
      const { url: shared, drop: dropShared } = await database.createEmpty()
      const first = new Kysely<FirstTables>({ dialect: dialectFor(shared, 1) })
      await createFirstTables(first, kind)
      await sql`drop table sessions`.execute(first)
      await sql`create table sessions (id integer primary key, session_id varchar(255))`.execute(first)
      await first.destroy()
      const refusal = await upgrade(() => openDatabase(dialectFor(shared, 1)), kind).catch((error) => error)
      expect(refusal).toBeInstanceOf(UnusableDatabaseError)
      expect(refusal.message).toContain('"sessions"')
      await dropShared()
    },
  )

  test.skipIf(skipped !== null)(
    'that a newer version has migrated further still starts, and doctor says so',
    async () => {
      const { url: newer, drop: dropNewer } = await database.createEmpty()
      const db = openDatabase(dialectFor(newer, 1))
      await migrate(db, kind)
      await sql`insert into hufu_migrations (name, timestamp) values ('9999-from-the-future', 'x')`.execute(
        db,
      )
      expect(await migrate(db, kind)).toEqual([])
      const doctor = await runCommand(['doctor'], { HUFU_DATABASE_URL: newer, LANG: 'en' })
      expect(doctor.stdout).toMatch(
        /^✓ schema +up to date; a later version has migrated further: 9999-from-the-future$/m,
      )
      await db.destroy()
      await dropNewer()
    },
  )
})
