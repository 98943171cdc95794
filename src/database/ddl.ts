// Creates tables with their indexes, and changes them later, by statements that may run twice.
import { type CreateTableBuilder, type Kysely, type RawBuilder, sql } from 'kysely'
import type { ColumnType } from './column-types.ts'
import type { DatabaseKind } from './open.ts'

/**
 * Creates a table and its indexes (columns by the suffix of the index's name) where they are missing. MySQL
 * has no `create index if not exists`, so there the indexes are part of the table's own statement.
 */
export async function createTable<T extends string>(
  db: Kysely<unknown>,
  kind: DatabaseKind,
  table: { readonly name: T; readonly statement: CreateTableBuilder<T, string> },
  indexes: Readonly<Record<string, readonly string[]>>,
): Promise<void> {
  const { name, statement } = table
  const named = Object.entries(indexes).map(([suffix, columns]) => ({
    index: `${name}_${suffix}`,
    columns: [...columns],
  }))
  if (kind === 'mysql') {
    await named.reduce((built, { index, columns }) => built.addIndex(index, columns), statement).execute()
    return
  }
  await statement.execute()
  for (const { index, columns } of named) {
    await db.schema.createIndex(index).ifNotExists().on(name).columns(columns).execute()
  }
}

/**
 * Renames an index, and on PostgreSQL its constraint. SQLite has no such statement: there the index is
 * created again from its own SQL.
 */
export async function renameIndex(
  db: Kysely<unknown>,
  kind: DatabaseKind,
  table: string,
  { from, to }: { readonly from: string; readonly to: string },
): Promise<void> {
  if (kind === 'postgres') await sql`alter index ${sql.id(from)} rename to ${sql.id(to)}`.execute(db)
  else if (kind === 'mysql')
    await sql`alter table ${sql.table(table)} rename index ${sql.id(from)} to ${sql.id(to)}`.execute(db)
  else {
    const { rows } = await sql<{ text: string }>`select sql as text from sqlite_master
      where type = 'index' and name = ${from}`.execute(db)
    await db.schema.dropIndex(from).execute()
    const named = new RegExp(`(index\\s+)"?${from}"?`, 'i')
    for (const { text } of rows) await sql.raw(text.replace(named, `$1"${to}"`)).execute(db)
  }
}

/** Renames a column if it still has its old name. */
export async function renameColumn(
  db: Kysely<unknown>,
  kind: DatabaseKind,
  table: string,
  { from, to }: { readonly from: string; readonly to: string },
): Promise<void> {
  const present = await columnNames(db, kind, table)
  if (!present.includes(from)) return
  // Both columns exist if the migrations before this one have run a second time.
  if (present.includes(to)) await db.schema.alterTable(table).dropColumn(from).execute()
  else await db.schema.alterTable(table).renameColumn(from, to).execute()
}

/**
 * Adds those of the columns that the table does not have; one with a default is never null. MySQL commits
 * each statement separately, and the process may crash between two of them.
 */
export async function addColumns(
  db: Kysely<unknown>,
  kind: DatabaseKind,
  table: string,
  columns: Readonly<Record<string, ColumnType>>,
  defaults: Readonly<Record<string, string>> = {},
): Promise<void> {
  const present = await columnNames(db, kind, table)
  for (const [name, type] of Object.entries(columns)) {
    if (present.includes(name)) continue
    const value = defaults[name]
    const add = db.schema.alterTable(table)
    await add
      .addColumn(name, type, (column) => (value === undefined ? column : column.notNull().defaultTo(value)))
      .execute()
  }
}

/** The columns of a table; empty where there is no such table. */
export async function columnNames<T>(db: Kysely<T>, kind: DatabaseKind, table: string): Promise<string[]> {
  const inSchema = (schema: RawBuilder<unknown>) =>
    sql<{ name: string }>`select column_name as name from information_schema.columns
      where table_schema = ${schema} and table_name = ${table}`
  const queries = {
    sqlite: sql<{ name: string }>`select name from pragma_table_info(${table})`,
    mysql: inSchema(sql`database()`),
    postgres: inSchema(sql`current_schema()`),
  }
  const { rows } = await queries[kind].execute(db)
  return rows.map(({ name }) => name)
}

/** The tables of this database (on PostgreSQL: of the current schema), including those of other programs. */
export async function tableNames<T>(db: Kysely<T>, kind: DatabaseKind): Promise<string[]> {
  const inSchema = (schema: RawBuilder<unknown>) =>
    sql<{
      name: string
    }>`select table_name as name from information_schema.tables where table_schema = ${schema}`
  const queries = {
    sqlite: sql<{ name: string }>`select name from sqlite_master where type = 'table'`,
    mysql: inSchema(sql`database()`),
    postgres: inSchema(sql`current_schema()`),
  }
  const { rows } = await queries[kind].execute(db)
  return rows.map(({ name }) => name)
}

/** The named indexes of a table: on SQLite, without those that the database created for constraints. */
export async function indexNames<T>(db: Kysely<T>, kind: DatabaseKind, table: string): Promise<string[]> {
  const queries = {
    sqlite: sql<{ name: string }>`select name from sqlite_master
      where type = 'index' and tbl_name = ${table} and sql is not null`,
    mysql: sql<{ name: string }>`select distinct index_name as name from information_schema.statistics
      where table_schema = database() and table_name = ${table}`,
    postgres: sql<{ name: string }>`select indexname as name from pg_indexes
      where schemaname = current_schema() and tablename = ${table}`,
  }
  const { rows } = await queries[kind].execute(db)
  return rows.map(({ name }) => name)
}

/** Creates those of the indexes (columns by the suffix of the index's name) that the table does not have. */
export async function addIndexes<T>(
  db: Kysely<T>,
  kind: DatabaseKind,
  table: string,
  indexes: Readonly<Record<string, readonly string[]>>,
): Promise<void> {
  const present = await indexNames(db, kind, table)
  for (const [suffix, columns] of Object.entries(indexes)) {
    const name = `${table}_${suffix}`
    if (!present.includes(name))
      await db.schema
        .createIndex(name)
        .on(table)
        .columns([...columns])
        .execute()
  }
}

/** Drops those of the indexes (suffixes of their names) that the table has. */
export async function dropIndexes<T>(
  db: Kysely<T>,
  kind: DatabaseKind,
  table: string,
  suffixes: readonly string[],
): Promise<void> {
  const present = await indexNames(db, kind, table)
  for (const name of suffixes.map((suffix) => `${table}_${suffix}`)) {
    if (!present.includes(name)) continue
    const drop = db.schema.dropIndex(name)
    await (kind === 'mysql' ? drop.on(table) : drop).execute()
  }
}
