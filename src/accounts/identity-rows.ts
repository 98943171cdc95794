// Identities in SQL. No policy here.
import type { Database } from '../database/schema.ts'

/** An identity of an account besides its phone number. */
export interface StoredIdentity {
  readonly kind: string
  /** Empty where the kind determines it. */
  readonly issuer: string
  /** The issuer's id for the person. */
  readonly subject: string
  /** Milliseconds since 1970 UTC. */
  readonly createdAt: number
}

/** The identities of an account besides its number, oldest first. */
export async function listIdentities(db: Database, accountId: string): Promise<StoredIdentity[]> {
  const rows = await db
    .selectFrom('hufu_identities')
    .selectAll()
    .where('account_id', '=', accountId)
    .orderBy('created_at')
    .orderBy('kind')
    .orderBy('subject')
    .execute()
  return rows.map(({ kind, issuer, subject, created_at: createdAt }) => ({
    kind,
    issuer,
    subject,
    createdAt,
  }))
}

/** Deletes the identities of an account. */
export async function deleteIdentitiesOf(tx: Database, accountId: string): Promise<void> {
  await tx.deleteFrom('hufu_identities').where('account_id', '=', accountId).execute()
}
