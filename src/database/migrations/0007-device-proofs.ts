// Device proofs: a secret that an installation keeps after a sign-in, so that attackers at its number cannot
// keep its user out.
import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'
import { columnTypes } from '../column-types.ts'
import { createTable } from '../ddl.ts'
import type { DatabaseKind } from '../open.ts'

/** Every statement may run twice: MySQL commits each one by itself, so a crash can come between any two. */
export function deviceProofs(kind: DatabaseKind): Migration {
  const type = columnTypes(kind)

  const proofs = (db: Kysely<unknown>) =>
    db.schema
      .createTable('hufu_device_proofs')
      .ifNotExists()
      .addColumn('proof_hash', type.exact(43), (column) => column.primaryKey())
      .addColumn('account_id', type.exact(36), (column) => column.notNull())
      .addColumn('phone_number', type.exact(20), (column) => column.notNull())
      .addColumn('device_id', type.exact(128))
      .addColumn('session_id', type.exact(22), (column) => column.notNull())
      .addColumn('created_at', type.time, (column) => column.notNull())
      .addColumn('seen_at', type.time, (column) => column.notNull())
      .addForeignKeyConstraint('hufu_device_proofs_owner', ['account_id'], 'hufu_accounts', ['id'], (key) =>
        key.onDelete('cascade'),
      )

  return {
    async up(db) {
      await createTable(
        db,
        kind,
        { name: 'hufu_device_proofs', statement: proofs(db) },
        { account: ['account_id'], seen_at: ['seen_at'] },
      )
    },
  }
}
