// Which keyed sign-in guessed last at a code: another try of the same sign-in is not another guess.
import type { Migration } from 'kysely/migration'
import { columnTypes } from '../column-types.ts'
import { addColumns } from '../ddl.ts'
import type { DatabaseKind } from '../open.ts'

/** May run twice: MySQL commits each statement by itself, so a crash can come between any two. */
export function keyedGuesses(kind: DatabaseKind): Migration {
  return {
    async up(db) {
      await addColumns(db, kind, 'hufu_codes', { last_guess: columnTypes(kind).exact(43) })
    },
  }
}
