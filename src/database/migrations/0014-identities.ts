// Identities besides the phone number, and accounts without a number. No earlier version creates either.
import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import { columnTypes } from '../column-types.ts'
import { createTable } from '../ddl.ts'
import type { DatabaseKind } from '../open.ts'

/** Every statement may run twice: MySQL commits each one by itself, so a crash can come between any two. */
export function identities(kind: DatabaseKind): Migration {
  const type = columnTypes(kind)
  const table = (db: Kysely<unknown>) =>
    db.schema
      .createTable('hufu_identities')
      .ifNotExists()
      .addColumn('kind', type.exact(16), (column) => column.notNull())
      .addColumn('issuer', type.exact(128), (column) => column.notNull())
      .addColumn('subject', type.exact(255), (column) => column.notNull())
      .addColumn('account_id', type.exact(36), (column) => column.notNull())
      .addColumn('created_at', type.time, (column) => column.notNull())
      .addPrimaryKeyConstraint('hufu_identities_pk', ['kind', 'issuer', 'subject'])
      .addForeignKeyConstraint('hufu_identities_owner', ['account_id'], 'hufu_accounts', ['id'], (key) =>
        key.onDelete('cascade'),
      )

  return {
    async up(db) {
      await dropNotNull[kind](db)
      await createTable(
        db,
        kind,
        { name: 'hufu_identities', statement: table(db) },
        { account: ['account_id'] },
      )
    },
  }
}

/** Lets `hufu_accounts.phone_number` be null; a second run changes nothing. */
const dropNotNull: Readonly<Record<DatabaseKind, (db: Kysely<unknown>) => Promise<void>>> = {
  async mysql(db) {
    await sql`alter table hufu_accounts modify column phone_number varbinary(20) null`.execute(db)
  },
  async postgres(db) {
    await sql`alter table hufu_accounts alter column phone_number drop not null`.execute(db)
  },
  sqlite: rebuildAccounts,
}

/**
 * SQLite can drop the constraint from version 3.53 on. Older versions need a new table
 * (https://sqlite.org/lang_altertable.html#otheralter), and dropping the old one would delete the rows that
 * refer to it: migrate.ts turns foreign keys off for the migrations.
 */
async function rebuildAccounts(db: Kysely<unknown>): Promise<void> {
  const { rows: objects } = await sql<{ type: string; sql: string }>`select type, sql from sqlite_master
    where tbl_name = 'hufu_accounts' and sql is not null`.execute(db)
  const table = objects.find(({ type }) => type === 'table')?.sql ?? ''
  const nullable = table.replace(/("phone_number" [^,]*?)\bnot null\b ?/i, '$1')
  if (nullable === table) return
  await sql.raw(nullable.replace('"hufu_accounts"', '"hufu_accounts_new"')).execute(db)
  await sql`insert into hufu_accounts_new select * from hufu_accounts`.execute(db)
  await sql`drop table hufu_accounts`.execute(db)
  await sql`alter table hufu_accounts_new rename to hufu_accounts`.execute(db)
  for (const { type, sql: text } of objects) if (type !== 'table') await sql.raw(text).execute(db)
}
