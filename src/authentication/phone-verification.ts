// The first verification of an account's number: a person who created the account before the owner of the
// number verified it keeps nothing in it.
import type { AccountsTable } from '../database/schema.ts'
import type { NewEvent } from '../events/events.ts'
import type { AccountColumns } from '../sessions/locked-account-rows.ts'

/** What a first verification changes in the account, besides the end of its sessions (`phone_verified`). */
export function firstVerification(
  account: AccountsTable,
  now: number,
): { set: AccountColumns; event: NewEvent } {
  return {
    set: { password_hash: null, nickname: null, avatar_url: null, locale: null, phone_verified_at: now },
    event: {
      kind: 'phone_verified',
      accountId: account.id,
      phoneNumber: account.phone_number,
      detail: { had_password: account.password_hash !== null },
    },
  }
}
