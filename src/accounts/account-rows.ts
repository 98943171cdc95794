// Accounts in SQL. No policy here.
import type { AccountsTable, Database } from '../database/schema.ts'
import { newAccountId } from '../ids.ts'

/** The account with this E.164 number, or null. */
export async function findAccountByPhoneNumber(
  db: Database,
  phoneNumber: string,
): Promise<AccountsTable | null> {
  const row = await db
    .selectFrom('hufu_accounts')
    .selectAll()
    .where('phone_number', '=', phoneNumber)
    .executeTakeFirst()
  return row ?? null
}

/** The account with this E.164 number, or null; its row stays locked until the transaction ends. */
export async function lockAccountByPhoneNumber(
  tx: Database,
  phoneNumber: string,
): Promise<AccountsTable | null> {
  const row = await tx
    .selectFrom('hufu_accounts')
    .selectAll()
    .where('phone_number', '=', phoneNumber)
    .forUpdate()
    .executeTakeFirst()
  return row ?? null
}

/** The account with this id; null: there is none, or its removal has begun. */
export async function findAccountById(db: Database, id: string): Promise<AccountsTable | null> {
  const row = await db
    .selectFrom('hufu_accounts')
    .selectAll()
    .where('id', '=', id)
    .where('removal_began_at', 'is', null)
    .executeTakeFirst()
  return row ?? null
}

/** The row of a new account with nothing but a number. */
export function newAccountRow(phoneNumber: string, now: number): AccountsTable {
  return {
    id: newAccountId(now),
    phone_number: phoneNumber,
    nickname: null,
    password_hash: null,
    banned_at: null,
    banned_until: null,
    ban_reason: null,
    registered_at: now,
    updated_at: now,
    avatar_url: null,
    locale: null,
    phone_verified_at: null,
    closes_at: null,
    removal_began_at: null,
    removed_number: null,
  }
}

/**
 * Ids of up to `limit` accounts that are due for removal at `now`, or whose removal has begun: their grace
 * period has passed, and no timed ban is in force.
 */
export async function listDueForRemoval(db: Database, now: number, limit: number): Promise<string[]> {
  const rows = await db
    .selectFrom('hufu_accounts')
    .select('id')
    .where('closes_at', '<=', now)
    .where((where) =>
      where.or([
        where('banned_at', 'is', null),
        where('banned_until', 'is', null),
        where('banned_until', '<=', now),
      ]),
    )
    .orderBy('closes_at')
    .limit(limit)
    .execute()
  return rows.map(({ id }) => id)
}

/** An account whose removal has begun; null: there is none. */
export async function findRemoval(
  db: Database,
  id: string,
): Promise<{ readonly removed_number: string | null; readonly removal_began_at: number } | null> {
  const row = await db
    .selectFrom('hufu_accounts')
    .select(['removed_number', 'removal_began_at'])
    .where('id', '=', id)
    .executeTakeFirst()
  if (row?.removal_began_at == null) return null
  return { removed_number: row.removed_number, removal_began_at: row.removal_began_at }
}

/** Writes a new account. @throws the driver's unique violation where the number is taken */
export async function insertAccount(db: Database, account: AccountsTable): Promise<void> {
  await db.insertInto('hufu_accounts').values(account).execute()
}

/**
 * Up to `limit` accounts in order of registration, after the account `after`; none whose removal has begun.
 */
export async function listAccounts(
  db: Database,
  after: Pick<AccountsTable, 'registered_at' | 'id'> | null,
  limit: number,
): Promise<AccountsTable[]> {
  let query = db.selectFrom('hufu_accounts').selectAll().where('removal_began_at', 'is', null)
  if (after) {
    query = query
      // Written so that every database uses it as the start of an index range.
      .where('registered_at', '>=', after.registered_at)
      .where((where) =>
        where.or([where('registered_at', '>', after.registered_at), where('id', '>', after.id)]),
      )
  }
  return await query.orderBy('registered_at').orderBy('id').limit(limit).execute()
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
