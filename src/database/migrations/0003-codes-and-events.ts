// Codes, the events of accounts, the server's key, and the columns of accounts for codes and events.
import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'
import { columnTypes } from '../column-types.ts'
import { addColumns, createTable } from '../ddl.ts'
import type { DatabaseKind } from '../open.ts'

/** Every statement may run twice: MySQL commits each one by itself, so a crash can come between any two. */
export function codesAndEvents(kind: DatabaseKind): Migration {
  const type = columnTypes(kind)

  const accountColumns = {
    avatar_url: type.text(512),
    locale: type.exact(16),
    phone_proven_at: type.time,
    closes_at: type.time,
  }

  const codes = (db: Kysely<unknown>) =>
    db.schema
      .createTable('hufu_codes')
      .ifNotExists()
      .addColumn('phone_number', type.exact(20), (column) => column.notNull())
      .addColumn('purpose', type.exact(16), (column) => column.notNull())
      .addColumn('nonce', type.exact(43), (column) => column.notNull())
      .addColumn('guesses', type.time, (column) => column.notNull())
      .addColumn('sent_at', type.time, (column) => column.notNull())
      .addColumn('expires_at', type.time, (column) => column.notNull())
      .addColumn('used_at', type.time)
      .addPrimaryKeyConstraint('hufu_codes_primary', ['phone_number', 'purpose'])

  const events = (db: Kysely<unknown>) =>
    db.schema
      .createTable('hufu_events')
      .ifNotExists()
      .addColumn('id', type.exact(22), (column) => column.primaryKey())
      .addColumn('at', type.time, (column) => column.notNull())
      .addColumn('kind', type.exact(32), (column) => column.notNull())
      .addColumn('account_id', type.exact(36))
      .addColumn('session_id', type.exact(22))
      .addColumn('phone_number', type.exact(20))
      .addColumn('ip', type.exact(45))
      .addColumn('request_id', type.exact(64))
      .addColumn('detail', type.text(1024))

  const keys = (db: Kysely<unknown>) =>
    db.schema
      .createTable('hufu_server_keys')
      .ifNotExists()
      .addColumn('name', type.exact(32), (column) => column.primaryKey())
      .addColumn('value', type.exact(64), (column) => column.notNull())

  return {
    async up(db) {
      await addColumns(db, kind, 'hufu_accounts', accountColumns)
      await createTable(
        db,
        kind,
        { name: 'hufu_codes', statement: codes(db) },
        { expires_at: ['expires_at'] },
      )
      await createTable(
        db,
        kind,
        { name: 'hufu_events', statement: events(db) },
        {
          at: ['at', 'id'],
          account: ['account_id', 'at'],
          phone: ['phone_number', 'at'],
        },
      )
      await keys(db).execute()
    },
  }
}
