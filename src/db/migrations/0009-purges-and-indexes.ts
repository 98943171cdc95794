// When each purge step was last looked at, and the indexes of queries that used to read a whole table.
import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'
import { columnTypes } from '../columns.ts'
import type { DatabaseKind } from '../open.ts'
import { createTable } from '../tables.ts'

/** Every statement may run twice: MySQL commits each one by itself, so a crash can come between any two. */
export function purgesAndIndexes(kind: DatabaseKind): Migration {
  const type = columnTypes(kind)

  const purges = (db: Kysely<unknown>) =>
    db.schema
      .createTable('hufu_purges')
      .ifNotExists()
      .addColumn('name', type.exact(32), (column) => column.primaryKey())
      .addColumn('seen_at', type.time, (column) => column.notNull())
      .addColumn('wait_ms', type.time, (column) => column.notNull())
      .addColumn('ran_at', type.time)

  return {
    async up(db) {
      await createTable(db, kind, { name: 'hufu_purges', statement: purges(db) }, {})
    },
  }
}
