// Accounts (the tutorial's table `user`) and sessions (which the tutorial stored in Redis only).
import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'
import { columnTypes } from '../column-types.ts'
import { createTable } from '../ddl.ts'
import type { DatabaseKind } from '../open.ts'

/** Every statement may run twice: MySQL commits each one by itself, so a crash can come between any two. */
export function accountsAndSessions(kind: DatabaseKind): Migration {
  const type = columnTypes(kind)

  const accounts = (db: Kysely<unknown>) =>
    db.schema
      .createTable('hufu_accounts')
      .ifNotExists()
      .addColumn('id', type.exact(36), (column) => column.primaryKey())
      .addColumn('phone_number', type.exact(20), (column) => column.notNull().unique())
      .addColumn('nickname', type.text(64))
      .addColumn('password_hash', type.exact(255))
      .addColumn('state', type.exact(16), (column) => column.notNull())
      .addColumn('banned_until', type.time)
      .addColumn('ban_reason', type.text(255))
      .addColumn('registered_at', type.time, (column) => column.notNull())
      .addColumn('updated_at', type.time, (column) => column.notNull())

  const sessions = (db: Kysely<unknown>) =>
    db.schema
      .createTable('hufu_sessions')
      .ifNotExists()
      .addColumn('id', type.exact(22), (column) => column.primaryKey())
      .addColumn('account_id', type.exact(36), (column) => column.notNull())
      .addColumn('token_hash', type.exact(43), (column) => column.notNull().unique())
      .addColumn('platform', type.exact(16), (column) => column.notNull())
      .addColumn('device_id', type.exact(128))
      .addColumn('device_name', type.text(64))
      .addColumn('app_version', type.text(32))
      .addColumn('ip', type.exact(45))
      .addColumn('created_at', type.time, (column) => column.notNull())
      .addColumn('seen_at', type.time, (column) => column.notNull())
      .addColumn('expires_at', type.time)
      .addColumn('ended_at', type.time)
      .addColumn('end_reason', type.exact(32))
      .addColumn('ended_by_session', type.exact(22))
      .addForeignKeyConstraint('hufu_sessions_account', ['account_id'], 'hufu_accounts', ['id'], (key) =>
        key.onDelete('cascade'),
      )

  return {
    async up(db) {
      await createTable(
        db,
        kind,
        { name: 'hufu_accounts', statement: accounts(db) },
        {
          nickname: ['nickname'],
          registered_at: ['registered_at', 'id'],
        },
      )
      await createTable(
        db,
        kind,
        { name: 'hufu_sessions', statement: sessions(db) },
        {
          account: ['account_id', 'ended_at'],
          expires_at: ['expires_at'],
        },
      )
    },
  }
}
