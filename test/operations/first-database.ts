// A database of version f453b6e, before the tables had their prefix: the statements of its migrations.
import { type Kysely, sql } from 'kysely'
import type { DatabaseKind } from '../../src/database/open.ts'

/** The tables of that version, as its tests can write them. */
export interface FirstTables {
  accounts: {
    id: string
    phone_number: string
    nickname: string | null
    state: 'active' | 'banned' | 'closing'
    banned_until: number | null
    ban_reason: string | null
    registered_at: number
    updated_at: number
    phone_proven_at: number | null
    closes_at: number | null
  }
  sessions: {
    id: string
    account_id: string
    token_hash: string
    platform: string
    created_at: number
    seen_at: number
    expires_at: number | null
    ended_at: number | null
    end_reason: string | null
  }
  events: { id: string; at: number; kind: string; account_id: string | null }
  kysely_migration: { name: string; timestamp: string }
  kysely_migration_lock: { id: string; is_locked: number }
}

/**
 * The types that differ between databases: of a text that compares byte for byte, of a display text, and of a
 * time.
 */
const types = {
  sqlite: {
    exact: () => 'text',
    text: () => 'text',
    time: 'integer',
    position: 'integer primary key autoincrement',
  },
  mysql: {
    exact: (bytes: number) => `varbinary(${bytes})`,
    text: (characters: number) => `varchar(${characters}) character set utf8mb4`,
    time: 'bigint',
    position: 'bigint primary key auto_increment',
  },
  postgres: {
    exact: () => 'text collate "C"',
    text: () => 'text',
    time: 'bigint',
    position: 'bigserial primary key',
  },
} as const

function statements(kind: DatabaseKind): string[] {
  const { exact, text, time, position } = types[kind]
  return [
    'create table kysely_migration (name varchar(255) not null primary key, timestamp varchar(255) not null)',
    'create table kysely_migration_lock (id varchar(255) not null primary key, is_locked integer default 0 not null)',
    `create table accounts (id ${exact(36)} primary key, phone_number ${exact(20)} not null unique, nickname ${text(64)},
      password_hash ${exact(255)}, state ${exact(16)} not null, banned_until ${time}, ban_reason ${text(255)},
      registered_at ${time} not null, updated_at ${time} not null)`,
    'create index accounts_nickname on accounts (nickname)',
    'create index accounts_registered_at on accounts (registered_at, id)',
    `create table sessions (id ${exact(22)} primary key, account_id ${exact(36)} not null, token_hash ${exact(43)} not null unique,
      platform ${exact(16)} not null, device_id ${exact(128)}, device_name ${text(64)}, app_version ${text(32)}, ip ${exact(45)},
      created_at ${time} not null, seen_at ${time} not null, expires_at ${time}, ended_at ${time}, end_reason ${exact(32)},
      ended_by_session ${exact(22)},
      constraint sessions_account foreign key (account_id) references accounts (id) on delete cascade)`,
    'create index sessions_account on sessions (account_id, ended_at)',
    'create index sessions_expires_at on sessions (expires_at)',
    `alter table sessions add column token_family_hash ${exact(43)}`,
    `alter table sessions add column previous_token_hash ${exact(43)}`,
    `alter table sessions add column rotation_nonce ${exact(22)}`,
    `alter table sessions add column rotated_at ${time}`,
    `alter table accounts add column avatar_url ${text(512)}`,
    `alter table accounts add column locale ${exact(16)}`,
    `alter table accounts add column phone_proven_at ${time}`,
    `alter table accounts add column closes_at ${time}`,
    `create table codes (phone_number ${exact(20)} not null, purpose ${exact(16)} not null, nonce ${exact(43)} not null,
      guesses ${time} not null, sent_at ${time} not null, expires_at ${time} not null, used_at ${time},
      constraint codes_primary primary key (phone_number, purpose))`,
    'create index codes_expires_at on codes (expires_at)',
    `create table events (id ${exact(22)} primary key, at ${time} not null, kind ${exact(32)} not null, account_id ${exact(36)},
      session_id ${exact(22)}, phone_number ${exact(20)}, ip ${exact(45)}, request_id ${exact(64)}, detail ${text(1024)})`,
    'create index events_at on events (at, id)',
    'create index events_account on events (account_id, at)',
    'create index events_phone on events (phone_number, at)',
    `create table server_keys (name ${exact(32)} primary key, value ${exact(64)} not null)`,
    `create table account_changes (position ${position}, account_id ${exact(36)} not null, at ${time} not null)`,
    'create index account_changes_at on account_changes (at)',
  ]
}

const firstMigrations = [
  '0001-accounts-and-sessions',
  '0002-token-rotation',
  '0003-codes-and-events',
  '0004-account-changes',
]

/** Creates the tables, with the record of those migrations. */
export async function createFirstTables(db: Kysely<FirstTables>, kind: DatabaseKind): Promise<void> {
  for (const statement of statements(kind)) await sql.raw(statement).execute(db)
  await db
    .insertInto('kysely_migration')
    .values(firstMigrations.map((name) => ({ name, timestamp: '2026-11-01T00:00:00.000Z' })))
    .execute()
  await db.insertInto('kysely_migration_lock').values({ id: 'migration_lock', is_locked: 0 }).execute()
}
