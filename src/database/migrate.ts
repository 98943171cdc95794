// Updates the schema: runs each numbered migration once, also when two processes start together.
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { type Migration, type MigrationResultSet, Migrator } from 'kysely/migration'
import { tableNames } from './ddl.ts'
import { isRetryable } from './failures.ts'
import { lockForTransaction, MigrationLockHeld, waitingForHolder } from './migration-lock.ts'
import type { Sentence, Tell } from './migration-progress.ts'
import { accountsAndSessions } from './migrations/0001-accounts-and-sessions.ts'
import { tokenRotation } from './migrations/0002-token-rotation.ts'
import { codesAndEvents } from './migrations/0003-codes-and-events.ts'
import { accountChanges } from './migrations/0004-account-changes.ts'
import { ownNames } from './migrations/0005-own-names.ts'
import { deviceProofs } from './migrations/0007-device-proofs.ts'
import { limitCounters } from './migrations/0008-limit-counters.ts'
import { purgesAndIndexes } from './migrations/0009-purges-and-indexes.ts'
import { pendingEnds } from './migrations/0010-pending-ends.ts'
import { changeKinds } from './migrations/0011-change-kinds.ts'
import { identities } from './migrations/0014-identities.ts'
import { removedNumbers } from './migrations/0015-removed-numbers.ts'
import { signInKeys } from './migrations/0016-sign-in-keys.ts'
import { keyedGuesses } from './migrations/0017-keyed-guesses.ts'
import { feedSteps } from './migrations/0018-feed-steps.ts'
import { oldSessions } from './migrations/0019-old-sessions.ts'
import { serviceKeys } from './migrations/0020-service-keys.ts'
import { renameFirstTables } from './old-table-names.ts'
import type { DatabaseKind } from './open.ts'
import type { Database } from './schema.ts'
import { UnusableDatabaseError } from './unusable.ts'

/**
 * The tables of `Tables` (schema.ts). A test compares the list with the tables that the migrations create.
 */
export const ownTables: readonly string[] = [
  'hufu_account_changes',
  'hufu_accounts',
  'hufu_barred_numbers',
  'hufu_codes',
  'hufu_device_proofs',
  'hufu_events',
  'hufu_feed',
  'hufu_identities',
  'hufu_limit_counters',
  'hufu_pending_ends',
  'hufu_purges',
  'hufu_server_keys',
  'hufu_service_key_networks',
  'hufu_service_keys',
  'hufu_sessions',
]

const waitForLocksMs = 3_600_000
/** A pause for the requests that waited behind a statement which did not get its lock. */
const pauseMs = 500
const waiting: Sentence = {
  zh: '迁移：表或数据库被其他程序占用，正在等待',
  en: 'migration: waiting, because another program holds a lock on a table or on the database',
}

function migrations(kind: DatabaseKind): Record<string, Migration> {
  return {
    '0001-accounts-and-sessions': accountsAndSessions(kind),
    '0002-token-rotation': tokenRotation(kind),
    '0003-codes-and-events': codesAndEvents(kind),
    '0004-account-changes': accountChanges(kind),
    '0005-own-names': ownNames(kind),
    '0007-device-proofs': deviceProofs(kind),
    '0008-limit-counters': limitCounters(kind),
    '0009-purges-and-indexes': purgesAndIndexes(kind),
    '0010-pending-ends': pendingEnds(kind),
    '0011-change-kinds': changeKinds(kind),
    '0014-identities': identities(kind),
    '0015-removed-numbers': removedNumbers(kind),
    '0016-sign-in-keys': signInKeys(kind),
    '0017-keyed-guesses': keyedGuesses(kind),
    '0018-feed-steps': feedSteps(kind),
    '0019-old-sessions': oldSessions(kind),
    '0020-service-keys': serviceKeys(kind),
  }
}

function migrator(db: Database, kind: DatabaseKind): Migrator {
  return new Migrator({
    db,
    provider: { getMigrations: async () => migrations(kind) },
    migrationTableName: 'hufu_migrations',
    migrationLockTableName: 'hufu_migration_lock',
    // A later migration may have run already: that of a version built from another branch.
    allowUnorderedMigrations: true,
  })
}

/**
 * Updates a database, including one from before 0.1.0, and returns the names of the migrations that ran.
 * @param open opens the database with one connection
 * @throws UnusableDatabaseError where it has tables with Hufu's names that are not Hufu's, or a version from
 * before 0.1.0 still uses it
 */
export async function upgrade(
  open: () => Database,
  kind: DatabaseKind,
  tell: Tell = () => {},
): Promise<string[]> {
  await renameFirstTables(open, kind)
  const db = open()
  try {
    return await migrate(db, kind, tell)
  } finally {
    await db.destroy()
  }
}

/**
 * Runs the pending migrations, and returns their names. A migration that does not get a lock is retried for
 * an hour; between two attempts no request waits behind it.
 * @param tell called while it waits
 * @throws the first failure; the migrations before it stay recorded, and a second run continues after them
 */
export async function migrate(db: Database, kind: DatabaseKind, tell: Tell = () => {}): Promise<string[]> {
  const executed = await executedMigrations(db, kind)
  // A newer version may have run its migrations. This version can work with them, but the library would
  // refuse them.
  if (Object.keys(migrations(kind)).every((name) => executed.includes(name))) return []
  if (kind !== 'sqlite') return await runMigrations(db, kind, tell)
  // A migration may have to rebuild a table, and must not delete the rows that refer to the old one. The
  // pragma does nothing inside a transaction (https://sqlite.org/pragma.html#pragma_foreign_keys).
  await sql`pragma foreign_keys = off`.execute(db)
  try {
    return await runMigrations(db, kind, tell)
  } finally {
    await sql`pragma foreign_keys = on`.execute(db)
  }
}

async function runMigrations(db: Database, kind: DatabaseKind, tell: Tell): Promise<string[]> {
  const done: string[] = []
  const waitedFor = waitsForLocks(db, kind, tell)
  for (let catalogTry = 1; ; ) {
    // One at a time: a migration that does not get a lock does not roll back those before it.
    const { error, results = [] } = await migrateUp(db, kind)
    if (!error) {
      if (results.length === 0) return done
      done.push(...results.map(({ migrationName }) => migrationName))
      catalogTry = 1
    } else if (!(await waitedFor(error))) {
      if (catalogTry++ === catalogTries || !isSchemaRace(error, results)) throw error
      // Two processes that are equally fast would meet at the next statement again.
      await sleep(catalogRetryMs * (0.5 + Math.random()))
    }
  }
}

/** A function that waits, for an error that means that another program holds a lock; false for others. */
function waitsForLocks(db: Database, kind: DatabaseKind, tell: Tell): (error: unknown) => Promise<boolean> {
  const told = new Set<string>()
  const giveUpAt = performance.now() + waitForLocksMs
  return async (error) => {
    if (performance.now() >= giveUpAt) return false
    if (error instanceof MigrationLockHeld) {
      const sentence = await waitingForHolder(db, kind)
      if (!told.has(sentence.en)) tell(sentence)
      told.add(sentence.en)
      return true
    }
    if (!isRetryable(error)) return false
    tell(waiting)
    await sleep(pauseMs)
    return true
  }
}

/** Runs the next migration. On PostgreSQL all of it is one transaction, which holds the lock. */
async function migrateUp(db: Database, kind: DatabaseKind): Promise<MigrationResultSet> {
  if (kind !== 'postgres') return await migrator(db, kind).migrateUp()
  let failed: MigrationResultSet | null = null
  try {
    return await db.transaction().execute(async (tx) => {
      await lockForTransaction(tx)
      const result = await migrator(tx, kind).migrateUp()
      if (!result.error) return result
      failed = result
      throw result.error
    })
  } catch (error) {
    return failed ?? { error }
  }
}

const catalogTries = 10
const catalogRetryMs = 200
/** `undefined_column`, `undefined_table` and `internal_error` (PostgreSQL's manual, appendix A). */
const catalogRaces = new Set<unknown>(['42703', '42P01', 'XX000'])

/** Numbers of MariaDB: another process was first at the same change of a table. */
const doneElsewhere = new Set<unknown>([
  1050, // ER_TABLE_EXISTS_ERROR
  1054, // ER_BAD_FIELD_ERROR: it was renamed
  1060, // ER_DUP_FIELDNAME
  1061, // ER_DUP_KEYNAME
  1062, // ER_DUP_ENTRY: the record of the migration
  1091, // ER_CANT_DROP_FIELD_OR_KEY
  1146, // ER_NO_SUCH_TABLE: it was renamed
  1317, // ER_QUERY_INTERRUPTED: a change of the same table through another node came first
  1826, // ER_FK_DUP_NAME
])

function isSchemaRace(error: unknown, results: readonly unknown[]): boolean {
  return isDoneElsewhere(error) || (results.length === 0 && isCatalogRace(error))
}

/**
 * Whether another process has made the same change of the schema. On a Galera cluster, the library's lock
 * holds for one node only, so that two processes may run the same migration through two nodes. The cluster
 * runs their statements one after another, and each statement of a migration may run twice.
 */
function isDoneElsewhere(error: unknown): boolean {
  return error instanceof Error && 'errno' in error && doneElsewhere.has(error.errno)
}

/**
 * Whether a table or column disappeared while PostgreSQL described it: the library reads the whole catalog
 * before it takes its lock, while another process may rename tables.
 */
function isCatalogRace(error: unknown): boolean {
  return error instanceof Error && 'code' in error && catalogRaces.has(error.code)
}

/** The names of migrations that have not run yet. @throws UnusableDatabaseError as `migrate` does */
export async function pendingMigrations(db: Database, kind: DatabaseKind): Promise<string[]> {
  const executed = await executedMigrations(db, kind)
  return Object.keys(migrations(kind)).filter((name) => !executed.includes(name))
}

/** The names of migrations that a later version has run. @throws UnusableDatabaseError as `migrate` does */
export async function laterMigrations(db: Database, kind: DatabaseKind): Promise<string[]> {
  const last = Object.keys(migrations(kind)).at(-1) ?? ''
  return (await executedMigrations(db, kind)).filter((name) => name > last)
}

/** The number of all migrations, which are all pending in an empty database. */
export function migrationCount(kind: DatabaseKind): number {
  return Object.keys(migrations(kind)).length
}

/**
 * @throws UnusableDatabaseError where there are tables with Hufu's names that its migrations did not create
 */
async function executedMigrations(db: Database, kind: DatabaseKind): Promise<string[]> {
  const present = await tableNames(db, kind)
  if (!present.includes('hufu_migrations')) {
    // The library creates that table before all others.
    const foreign = present.filter((name) => ownTables.includes(name))
    if (foreign.length > 0) throw foreignTables(foreign.join(', '))
    return []
  }
  const rows = await db
    .withTables<{ hufu_migrations: { name: string } }>()
    .selectFrom('hufu_migrations')
    .select('name')
    .execute()
  return rows.map(({ name }) => name)
}

function foreignTables(names: string): UnusableDatabaseError {
  return new UnusableDatabaseError(
    `数据库里已有名为 ${names} 的表，但没有 Hufu 的迁移记录（表 hufu_migrations）：Hufu 不会改动它们，请换一个数据库（修改 HUFU_DATABASE_URL）。`,
    `This database has tables named ${names}, but no record of Hufu's migrations (table hufu_migrations): Hufu leaves them alone; set HUFU_DATABASE_URL to another database.`,
  )
}
