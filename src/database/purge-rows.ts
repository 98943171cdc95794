// The last visit of each purge step, in SQL. No policy here.
import type { Database, PurgesTable } from './schema.ts'

/** The record of a purge step; null before its first visit. */
export async function findPurge(db: Database, name: string): Promise<PurgesTable | null> {
  const row = await db.selectFrom('hufu_purges').selectAll().where('name', '=', name).executeTakeFirst()
  return row ?? null
}

/** Every record, in the order of the names. */
export async function listPurges(db: Database): Promise<PurgesTable[]> {
  return await db.selectFrom('hufu_purges').selectAll().orderBy('name').execute()
}

/**
 * Inserts the first record of a purge step.
 * @throws the driver's unique violation where another process has inserted it
 */
export async function insertPurge(db: Database, row: PurgesTable): Promise<void> {
  await db.insertInto('hufu_purges').values(row).execute()
}

/** Updates a record that has not changed since it was read; false where another process has changed it. */
export async function updatePurge(db: Database, from: PurgesTable, to: PurgesTable): Promise<boolean> {
  const { name, ...values } = to
  const result = await db
    .updateTable('hufu_purges')
    .set(values)
    .where('name', '=', name)
    .where('seen_at', '=', from.seen_at)
    .where('wait_ms', '=', from.wait_ms)
    .executeTakeFirst()
  return result.numUpdatedRows > 0n
}
