// The end of very many sessions of an account as one row, and the decision to remove an account: both are
// decided in one short transaction, and applied in batches afterwards.
import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'
import { columnTypes } from '../column-types.ts'
import { addColumns, createTable } from '../ddl.ts'
import type { DatabaseKind } from '../open.ts'

/** Every statement may run twice: MySQL commits each one by itself, so a crash can come between any two. */
export function pendingEnds(kind: DatabaseKind): Migration {
  const type = columnTypes(kind)

  const ends = (db: Kysely<unknown>) =>
    db.schema
      .createTable('hufu_pending_ends')
      .ifNotExists()
      .addColumn('account_id', type.exact(36), (column) => column.primaryKey())
      .addColumn('id', type.exact(22), (column) => column.notNull())
      .addColumn('at', type.time, (column) => column.notNull())
      .addColumn('reason', type.exact(32), (column) => column.notNull())
      .addColumn('by_session', type.exact(22))
      .addColumn('ip', type.exact(45))
      .addColumn('request_id', type.exact(64))
      .addForeignKeyConstraint('hufu_pending_ends_owner', ['account_id'], 'hufu_accounts', ['id'], (key) =>
        key.onDelete('cascade'),
      )

  return {
    async up(db) {
      await createTable(db, kind, { name: 'hufu_pending_ends', statement: ends(db) }, {})
      await addColumns(db, kind, 'hufu_sessions', { survives_end: type.exact(22) })
      await addColumns(db, kind, 'hufu_accounts', { removal_began_at: type.time })
    },
  }
}
