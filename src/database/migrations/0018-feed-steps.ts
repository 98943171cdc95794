// The order of the change feed without the numbers of the database, the history that its rows belong to, and
// the column that each write of an account changes.
import { randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import { columnTypes } from '../column-types.ts'
import { addColumns, addIndexes, createTable } from '../ddl.ts'
import type { DatabaseKind } from '../open.ts'

/** May run twice: MySQL commits each statement by itself, so a crash can come between any two. */
export function feedSteps(kind: DatabaseKind): Migration {
  const type = columnTypes(kind)
  return {
    async up(db) {
      const changes = 'hufu_account_changes'
      // Both are null in the rows of servers of the version before.
      await addColumns(db, kind, changes, { step: type.time, mark: type.exact(11) })
      await addIndexes(db, kind, changes, { step: ['step', 'position'] })
      await addColumns(db, kind, 'hufu_accounts', { writes: type.time })
      const feed = db.schema
        .createTable('hufu_feed')
        .ifNotExists()
        .addColumn('id', 'integer', (column) => column.primaryKey())
        .addColumn('history', type.exact(8), (column) => column.notNull())
      await createTable(db, kind, { name: 'hufu_feed', statement: feed }, {})
      const history = randomBytes(4).toString('hex')
      await sql`insert into hufu_feed (id, history)
        select 1, ${history} from (select 1 as one) as one where not exists (select 1 from hufu_feed)`.execute(
        db,
      )
    },
  }
}
