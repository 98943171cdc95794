// The tables of the truth, as Kysely sees them. Times are milliseconds since 1970 UTC, in every database.
import type { Kysely, Transaction } from 'kysely'

export type AccountState = 'active' | 'banned' | 'closing'

export const endReasons = [
  'signed_out',
  'replaced',
  'kicked',
  'banned',
  'password_changed',
  'phone_changed',
  'account_closed',
  'expired',
  'token_reused',
] as const
export type EndReason = (typeof endReasons)[number]

export const platforms = [
  'ios',
  'android',
  'harmony',
  'mini_program',
  'web',
  'desktop',
  'classic',
  'other',
] as const
export type Platform = (typeof platforms)[number]

export interface AccountsTable {
  /** UUIDv7 text (RFC 9562). */
  id: string
  /** E.164, unique. */
  phone_number: string
  nickname: string | null
  /** PHC string, or null where no password is set. */
  password_hash: string | null
  state: AccountState
  banned_until: number | null
  ban_reason: string | null
  registered_at: number
  updated_at: number
}

export interface SessionsTable {
  /** UUIDv7 bytes as 22 characters of base64url; public. */
  id: string
  account_id: string
  /** SHA-256 of the token, base64url. */
  token_hash: string
  /** SHA-256 of what all tokens of the session share, base64url; null: never rotated. */
  token_family_hash: string | null
  /** The hash of the token before this one, until this one is first used. */
  previous_token_hash: string | null
  /** What makes this token out of the one before, until this one is first used. */
  rotation_nonce: string | null
  /** When this token was made out of the one before; null: never rotated. */
  rotated_at: number | null
  platform: Platform
  device_id: string | null
  device_name: string | null
  app_version: string | null
  ip: string | null
  created_at: number
  seen_at: number
  /** null: never. */
  expires_at: number | null
  ended_at: number | null
  end_reason: EndReason | null
  /** The session whose start or request ended this one. */
  ended_by_session: string | null
}

export interface Tables {
  accounts: AccountsTable
  sessions: SessionsTable
}

/** The truth, or one transaction on it. */
export type Database = Kysely<Tables>
export type DatabaseTransaction = Transaction<Tables>
