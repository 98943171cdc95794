// The first verification of an account's number: a person who created the account before the owner of the
// number verified it keeps nothing in it.
import type { NewEvent } from '../events/events.ts'
import type { AccountChanges, StoredAccount } from '../sessions/account.ts'

/** What a first verification changes in the account, besides the end of its sessions (`phone_verified`). */
export function firstVerification(
  account: StoredAccount,
  now: number,
): { set: AccountChanges; event: NewEvent } {
  return {
    set: { passwordHash: null, nickname: null, avatarUrl: null, locale: null, phoneVerifiedAt: now },
    event: {
      kind: 'phone_verified',
      accountId: account.id,
      phoneNumber: account.phoneNumber,
      detail: { had_password: account.passwordHash !== null },
    },
  }
}
