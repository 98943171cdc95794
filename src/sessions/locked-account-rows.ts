// The row of an account in SQL, locked and changed by one transaction. No policy here.
// accounts/account-rows.ts reads accounts without a lock.
import { sql } from 'kysely'
import { isMysql } from '../database/pages.ts'
import type { AccountsTable, Database } from '../database/schema.ts'
import type { AccountChanges, StoredAccount } from './account.ts'
import { columnsOf, toStoredAccount } from './account-columns.ts'
import { type EndOfSessions, endSessions, namedAtOnce } from './session-rows.ts'

/**
 * An account whose row is locked until the transaction ends; null where there is no such account, or its
 * removal has begun.
 */
export async function lockAccount(tx: Database, id: string): Promise<StoredAccount | null> {
  const account = await lockAccountRow(tx, id)
  return account?.removal === null ? account : null
}

/**
 * An account whose row is locked until the transaction ends, also where its removal has begun; null where
 * there is no such account.
 */
export async function lockAccountRow(tx: Database, id: string): Promise<StoredAccount | null> {
  const row = await tx
    .selectFrom('hufu_accounts')
    .selectAll()
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst()
  return row ? toStoredAccount(row) : null
}

/** What changes of an account and of its sessions that end. */
export interface AccountUpdate {
  /** Empty: nothing of the account itself. */
  readonly set: AccountChanges
  /** null: no session ends. */
  readonly end: EndOfSessions | null
  readonly now: number
}

/**
 * Changes an account, ends sessions of it, and returns the account as it is then. On MySQL and MariaDB one
 * statement does both, and always changes the account's row, so that two transactions on the account cannot
 * both commit: on a Galera cluster, a lock is known to one node only, and what conflicts at the commit is a
 * change of the same row. Other databases need no such change: all connections know of their locks.
 * @throws the driver's unique violation where a number is taken
 */
export async function updateLockedAccount(
  tx: Database,
  account: StoredAccount,
  { set, end, now }: AccountUpdate,
): Promise<StoredAccount> {
  const columns = columnsOf(set)
  const hasColumns = Object.keys(columns).length > 0
  const change: Partial<AccountsTable> = hasColumns ? { ...columns, updated_at: now } : {}
  if (isMysql(tx)) await updateOnMysql(tx, account.id, change, end)
  else {
    if (hasColumns) await tx.updateTable('hufu_accounts').set(change).where('id', '=', account.id).execute()
    if (end) await endSessions(tx, end)
  }
  return { ...account, ...set }
}

/**
 * On MySQL and MariaDB, changes the account's row as `updateLockedAccount` does, and nothing else. A write
 * that finds no account makes the same statement.
 */
export async function certify(tx: Database, id: string): Promise<void> {
  if (isMysql(tx)) await updateOnMysql(tx, id, {}, null)
}

async function updateOnMysql(
  tx: Database,
  id: string,
  change: Partial<AccountsTable>,
  end: EndOfSessions | null,
): Promise<void> {
  const columns = Object.entries(change).map(([name, value]) => sql`, a.${sql.ref(name)} = ${value}`)
  const columnsOfAccount = sql`a.writes = coalesce(a.writes, 0) + 1${sql.join(columns, sql``)}`
  const ids = end?.ids.slice(0, namedAtOnce) ?? []
  if (!end || ids.length === 0) {
    await sql`update hufu_accounts a set ${columnsOfAccount} where a.id = ${id}`.execute(tx)
    return
  }
  await sql`update hufu_accounts a left join hufu_sessions s on s.id in (${sql.join(ids)}) and s.ended_at is null
    set ${columnsOfAccount}, s.ended_at = ${end.at}, s.end_reason = ${end.reason}, s.ended_by_session = ${end.by}
    where a.id = ${id}`.execute(tx)
  await endSessions(tx, { ...end, ids: end.ids.slice(namedAtOnce) })
}

/** Deletes an account and, by foreign keys, everything that belongs to it. */
export async function deleteAccount(tx: Database, id: string): Promise<void> {
  await tx.deleteFrom('hufu_accounts').where('id', '=', id).execute()
}
