// What kind of change a row of the feed is. A server of the version before writes none: its rows are of kind `account`.
import type { Migration } from 'kysely/migration'
import { columnTypes } from '../column-types.ts'
import { addColumns } from '../ddl.ts'
import type { DatabaseKind } from '../open.ts'

/** The column is added only where it is missing: MySQL commits each statement by itself, and a crash can come between. */
export function changeKinds(kind: DatabaseKind): Migration {
  const type = columnTypes(kind)
  return {
    async up(db) {
      await addColumns(db, kind, 'hufu_account_changes', { kind: type.exact(16) }, { kind: 'account' })
    },
  }
}
