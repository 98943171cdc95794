// Service keys of the operator's programs, and the networks that each was used from.
import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'
import { columnTypes } from '../column-types.ts'
import { createTable } from '../ddl.ts'
import type { DatabaseKind } from '../open.ts'

/** Every statement may run twice: MySQL commits each one by itself, so a crash can come between any two. */
export function serviceKeys(kind: DatabaseKind): Migration {
  const type = columnTypes(kind)
  const keys = (db: Kysely<unknown>) =>
    db.schema
      .createTable('hufu_service_keys')
      .ifNotExists()
      .addColumn('id', type.exact(12), (column) => column.primaryKey())
      .addColumn('name', type.text(64), (column) => column.notNull())
      .addColumn('scopes', type.exact(255), (column) => column.notNull())
      .addColumn('networks', type.exact(1024), (column) => column.notNull())
      .addColumn('secret_hash', type.exact(43), (column) => column.notNull())
      .addColumn('previous_hash', type.exact(43))
      .addColumn('previous_until', type.time)
      .addColumn('created_at', type.time, (column) => column.notNull())
      .addColumn('created_by', type.exact(12))
      .addColumn('expires_at', type.time)
      .addColumn('rotated_at', type.time)
      .addColumn('revoked_at', type.time)
      .addColumn('last_used_at', type.time)
  const networks = (db: Kysely<unknown>) =>
    db.schema
      .createTable('hufu_service_key_networks')
      .ifNotExists()
      .addColumn('key_id', type.exact(12), (column) => column.notNull())
      .addColumn('network', type.exact(45), (column) => column.notNull())
      .addColumn('first_used_at', type.time, (column) => column.notNull())
      .addPrimaryKeyConstraint('hufu_service_key_networks_pk', ['key_id', 'network'])
      .addForeignKeyConstraint(
        'hufu_service_key_networks_key',
        ['key_id'],
        'hufu_service_keys',
        ['id'],
        (constraint) => constraint.onDelete('cascade'),
      )

  return {
    async up(db) {
      await createTable(db, kind, { name: 'hufu_service_keys', statement: keys(db) }, {})
      await createTable(db, kind, { name: 'hufu_service_key_networks', statement: networks(db) }, {})
    },
  }
}
