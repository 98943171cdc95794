// Why a session ended.

export const endReasons = [
  'signed_out',
  'replaced',
  'kicked',
  'banned',
  'password_changed',
  'phone_changed',
  'account_closed',
  'phone_verified',
  'expired',
  'token_reused',
] as const
export type EndReason = (typeof endReasons)[number]
