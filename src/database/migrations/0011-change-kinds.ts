// The kind of a row of the change feed. A server of the previous version writes none: its rows have the kind
// `account`.
import type { Migration } from 'kysely/migration'
import { columnTypes } from '../column-types.ts'
import { addColumns } from '../ddl.ts'
import type { DatabaseKind } from '../open.ts'

/**
 * The column is added only where it is missing: MySQL commits each statement separately, and the process may
 * crash between two of them.
 */
export function changeKinds(kind: DatabaseKind): Migration {
  const type = columnTypes(kind)
  return {
    async up(db) {
      await addColumns(db, kind, 'hufu_account_changes', { kind: type.exact(16) }, { kind: 'account' })
    },
  }
}
