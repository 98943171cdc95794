// What a session remembers of the token before its present one.
import type { Migration } from 'kysely/migration'
import { columnNames, columnTypes } from '../columns.ts'
import type { DatabaseKind } from '../open.ts'

/** Every column is added only where it is not there: MySQL commits each statement by itself, and a crash can come between. */
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
      const present = await columnNames(db, kind, 'sessions')
      for (const [name, columnType] of Object.entries(columns)) {
        if (present.includes(name)) continue
        await db.schema.alterTable('sessions').addColumn(name, columnType).execute()
      }
    },
  }
}
