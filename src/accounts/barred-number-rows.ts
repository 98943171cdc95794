// Banned numbers without an account, in SQL. No policy here.
import type { Database } from '../database/schema.ts'

/** Stores the ban of an account that is removed. */
export async function insertBarredNumber(
  tx: Database,
  row: { readonly hash: string; readonly bannedAt: number; readonly reason: string | null },
): Promise<void> {
  await deleteBarredNumber(tx, row.hash)
  await tx
    .insertInto('hufu_barred_numbers')
    .values({ number_hash: row.hash, banned_at: row.bannedAt, ban_reason: row.reason })
    .execute()
}

/** Whether a number without an account is banned. */
export async function isBarredNumber(tx: Database, hash: string): Promise<boolean> {
  const row = await tx
    .selectFrom('hufu_barred_numbers')
    .select('number_hash')
    .where('number_hash', '=', hash)
    .executeTakeFirst()
  return row !== undefined
}

/** Ends the ban of a number without an account. @returns whether there was one */
export async function deleteBarredNumber(tx: Database, hash: string): Promise<boolean> {
  const result = await tx.deleteFrom('hufu_barred_numbers').where('number_hash', '=', hash).executeTakeFirst()
  return result.numDeletedRows > 0n
}
