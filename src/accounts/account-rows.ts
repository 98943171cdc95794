// Accounts in SQL. No policy here.
import type { Database } from '../database/schema.ts'
import type { StoredAccount } from '../sessions/account.ts'
import { toNewRow, toStoredAccount } from '../sessions/account-columns.ts'

/** The account with this E.164 number, or null. */
export async function findAccountByPhoneNumber(
  db: Database,
  phoneNumber: string,
): Promise<StoredAccount | null> {
  const row = await db
    .selectFrom('hufu_accounts')
    .selectAll()
    .where('phone_number', '=', phoneNumber)
    .executeTakeFirst()
  return row ? toStoredAccount(row) : null
}

/** The account with this E.164 number, or null; its row stays locked until the transaction ends. */
export async function lockAccountByPhoneNumber(
  tx: Database,
  phoneNumber: string,
): Promise<StoredAccount | null> {
  const row = await tx
    .selectFrom('hufu_accounts')
    .selectAll()
    .where('phone_number', '=', phoneNumber)
    .forUpdate()
    .executeTakeFirst()
  return row ? toStoredAccount(row) : null
}

/** The account with this id; null: there is none, or its removal has begun. */
export async function findAccountById(db: Database, id: string): Promise<StoredAccount | null> {
  const row = await db
    .selectFrom('hufu_accounts')
    .selectAll()
    .where('id', '=', id)
    .where('removal_began_at', 'is', null)
    .executeTakeFirst()
  return row ? toStoredAccount(row) : null
}

/** A place in the order of removals. */
export interface RemovalCursor {
  readonly closesAt: number
  readonly id: string
}

/**
 * Up to `limit` accounts that are due for removal at `now`, or whose removal has begun: their grace period
 * has passed, and no timed ban is in force. Behind a cursor, in the order in which they fell due.
 */
export async function listDueForRemoval(
  db: Database,
  now: number,
  after: RemovalCursor | null,
  limit: number,
): Promise<RemovalCursor[]> {
  const due = db
    .selectFrom('hufu_accounts')
    .select(['id', 'closes_at'])
    .where('closes_at', '<=', now)
    .where((where) =>
      where.or([
        where('banned_at', 'is', null),
        where('banned_until', 'is', null),
        where('banned_until', '<=', now),
      ]),
    )
    .orderBy('closes_at')
    .orderBy('id')
    .limit(limit)
  const page = after
    ? due
        .where('closes_at', '>=', after.closesAt)
        .where((where) => where.or([where('closes_at', '>', after.closesAt), where('id', '>', after.id)]))
    : due
  const rows = await page.execute()
  return rows.flatMap(({ id, closes_at }) => (closes_at === null ? [] : [{ id, closesAt: closes_at }]))
}

/** The removal of an account; null: it has not begun, or is complete. */
export async function findRemoval(db: Database, id: string): Promise<StoredAccount['removal']> {
  const row = await db
    .selectFrom('hufu_accounts')
    .select(['removed_number', 'removal_began_at'])
    .where('id', '=', id)
    .executeTakeFirst()
  if (row?.removal_began_at == null) return null
  return { beganAt: row.removal_began_at, phoneNumber: row.removed_number }
}

/** Writes a new account. @throws the driver's unique violation where the number is taken */
export async function insertAccount(db: Database, account: StoredAccount): Promise<void> {
  await db.insertInto('hufu_accounts').values(toNewRow(account)).execute()
}

/**
 * Up to `limit` accounts in order of registration, after the account `after`; none whose removal has begun.
 */
export async function listAccounts(
  db: Database,
  after: Pick<StoredAccount, 'registeredAt' | 'id'> | null,
  limit: number,
): Promise<StoredAccount[]> {
  let query = db.selectFrom('hufu_accounts').selectAll().where('removal_began_at', 'is', null)
  if (after) {
    query = query
      // Written so that every database uses it as the start of an index range.
      .where('registered_at', '>=', after.registeredAt)
      .where((where) =>
        where.or([where('registered_at', '>', after.registeredAt), where('id', '>', after.id)]),
      )
  }
  const rows = await query.orderBy('registered_at').orderBy('id').limit(limit).execute()
  return rows.map(toStoredAccount)
}

/** Replaces a password hash, unless it changed since it was read. */
export async function replacePasswordHash(
  db: Database,
  change: { id: string; from: string; to: string; now: number },
): Promise<void> {
  await db
    .updateTable('hufu_accounts')
    .set({ password_hash: change.to, updated_at: change.now })
    .where('id', '=', change.id)
    .where('password_hash', '=', change.from)
    .execute()
}
