// Changes to a database from before 0.1.0: the prefixes of indexes, `phone_verified`, and the state of an
// account, which was one column for two facts.
import { type Kysely, type RawBuilder, sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import { columnTypes } from '../column-types.ts'
import { addColumns, columnNames, createTable, indexNames, renameColumn, renameIndex } from '../ddl.ts'
import type { DatabaseKind } from '../open.ts'

/** The tables, by the old prefix of their indexes' names. The new prefix is the table's name. */
const tables = {
  accounts: 'hufu_accounts',
  sessions: 'hufu_sessions',
  codes: 'hufu_codes',
  events: 'hufu_events',
  account_changes: 'hufu_account_changes',
  server_keys: 'hufu_server_keys',
  kysely_migration: 'hufu_migrations',
  kysely_migration_lock: 'hufu_migration_lock',
}
/** The most rows that one statement reads: a statement has 5 s. */
const batch = 10_000

/** Every statement may run twice: MySQL commits each one by itself, so a crash can come between any two. */
export function ownNames(kind: DatabaseKind): Migration {
  const type = columnTypes(kind)

  const barredNumbers = (db: Kysely<unknown>) =>
    db.schema
      .createTable('hufu_barred_numbers')
      .ifNotExists()
      .addColumn('number_hash', type.exact(43), (column) => column.primaryKey())
      .addColumn('banned_at', type.time, (column) => column.notNull())
      .addColumn('ban_reason', type.text(255))

  return {
    async up(db) {
      for (const [before, table] of Object.entries(tables)) await renameIndexes(db, kind, { before, table })
      await renameColumn(db, kind, 'hufu_accounts', { from: 'phone_proven_at', to: 'phone_verified_at' })
      await renameWord(db, { table: 'hufu_sessions', column: 'end_reason' })
      await renameWord(db, { table: 'hufu_events', column: 'kind' })
      await addColumns(db, kind, 'hufu_accounts', { banned_at: type.time })
      await splitState(db, kind)
      await createTable(db, kind, { name: 'hufu_barred_numbers', statement: barredNumbers(db) }, {})
    },
  }
}

/**
 * A ban and a closing become separate facts. Where the one column said that an account is in use, leftovers
 * of an earlier closing or ban are cleared. The start of a ban was not stored: the last change of the row is
 * the nearest time.
 */
async function splitState(db: Kysely<unknown>, kind: DatabaseKind): Promise<void> {
  if (!(await columnNames(db, kind, 'hufu_accounts')).includes('state')) return
  const byId = (set: RawBuilder<unknown>, state: string) =>
    inBatches(db, { table: 'hufu_accounts', set, where: sql`state = ${state}` })
  await byId(sql`banned_at = updated_at`, 'banned')
  await byId(sql`closes_at = null, banned_until = null, ban_reason = null`, 'active')
  await byId(sql`banned_until = null, ban_reason = null`, 'closing')
  await db.schema.alterTable('hufu_accounts').dropColumn('state').execute()
}

async function renameIndexes(
  db: Kysely<unknown>,
  kind: DatabaseKind,
  { before, table }: { before: string; table: string },
): Promise<void> {
  const named = await indexNames(db, kind, table)
  for (const from of named.filter((name) => name.startsWith(`${before}_`)))
    await renameIndex(db, kind, table, { from, to: table + from.slice(before.length) })
}

/** `phone_proven` becomes `phone_verified`. */
async function renameWord(
  db: Kysely<unknown>,
  { table, column }: { table: string; column: string },
): Promise<void> {
  const set = sql`${sql.ref(column)} = 'phone_verified'`
  await inBatches(db, { table, set, where: sql`${sql.ref(column)} = 'phone_proven'` })
}

/** Updates the rows of a table that match a condition, a range of ids at a time. */
async function inBatches(
  db: Kysely<unknown>,
  { table, set, where }: { table: string; set: RawBuilder<unknown>; where: RawBuilder<unknown> },
): Promise<void> {
  for (let after = ''; ; ) {
    const { rows } = await sql<{ id: string }>`select id from ${sql.table(table)} where id > ${after}
      order by id limit 1 offset ${sql.lit(batch - 1)}`.execute(db)
    const last = rows[0]?.id ?? null
    const upTo = last === null ? sql`` : sql`and id <= ${last}`
    await sql`update ${sql.table(table)} set ${set} where ${where} and id > ${after} ${upTo}`.execute(db)
    if (last === null) return
    after = last
  }
}
