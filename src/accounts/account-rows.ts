// Accounts in SQL. No policy here.
import type { AccountsTable, Database } from '../db/schema.ts'

/** The account with this E.164 number, or null. */
export async function findAccountByPhoneNumber(
  db: Database,
  phoneNumber: string,
): Promise<AccountsTable | null> {
  const row = await db
    .selectFrom('accounts')
    .selectAll()
    .where('phone_number', '=', phoneNumber)
    .executeTakeFirst()
  return row ?? null
}

/** Writes a new account. @throws the driver's unique violation where the number is taken */
export async function insertAccount(db: Database, account: AccountsTable): Promise<void> {
  await db.insertInto('accounts').values(account).execute()
}

/** Up to `limit` accounts in order of registration, after the account `after`. */
export async function listAccounts(
  db: Database,
  after: Pick<AccountsTable, 'registered_at' | 'id'> | null,
  limit: number,
): Promise<AccountsTable[]> {
  let query = db.selectFrom('accounts').selectAll()
  if (after) {
    query = query.where((where) =>
      where.or([
        where('registered_at', '>', after.registered_at),
        where.and([where('registered_at', '=', after.registered_at), where('id', '>', after.id)]),
      ]),
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
    .updateTable('accounts')
    .set({ password_hash: change.to, updated_at: change.now })
    .where('id', '=', change.id)
    .where('password_hash', '=', change.from)
    .execute()
}
