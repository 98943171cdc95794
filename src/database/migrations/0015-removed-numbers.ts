// The number of an account whose removal began: the account itself has none any more, so that the number is
// free.
import type { Migration } from 'kysely/migration'
import { columnTypes } from '../column-types.ts'
import { addColumns } from '../ddl.ts'
import type { DatabaseKind } from '../open.ts'

/** May run twice: MySQL commits each statement by itself, so a crash can come between any two. */
export function removedNumbers(kind: DatabaseKind): Migration {
  return {
    async up(db) {
      await addColumns(db, kind, 'hufu_accounts', { removed_number: columnTypes(kind).exact(20) })
    },
  }
}
