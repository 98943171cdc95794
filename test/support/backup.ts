// A backup of all tables and its restore under running servers, as `mysqldump` or `pg_restore` do it.
import { sql } from 'kysely'
import { ownTables } from '../../src/database/migrate.ts'
import type { Database } from '../../src/database/schema.ts'
import { inTransaction } from '../../src/database/transaction.ts'

interface Backup {
  /** Puts the rows of the backup in place of those that are there, in one transaction. */
  restore(db: Database): Promise<void>
}

type Row = Record<string, unknown>

/** Accounts first: rows of other tables refer to them. */
const tables = ['hufu_accounts', ...ownTables.filter((name) => name !== 'hufu_accounts')]
const rowsAtOnce = 200

/** @param db while servers run, a transaction that sees one moment */
export async function backUp(db: Database): Promise<Backup> {
  const rowsOf = new Map<string, readonly Row[]>()
  for (const table of tables) {
    const { rows } = await sql<Row>`select * from ${sql.table(table)}`.execute(db)
    rowsOf.set(table, rows)
  }
  return {
    // The servers take their locks in another order, so a deadlock ends one of both.
    restore: (to) =>
      inTransaction(to, async (tx) => {
        for (const table of tables.toReversed()) await sql`delete from ${sql.table(table)}`.execute(tx)
        for (const [table, rows] of rowsOf)
          for (let i = 0; i < rows.length; i += rowsAtOnce)
            await insert(tx, table, rows.slice(i, i + rowsAtOnce))
      }),
  }
}

async function insert(db: Database, table: string, rows: readonly Row[]): Promise<void> {
  const columns = sql.join(Object.keys(rows[0] ?? {}).map((column) => sql.ref(column)))
  const values = sql.join(rows.map((row) => sql`(${sql.join(Object.values(row))})`))
  await sql`insert into ${sql.table(table)} (${columns}) values ${values}`.execute(db)
}
