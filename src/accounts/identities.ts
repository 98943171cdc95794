// The identities of an account: its phone number and every other kind, in one form. No sign-in method creates
// another kind than the number yet.
import type { Database } from '../database/schema.ts'
import type { StoredAccount } from '../sessions/account.ts'
import { listIdentities } from './identity-rows.ts'

export interface Identity {
  /** `phone_number`, or a kind of `hufu_identities`. */
  readonly kind: string
  /** Empty where the kind alone identifies the issuer. */
  readonly issuer: string
  /** E.164 for `phone_number`. */
  readonly subject: string
  /** When the person verified it: milliseconds since 1970 UTC; null: never. */
  readonly verifiedAt: number | null
}

/** All identities of an account: the number first, the others oldest first. */
export async function identitiesOf(
  db: Database,
  { id, phoneNumber, phoneVerifiedAt: verifiedAt }: StoredAccount,
): Promise<Identity[]> {
  const others = await listIdentities(db, id)
  const number: Identity[] =
    phoneNumber === null ? [] : [{ kind: 'phone_number', issuer: '', subject: phoneNumber, verifiedAt }]
  return [...number, ...others.map(({ createdAt, ...identity }) => ({ ...identity, verifiedAt: createdAt }))]
}
