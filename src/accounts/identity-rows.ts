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

/** Deletes the identities of an account. */
export async function deleteIdentitiesOf(tx: Database, accountId: string): Promise<void> {
  await tx.deleteFrom('hufu_identities').where('account_id', '=', accountId).execute()
}
