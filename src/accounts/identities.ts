// By what an account can be recognised: its phone number and every other identity, shown alike. No sign-in method makes another kind
// than the number yet.
import type { AccountsTable, Database } from '../db/schema.ts'
import { listIdentities } from './identity-rows.ts'

export interface Identity {
  /** `phone_number`, or a kind of `hufu_identities`. */
  readonly kind: string
  /** Empty where the kind says it all. */
  readonly issuer: string
  /** E.164 for `phone_number`. */
  readonly subject: string
  /** When it was shown to be the person's: milliseconds since 1970 UTC; null: it never was. */
  readonly verifiedAt: number | null
}

/** All identities of an account: the number first, the others oldest first. */
export async function identitiesOf(
  db: Database,
  { id, phone_number: phoneNumber, phone_verified_at: verifiedAt }: AccountsTable,
): Promise<Identity[]> {
  const others = await listIdentities(db, id)
  const number: Identity[] =
    phoneNumber === null ? [] : [{ kind: 'phone_number', issuer: '', subject: phoneNumber, verifiedAt }]
  return [
    ...number,
    ...others.map(({ kind, issuer, subject, created_at }) => ({
      kind,
      issuer,
      subject,
      verifiedAt: created_at,
    })),
  ]
}
