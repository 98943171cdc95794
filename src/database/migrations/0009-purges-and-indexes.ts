// The last visit of each purge step, and indexes for queries that read a whole table before.
import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'
import { columnTypes } from '../column-types.ts'
import { addIndexes, createTable, dropIndexes } from '../ddl.ts'
import type { DatabaseKind } from '../open.ts'

/** For pages in the order of time: (at, id) is unique, so that a page begins where the previous one ended. */
const indexes = {
  hufu_accounts: { add: { closes_at: ['closes_at'] }, drop: [] },
  hufu_events: {
    add: { account_at_id: ['account_id', 'at', 'id'], phone_at_id: ['phone_number', 'at', 'id'] },
    drop: ['account', 'phone'],
  },
  hufu_sessions: {
    add: {
      account_created: ['account_id', 'created_at', 'id'],
      account_live: ['account_id', 'ended_at', 'created_at', 'id'],
    },
    drop: ['account'],
  },
}

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
      for (const [table, { add, drop }] of Object.entries(indexes)) {
        await addIndexes(db, kind, table, add)
        // Each of these is a prefix of a new index, which serves the previous version as well.
        await dropIndexes(db, kind, table, drop)
      }
    },
  }
}
