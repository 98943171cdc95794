// Brings the schema up to date: each numbered migration once, also when two processes start together.
import { type MigrationProvider, Migrator } from 'kysely/migration'
import { accountsAndSessions } from './migrations/0001-accounts-and-sessions.ts'
import { tokenRotation } from './migrations/0002-token-rotation.ts'
import { codesAndEvents } from './migrations/0003-codes-and-events.ts'
import { accountChanges } from './migrations/0004-account-changes.ts'
import { purgesAndIndexes } from './migrations/0009-purges-and-indexes.ts'
import type { DatabaseKind } from './open.ts'
import type { Database } from './schema.ts'

function migrations(kind: DatabaseKind): MigrationProvider {
  return {
    getMigrations: async () => ({
      '0001-accounts-and-sessions': accountsAndSessions(kind),
      '0002-token-rotation': tokenRotation(kind),
      '0003-codes-and-events': codesAndEvents(kind),
      '0004-account-changes': accountChanges(kind),
      '0009-purges-and-indexes': purgesAndIndexes(kind),
    }),
  }
}

/**
 * Runs the migrations that the database has not had yet, and returns their names.
 * @throws the first failure; what ran before it stays recorded, and a second run goes on from there
 */
export async function migrate(db: Database, kind: DatabaseKind): Promise<string[]> {
  const { error, results = [] } = await new Migrator({ db, provider: migrations(kind) }).migrateToLatest()
  if (error) throw error
  return results.map((result) => result.migrationName)
}

/** The names of migrations that have not run yet. */
export async function pendingMigrations(db: Database, kind: DatabaseKind): Promise<string[]> {
  const known = await new Migrator({ db, provider: migrations(kind) }).getMigrations()
  return known.filter((migration) => !migration.executedAt).map((migration) => migration.name)
}
