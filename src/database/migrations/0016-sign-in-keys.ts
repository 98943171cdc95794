// Which sign-in made a session: a request with the same key that comes late makes no second one.
import type { Migration } from 'kysely/migration'
import { columnTypes } from '../column-types.ts'
import { addColumns } from '../ddl.ts'
import type { DatabaseKind } from '../open.ts'

/** May run twice: MySQL commits each statement by itself, so a crash can come between any two. */
export function signInKeys(kind: DatabaseKind): Migration {
  return {
    async up(db) {
      await addColumns(db, kind, 'hufu_sessions', { sign_in_fingerprint: columnTypes(kind).exact(43) })
    },
  }
}
