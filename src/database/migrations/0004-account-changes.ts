// The change feed: a row for each change of an account or of its sessions, in the order in which all servers
// read them.
import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'
import { columnTypes } from '../column-types.ts'
import { createTable } from '../ddl.ts'
import type { DatabaseKind } from '../open.ts'

/** Every statement may run twice: MySQL commits each one by itself, so a crash can come between any two. */
export function accountChanges(kind: DatabaseKind): Migration {
  const type = columnTypes(kind)

  // No foreign key: the removal of an account is a change too.
  const changes = (db: Kysely<unknown>) =>
    db.schema
      .createTable('hufu_account_changes')
      .ifNotExists()
      .addColumn('position', kind === 'postgres' ? 'bigserial' : type.time, (column) =>
        kind === 'postgres' ? column.primaryKey() : column.primaryKey().autoIncrement(),
      )
      .addColumn('account_id', type.exact(36), (column) => column.notNull())
      .addColumn('at', type.time, (column) => column.notNull())

  return {
    async up(db) {
      await createTable(db, kind, { name: 'hufu_account_changes', statement: changes(db) }, { at: ['at'] })
    },
  }
}
