// Counters of limits, for all processes on one database.
import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'
import { columnTypes } from '../column-types.ts'
import { createTable } from '../ddl.ts'
import type { DatabaseKind } from '../open.ts'

const name = 'hufu_limit_counters'

/** Every statement may run twice: MySQL commits each one by itself, so a crash can come between any two. */
export function limitCounters(kind: DatabaseKind): Migration {
  const type = columnTypes(kind)

  const counters = (db: Kysely<unknown>) =>
    db.schema
      .createTable(name)
      .ifNotExists()
      .addColumn('name', type.exact(120), (column) => column.primaryKey())
      .addColumn('counts', type.exact(8_000), (column) => column.notNull())
      .addColumn('expires_at', type.time, (column) => column.notNull())

  return {
    async up(db) {
      await createTable(db, kind, { name, statement: counters(db) }, { expires_at: ['expires_at'] })
    },
  }
}
