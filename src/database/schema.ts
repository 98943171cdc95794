// The tables of the truth, as Kysely sees them. Times are milliseconds since 1970 UTC, in every database.
import type { Generated, Kysely, Transaction } from 'kysely'

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
  /** E.164, unique, and the only place of an account's number; null: it has none. */
  phone_number: string | null
  nickname: string | null
  /** PHC string, or null where no password is set. */
  password_hash: string | null
  /** When the ban in `banned_until` and `ban_reason` was made; null: not banned. */
  banned_at: number | null
  /** null with a ban: for ever. A ban that is over stays in the row. */
  banned_until: number | null
  ban_reason: string | null
  registered_at: number
  updated_at: number
  avatar_url: string | null
  /** BCP 47, as the app told it. */
  locale: string | null
  /** When somebody first showed that the number is theirs; null: never. */
  phone_verified_at: number | null
  /** When the account may be removed, because its owner wants to close it; null: no such wish. */
  closes_at: number | null
  /** When its removal was decided, which nothing takes back; it goes with its last row. null: it was not. */
  removal_began_at: number | null
}

export interface SessionsTable {
  /** UUIDv7 bytes as 22 characters of base64url; public. */
  id: string
  account_id: string
  /** SHA-256 of the token, base64url. */
  token_hash: string
  /** SHA-256 of what all tokens of the session share, base64url; null: never rotated, and its sign-in had no key. */
  token_family_hash: string | null
  /**
   * Until this token is first used: the hash of the token before it, or of the sign-in that can be repeated
   * (sessions/sign-in-repeats.ts).
   */
  previous_token_hash: string | null
  /** Until this token is first used: what makes it out of the one before, or whether the sign-in made the account. */
  rotation_nonce: string | null
  /** When this token was made out of the one before, or by a sign-in that can be repeated; else null. */
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
  /** The pending end of its account that does not end this session: it began later, or stays. */
  survives_end: string | null
}

/**
 * The end of very many sessions of an account, not yet written into each of them: sessions/pending-ends.ts. All are over that had time
 * left at `at` and do not survive it.
 */
export interface PendingEndsTable {
  account_id: string
  /** UUIDv7 bytes as 22 characters of base64url. */
  id: string
  at: number
  reason: EndReason
  by_session: string | null
  ip: string | null
  request_id: string | null
}

export const purposes = ['sign_in', 'reset_password', 'change_phone', 'close_account', 'confirm'] as const
export type Purpose = (typeof purposes)[number]

/** One code for each number and purpose. The code itself is not there: codes/code-digits.ts makes it of the nonce and the server's key. */
export interface CodesTable {
  phone_number: string
  purpose: Purpose
  /** 256 random bits, base64url. */
  nonce: string
  /** How many guesses have been counted. */
  guesses: number
  sent_at: number
  expires_at: number
  used_at: number | null
}

export interface EventsTable {
  /** UUIDv7 bytes as 22 characters of base64url. */
  id: string
  at: number
  kind: string
  account_id: string | null
  session_id: string | null
  /** E.164, where the event is about a number. */
  phone_number: string | null
  ip: string | null
  request_id: string | null
  /** JSON object, or null. */
  detail: string | null
}

/** One row for each transaction that changed an account or a session of it: changes/feed.ts reads it. */
export interface AccountChangesTable {
  /** Given out by the database in the order in which transactions come here. */
  position: Generated<number>
  account_id: string
  at: number
  /** Of `ChangeKind`, or of a later version. */
  kind: Generated<string>
}

/** What an installation can show of an earlier sign-in: sessions/device-proofs.ts. */
export interface DeviceProofsTable {
  /** SHA-256 of the proof, base64url. */
  proof_hash: string
  account_id: string
  /** E.164: the number that the account had at the sign-in. */
  phone_number: string
  device_id: string | null
  /** The session that signed in with it last. */
  session_id: string
  created_at: number
  /** The last sign-in that got or presented it. */
  seen_at: number
}

/** One bucket of limits: limits/bucket.ts tells what is in it. */
export interface LimitCountersTable {
  /** The key of the bucket. */
  name: string
  counts: string
  /** When nothing in it counts any more. */
  expires_at: number
}

/** One row for each purge step: database/purges.ts. */
export interface PurgesTable {
  name: string
  /** The time of the last visit, by the clock that purges go by. */
  seen_at: number
  /** How long the step has still to wait after a jump of the clock; 0: it may run. */
  wait_ms: number
  /** When the step last ran; null: never. */
  ran_at: number | null
}

/** A number that is banned for ever and whose account was removed. */
export interface BarredNumbersTable {
  /** HMAC-SHA-256 of the E.164 number, base64url. */
  number_hash: string
  banned_at: number
  ban_reason: string | null
}

/** What recognises an account beside its phone number: accounts/identities.ts. */
export interface IdentitiesTable {
  /** Of which kind of provider or credential. */
  kind: string
  /** Who vouches for the subject, such as an app of a provider; empty where the kind says it all. */
  issuer: string
  /** The issuer's name of the person. */
  subject: string
  account_id: string
  created_at: number
}

export interface ServerKeysTable {
  name: string
  /** 256 random bits, base64url. */
  value: string
}

export interface Tables {
  hufu_account_changes: AccountChangesTable
  hufu_accounts: AccountsTable
  hufu_barred_numbers: BarredNumbersTable
  hufu_codes: CodesTable
  hufu_device_proofs: DeviceProofsTable
  hufu_events: EventsTable
  hufu_identities: IdentitiesTable
  hufu_limit_counters: LimitCountersTable
  hufu_pending_ends: PendingEndsTable
  hufu_purges: PurgesTable
  hufu_server_keys: ServerKeysTable
  hufu_sessions: SessionsTable
}

/** The truth, or one transaction on it. */
export type Database = Kysely<Tables>
export type DatabaseTransaction = Transaction<Tables>
