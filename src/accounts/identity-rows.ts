// Identities in SQL. No policy here.
import type { Database, IdentitiesTable } from '../database/schema.ts'

/** The identities of an account beside its number, oldest first. */
export async function listIdentities(db: Database, accountId: string): Promise<IdentitiesTable[]> {
  return await db
    .selectFrom('hufu_identities')
    .selectAll()
    .where('account_id', '=', accountId)
    .orderBy('created_at')
    .orderBy('kind')
    .orderBy('subject')
    .execute()
}

/** The account that an identity belongs to; null: none. */
export async function findAccountIdByIdentity(
  db: Database,
  { kind, issuer, subject }: Pick<IdentitiesTable, 'kind' | 'issuer' | 'subject'>,
): Promise<string | null> {
  const row = await db
    .selectFrom('hufu_identities')
    .select('account_id')
    .where('kind', '=', kind)
    .where('issuer', '=', issuer)
    .where('subject', '=', subject)
    .executeTakeFirst()
  return row?.account_id ?? null
}

/** Deletes the identities of an account. */
export async function deleteIdentitiesOf(tx: Database, accountId: string): Promise<void> {
  await tx.deleteFrom('hufu_identities').where('account_id', '=', accountId).execute()
}
