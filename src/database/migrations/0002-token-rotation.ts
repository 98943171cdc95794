// The columns of a session about the token before its present one.
import type { Migration } from 'kysely/migration'
import { columnTypes } from '../column-types.ts'
import { addColumns } from '../ddl.ts'
import type { DatabaseKind } from '../open.ts'

/**
 * Every column is added only where it is missing: MySQL commits each statement separately, and the process
 * may crash between two of them.
 */
export function tokenRotation(kind: DatabaseKind): Migration {
  const type = columnTypes(kind)
  const columns = {
    token_family_hash: type.exact(43),
    previous_token_hash: type.exact(43),
    rotation_nonce: type.exact(22),
    rotated_at: type.time,
  }
  return {
    async up(db) {
      await addColumns(db, kind, 'hufu_sessions', columns)
    },
  }
}
