// The row of an account in SQL, locked and changed by one transaction. No policy here.
// accounts/account-rows.ts reads accounts without a lock.
import { sql } from 'kysely'
import { isMysql } from '../database/pages.ts'
import type { AccountsTable, Database } from '../database/schema.ts'

/**
 * The row of an account, locked until the transaction ends; null where there is no such account, or its
 * removal has begun.
 */
export async function lockAccount(tx: Database, id: string): Promise<AccountsTable | null> {
  const row = await lockAccountRow(tx, id)
  return row?.removal_began_at === null ? row : null
}

/**
 * The row of an account, locked until the transaction ends, also where its removal has begun; null where
 * there is no such account.
 */
export async function lockAccountRow(tx: Database, id: string): Promise<AccountsTable | null> {
  const row = await tx
    .selectFrom('hufu_accounts')
    .selectAll()
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst()
  return row ?? null
}

/**
 * Changes the account's row under its lock, so that two transactions on the account cannot both commit. On a
 * Galera cluster, a lock is known to one node only; what conflicts at the commit is a change of the same row.
 * Other databases need no such statement: all connections know of their locks.
 */
export async function certify(tx: Database, id: string): Promise<void> {
  if (!isMysql(tx)) return
  await sql`update hufu_accounts set writes = coalesce(writes, 0) + 1 where id = ${id}`.execute(tx)
}

/** Columns of an account that change. */
export type AccountColumns = Partial<Omit<AccountsTable, 'id' | 'updated_at'>>

/**
 * Changes columns of an account, and returns the new row.
 * @throws the driver's unique violation where a number is taken
 */
export async function updateAccount(
  tx: Database,
  row: AccountsTable,
  set: AccountColumns,
  now: number,
): Promise<AccountsTable> {
  const change = { ...set, updated_at: now }
  await tx.updateTable('hufu_accounts').set(change).where('id', '=', row.id).execute()
  return { ...row, ...change }
}

/** Deletes an account and, by foreign keys, everything that belongs to it. */
export async function deleteAccount(tx: Database, id: string): Promise<void> {
  await tx.deleteFrom('hufu_accounts').where('id', '=', id).execute()
}
