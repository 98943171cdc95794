// Columns of accounts and what they mean, for the *-rows.ts that read and write them.
import type { AccountsTable } from '../database/schema.ts'
import type { AccountChanges, StoredAccount } from './account.ts'
import type { AccountFacts } from './account-state.ts'

/** The facts in an account's row. */
export function accountFactsOf(
  row: Pick<AccountsTable, 'banned_at' | 'banned_until' | 'closes_at'>,
): AccountFacts {
  return { ban: row.banned_at === null ? null : { until: row.banned_until }, closesAt: row.closes_at }
}

export function toStoredAccount(row: AccountsTable): StoredAccount {
  const { banned_at: at, banned_until: until, ban_reason: reason } = row
  const { removal_began_at: beganAt, removed_number: removedNumber } = row
  return {
    id: row.id,
    phoneNumber: row.phone_number,
    nickname: row.nickname,
    passwordHash: row.password_hash,
    ban: at === null ? null : { at, until, reason },
    registeredAt: row.registered_at,
    avatarUrl: row.avatar_url,
    locale: row.locale,
    phoneVerifiedAt: row.phone_verified_at,
    closesAt: row.closes_at,
    removal: beganAt === null ? null : { beganAt, phoneNumber: removedNumber },
  }
}

/** The columns that a change writes. */
export function columnsOf(changes: AccountChanges): Partial<AccountsTable> {
  const { phoneNumber, nickname, passwordHash, avatarUrl, locale, phoneVerifiedAt, closesAt } = changes
  return {
    ...(phoneNumber !== undefined && { phone_number: phoneNumber }),
    ...(nickname !== undefined && { nickname }),
    ...(passwordHash !== undefined && { password_hash: passwordHash }),
    ...(avatarUrl !== undefined && { avatar_url: avatarUrl }),
    ...(locale !== undefined && { locale }),
    ...(phoneVerifiedAt !== undefined && { phone_verified_at: phoneVerifiedAt }),
    ...(closesAt !== undefined && { closes_at: closesAt }),
    ...(changes.ban !== undefined && banColumns(changes.ban)),
    ...(changes.removal !== undefined && removalColumns(changes.removal)),
  }
}

/** The row of a new account. */
export function toNewRow({ id, ...account }: StoredAccount): AccountsTable {
  return {
    id,
    phone_number: account.phoneNumber,
    nickname: account.nickname,
    password_hash: account.passwordHash,
    ...banColumns(account.ban),
    registered_at: account.registeredAt,
    updated_at: account.registeredAt,
    avatar_url: account.avatarUrl,
    locale: account.locale,
    phone_verified_at: account.phoneVerifiedAt,
    closes_at: account.closesAt,
    ...removalColumns(account.removal),
  }
}

function banColumns(ban: StoredAccount['ban']) {
  return {
    banned_at: ban?.at ?? null,
    banned_until: ban?.until ?? null,
    ban_reason: ban?.reason ?? null,
  }
}

function removalColumns(removal: StoredAccount['removal']) {
  return { removal_began_at: removal?.beganAt ?? null, removed_number: removal?.phoneNumber ?? null }
}
