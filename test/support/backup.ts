// A backup of all tables and its restore under running servers, as `mysqldump` or `pg_restore` do it.
import { sql } from 'kysely'
import { ownTables } from '../../src/database/migrate.ts'
import type { Database } from '../../src/database/schema.ts'

interface Backup {
  /** Puts the rows of the backup in place of those that are there, in one transaction. */
  restore(): Promise<void>
}

/** Accounts first: rows of other tables refer to them. */
const tables = ['hufu_accounts', ...ownTables.filter((name) => name !== 'hufu_accounts')]

export async function backUp(db: Database): Promise<Backup> {
  const rowsOf = new Map<string, readonly Record<string, unknown>[]>()
  for (const table of tables) {
    const { rows } = await sql<Record<string, unknown>>`select * from ${sql.table(table)}`.execute(db)
    rowsOf.set(table, rows)
  }
  return {
    restore: () =>
      db.transaction().execute(async (tx) => {
        for (const table of tables.toReversed()) await sql`delete from ${sql.table(table)}`.execute(tx)
        for (const [table, rows] of rowsOf) {
          for (const row of rows) {
            const columns = sql.join(Object.keys(row).map((column) => sql.ref(column)))
            const values = sql.join(Object.values(row))
            await sql`insert into ${sql.table(table)} (${columns}) values (${values})`.execute(tx)
          }
        }
      }),
  }
}
