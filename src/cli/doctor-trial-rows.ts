// Tries each kind of write that a server makes, in a transaction that is rolled back.
import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { insertChange } from '../changes/change-rows.ts'
import type { DatabaseKind } from '../database/open.ts'
import type { Database, Tables } from '../database/schema.ts'

/** Every table, with one of its columns. A test compares them with the tables of a database. */
export const triedTables = {
  hufu_account_changes: 'account_id',
  hufu_accounts: 'id',
  hufu_barred_numbers: 'number_hash',
  hufu_codes: 'phone_number',
  hufu_device_proofs: 'device_id',
  hufu_events: 'id',
  hufu_feed: 'history',
  hufu_identities: 'account_id',
  hufu_limit_counters: 'name',
  hufu_pending_ends: 'account_id',
  hufu_purges: 'name',
  hufu_server_keys: 'name',
  hufu_service_key_networks: 'key_id',
  hufu_service_keys: 'name',
  hufu_sessions: 'id',
} satisfies Partial<Record<keyof Tables, string>>

class RolledBack extends Error {}

/**
 * Databases check permissions even where no row matches. The exception is a sequence: only an inserted row
 * takes a number from it.
 * @throws the error of the first statement that the database refuses
 */
export async function tryWrites(db: Database, kind: DatabaseKind): Promise<void> {
  try {
    await db.transaction().execute(async (tx) => {
      for (const [name, columnName] of Object.entries(triedTables)) {
        const [table, column] = [sql.table(name), sql.ref(columnName)]
        const lock = kind === 'sqlite' ? sql`` : sql`for update`
        await sql`insert into ${table} select * from ${table} where 1 = 0`.execute(tx)
        await sql`update ${table} set ${column} = ${column} where 1 = 0`.execute(tx)
        await sql`select ${column} from ${table} where 1 = 0 ${lock}`.execute(tx)
        await sql`delete from ${table} where 1 = 0`.execute(tx)
      }
      await insertChange(tx, randomUUID(), Date.now())
      throw new RolledBack()
    })
  } catch (error) {
    if (!(error instanceof RolledBack)) throw error
  }
}
