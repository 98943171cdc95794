// Migrations of large tables: statements without a timeout, locks of other sessions, and the messages to the
// operator.
import { sql } from 'kysely'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { dropIndexes } from '../../src/database/ddl.ts'
import { migrate, migrationCount } from '../../src/database/migrate.ts'
import { lockForTransaction, mysqlLockName } from '../../src/database/migration-lock.ts'
import { dialectThatTells } from '../../src/database/migration-progress.ts'
import { databaseKind, dialectFor, openDatabase } from '../../src/database/open.ts'
import type { Database } from '../../src/database/schema.ts'
import { migrationDeadlines } from '../../src/database/session-defaults.ts'
import { statementMs } from '../../src/timing.ts'
import { databases, type FreshDatabase } from '../support/databases.ts'
import { insertMany } from '../support/many-rows.ts'

// The duration here is waiting, so the databases wait at the same time; the tests of each run one after
// another.
describe.concurrent.each(databases)('on $name', (database) => {
  const usable = test.skipIf(database.skipped !== null)
  let fresh: FreshDatabase
  const kind = () => databaseKind(fresh.url) ?? expect.fail('no kind')
  const open: Database[] = []
  const messages: string[] = []
  let onReport = () => {}

  const openPlain = () => {
    const db = openDatabase(dialectFor(fresh.url, 1))
    open.push(db)
    return db
  }
  const report = ({ en }: { en: string }) => {
    messages.push(en)
    onReport()
  }
  const openMigrating = () => {
    const dialect = dialectFor(fresh.url, 1, { deadlines: migrationDeadlines })
    const db = openDatabase(dialectThatTells(dialect, kind(), report))
    open.push(db)
    return db
  }

  beforeEach(async () => {
    if (database.skipped !== null) return
    fresh = await database.createEmpty()
    messages.length = 0
    onReport = () => {}
  })
  afterEach(async () => {
    for (const db of open.splice(0)) await db.destroy()
    await fresh?.drop()
  })

  usable(
    'a migration whose table is locked for longer than a statement of a request may take waits, and says so and what it does',
    { concurrent: false, timeout: 120_000 },
    async () => {
      const other = openPlain()
      await migrate(other, kind())
      await insertMany(other, kind(), 'hufu_events', 12_000, {
        id: (i, { padded }) => padded(i, 22),
        at: (i) => sql`${i} + 0`,
        kind: () => sql`'signed_in'`,
      })
      if (kind() !== 'sqlite')
        await sql`analyze ${kind() === 'mysql' ? sql`table ` : sql``}hufu_events`.execute(other)
      await dropIndexes(other, kind(), 'hufu_events', ['phone_at_id'])
      await sql`delete from hufu_migrations where name = '0009-purges-and-indexes'`.execute(other)

      const holding = Promise.withResolvers<void>()
      const release = Promise.withResolvers<void>()
      const holder = other.transaction().execute(async (tx) => {
        if (kind() === 'postgres') await sql`lock table hufu_events in access exclusive mode`.execute(tx)
        else await tx.selectFrom('hufu_events').select('id').limit(1).execute()
        holding.resolve()
        await release.promise
      })
      await holding.promise
      const began = performance.now()
      onReport = () => {
        if (performance.now() - began > statementMs) release.resolve()
      }
      const migrating = migrate(openMigrating(), kind(), report).finally(() => release.resolve())
      expect(await migrating).toEqual(['0009-purges-and-indexes'])
      await holder
      expect(messages.filter((line) => line.includes('waiting')).length).toBeGreaterThan(0)
      const adding = /adding index hufu_events_phone_at_id on hufu_events, about 1\d,000 rows/
      expect(messages.join('\n')).toMatch(adding)
    },
  )

  const onServers = database.name === 'sqlite' ? null : usable
  onServers?.(
    'a statement of a migration takes longer than one of a request may',
    { concurrent: false },
    async () => {
      const db = openMigrating()
      const seconds = sql.lit(statementMs / 1000 + 1)
      const wait =
        kind() === 'mysql' ? sql`select sleep(${seconds}) as slept` : sql`select pg_sleep(${seconds})`
      await Promise.all([
        expect(wait.execute(db)).resolves.toBeDefined(),
        expect(wait.execute(openPlain())).rejects.toThrow(),
      ])
    },
  )

  onServers?.(
    'a process that waits for another one that migrates names it, and other databases of the server do not wait',
    { concurrent: false },
    async () => {
      const holding = Promise.withResolvers<void>()
      const release = Promise.withResolvers<void>()
      const hold = async (lock: () => Promise<unknown>) => {
        await lock()
        holding.resolve()
        await release.promise
      }
      const holder =
        kind() === 'mysql'
          ? openPlain()
              .connection()
              .execute(async (db) => {
                await hold(() => sql`select get_lock(${mysqlLockName}, 0)`.execute(db))
                await sql`select release_lock(${mysqlLockName})`.execute(db)
              })
          : openPlain()
              .transaction()
              .execute((tx) => hold(() => lockForTransaction(tx)))
      await holding.promise
      const migrating = migrate(openMigrating(), kind(), report)

      const another = await database.createEmpty()
      const db = openDatabase(dialectFor(another.url, 1))
      open.push(db)
      expect(await migrate(db, kind())).toHaveLength(migrationCount(kind()))

      await vi.waitFor(() => expect(messages).not.toEqual([]), 30_000)
      release.resolve()
      expect(await migrating).toHaveLength(migrationCount(kind()))
      await holder
      const waiting =
        /^migration: waiting for another process that migrates this database \(connection \d+ from \S+\)$/
      expect(messages).toEqual([expect.stringMatching(waiting)])
      await db.destroy()
      await another.drop()
    },
  )

  usable('of small tables print nothing', { concurrent: false }, async () => {
    await migrate(openMigrating(), kind(), report)
    expect(messages).toEqual([])
  })
})
