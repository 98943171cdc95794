// The tables of the database, as Kysely's types. Times are milliseconds since 1970 UTC, on every database.
import type { Generated, Kysely, Transaction } from 'kysely'
import type { Purpose } from '../codes/purpose.ts'
import type { EndReason } from '../sessions/end-reason.ts'
import type { Platform } from '../sessions/platform.ts'

/** All columns but `writes`, which only `certify` changes (sessions/locked-account-rows.ts). */
export interface AccountsTable {
  /** UUIDv7 text (RFC 9562). */
  id: string
  /** E.164, unique, and the only place of an account's number; null: it has none. */
  phone_number: string | null
  nickname: string | null
  /** A PHC string; null where no password is set. */
  password_hash: string | null
  /** The start of the ban in `banned_until` and `ban_reason`; null: not banned. */
  banned_at: number | null
  /** null with a ban: permanent. A ban that has ended stays in the row. */
  banned_until: number | null
  ban_reason: string | null
  registered_at: number
  updated_at: number
  avatar_url: string | null
  /** BCP 47, as the app sent it. */
  locale: string | null
  /** The first time that a client proved to own the number; null: never. */
  phone_verified_at: number | null
  /** The time from which the account may be removed, because its owner has closed it; null: not closed. */
  closes_at: number | null
  /**
   * The time of the irrevocable decision to remove the account: from then on no request finds it, and its
   * rows are being deleted; null: none.
   */
  removal_began_at: number | null
  /** The number of an account that is being removed, until the events that name it are changed; else null. */
  removed_number: string | null
}

export interface SessionsTable {
  /** UUIDv7 bytes as 22 characters of base64url; public. */
  id: string
  account_id: string
  /** SHA-256 of the token, base64url. */
  token_hash: string
  /**
   * SHA-256 of the part that all tokens of the session share, base64url; null: never rotated, and signed in
   * without a key.
   */
  token_family_hash: string | null
  /**
   * Until this token is first used: the hash of the previous token, or of the sign-in that can be repeated
   * (sessions/sign-in-repeats.ts).
   */
  previous_token_hash: string | null
  /**
   * Until this token is first used: the nonce that derives it from the previous token, or whether the sign-in
   * created the account.
   */
  rotation_nonce: string | null
  /**
   * The time when this token was derived from the previous one, or issued by a sign-in that can be repeated;
   * else null.
   */
  rotated_at: number | null
  /** Identifies the sign-in with a key that created the session (sessions/sign-in-repeats.ts); null: none. */
  sign_in_fingerprint: string | null
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
  /** The session that ended this one, by its start or by a request. */
  ended_by_session: string | null
  /**
   * The pending end of its account that does not end this session, because the session began later or is
   * kept.
   */
  survives_end: string | null
}

/**
 * The end of very many sessions of an account, not yet written to each of them: sessions/pending-ends.ts. It
 * ends every session that had time left at `at` and does not survive it.
 */
interface PendingEndsTable {
  account_id: string
  /** UUIDv7 bytes as 22 characters of base64url. */
  id: string
  at: number
  reason: EndReason
  by_session: string | null
  ip: string | null
  request_id: string | null
}

/**
 * One code for each number and purpose. The code itself is not stored: codes/code-digits.ts derives it from
 * the nonce and the server's key.
 */
export interface CodesTable {
  phone_number: string
  purpose: Purpose
  /** 256 random bits, base64url. */
  nonce: string
  /** How many guesses have been counted. */
  guesses: number
  /** From sign-in-repeats.ts, of the last counted guess; null: it had no idempotency key. */
  last_guess: string | null
  sent_at: number
  expires_at: number
  used_at: number | null
}

export interface EventsTable {
  /** UUIDv7 bytes as 22 characters of base64url. */
  id: string
  at: number
  kind: string
  /** In the events of a service key: the id of the key, which has another form. */
  account_id: string | null
  session_id: string | null
  /** E.164, where the event concerns a number. */
  phone_number: string | null
  ip: string | null
  request_id: string | null
  /** JSON object, or null. */
  detail: string | null
}

/**
 * One row for each transaction that changed an account, a session of it, or a service key: changes/feed.ts
 * reads it.
 */
interface AccountChangesTable {
  /** Assigned by the database. Nothing relies on its order, except for rows of the version before. */
  position: Generated<number>
  /** Greater than that of every row that was visible when the row was inserted. Several rows may share it. */
  step: number | null
  /** 64 random bits, base64url, which no other row has. */
  mark: string | null
  /** In a row of another kind than `account`: the id of what has changed. */
  account_id: string
  at: number
  /** A `ChangeKind`, or one of a later version. */
  kind: Generated<string>
}

/** One row: changes/feed.ts. */
interface FeedTable {
  id: number
  /**
   * 32 random bits, hexadecimal. It changes when the database turns out to have lost commits: what was read
   * before is then worth nothing.
   */
  history: string
}

/** An installation's proof of an earlier sign-in: sessions/device-proofs.ts. */
export interface DeviceProofsTable {
  /** SHA-256 of the proof, base64url. */
  proof_hash: string
  account_id: string
  /** E.164: the number that the account had at the sign-in. */
  phone_number: string
  device_id: string | null
  /** The last session that signed in with it. */
  session_id: string
  created_at: number
  /** The time of the last sign-in that received or presented it. */
  seen_at: number
}

/** One counter of limits, in the text form of limits/counter.ts. */
export interface LimitCountersTable {
  /** The key of the counter. */
  name: string
  counts: string
  /** From this time on the counter counts nothing. */
  expires_at: number
}

/** One row for each purge step: database/purges.ts. */
export interface PurgesTable {
  name: string
  /** The time of the last visit, by the database's clock. */
  seen_at: number
  /** How much longer the step waits after a jump of the clock; 0: it may run. */
  wait_ms: number
  /** The time of the last run; null: never. */
  ran_at: number | null
}

/** A number of a removed account that was banned permanently. */
interface BarredNumbersTable {
  /** HMAC-SHA-256 of the E.164 number, base64url. */
  number_hash: string
  banned_at: number
  ban_reason: string | null
}

/** An identity of an account besides its phone number: accounts/identities.ts. */
interface IdentitiesTable {
  /** The kind of provider or credential. */
  kind: string
  /** The issuer of the subject, such as an app of a provider; empty where the kind determines it. */
  issuer: string
  /** The issuer's id for the person. */
  subject: string
  account_id: string
  created_at: number
}

interface ServerKeysTable {
  name: string
  /** 256 random bits, base64url. */
  value: string
}

/** A key of one of the operator's programs: service-keys/service-key.ts. */
export interface ServiceKeysTable {
  /** 12 lower-case letters and digits; public. */
  id: string
  name: string
  /** Words with spaces between them. A later version may write words that this one does not know. */
  scopes: string
  /** CIDR blocks with spaces between them; empty: any address. */
  networks: string
  /** SHA-256 of the key's text, base64url. */
  secret_hash: string
  /** The same of the text before the last rotation; null: there is none. */
  previous_hash: string | null
  /** Until when the text before the last rotation stays valid. */
  previous_until: number | null
  created_at: number
  /** The key that created this one; null: an operator. */
  created_by: string | null
  /** null: never. */
  expires_at: number | null
  rotated_at: number | null
  revoked_at: number | null
  /** To the minute; null: never used. */
  last_used_at: number | null
}

/** A network that a key was used from. */
interface ServiceKeyNetworksTable {
  key_id: string
  /** The /24 of an IPv4 address, the /48 of an IPv6 address. */
  network: string
  first_used_at: number
}

export interface Tables {
  hufu_account_changes: AccountChangesTable
  hufu_accounts: AccountsTable
  hufu_barred_numbers: BarredNumbersTable
  hufu_codes: CodesTable
  hufu_device_proofs: DeviceProofsTable
  hufu_events: EventsTable
  hufu_feed: FeedTable
  hufu_identities: IdentitiesTable
  hufu_limit_counters: LimitCountersTable
  hufu_pending_ends: PendingEndsTable
  hufu_purges: PurgesTable
  hufu_server_keys: ServerKeysTable
  hufu_service_key_networks: ServiceKeyNetworksTable
  hufu_service_keys: ServiceKeysTable
  hufu_sessions: SessionsTable
}

/** The database, or a transaction on it. */
export type Database = Kysely<Tables>
export type DatabaseTransaction = Transaction<Tables>
