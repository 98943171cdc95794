// Tables with their indexes, and columns that come later, by statements that may run twice.
import { type CreateTableBuilder, type Kysely, type RawBuilder, sql } from 'kysely'
import type { ColumnType } from './columns.ts'
import type { DatabaseKind } from './open.ts'

/**
 * Creates a table and its indexes (suffix of the name -> columns) where they are missing. MySQL has no `create index if
 * not exists`, so there the indexes are part of the table's own statement.
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

/** Adds those of the columns that the table does not have: MySQL commits each statement by itself, and a crash can come between. */
export async function addColumns(
  db: Kysely<unknown>,
  kind: DatabaseKind,
  table: string,
  columns: Readonly<Record<string, ColumnType>>,
): Promise<void> {
  const present = await columnNames(db, kind, table)
  for (const [name, type] of Object.entries(columns)) {
    if (!present.includes(name)) await db.schema.alterTable(table).addColumn(name, type).execute()
  }
}

/** The columns that a table has now: no migration of MySQL or SQLite can say "add it if it is not there". */
async function columnNames(db: Kysely<unknown>, kind: DatabaseKind, table: string): Promise<string[]> {
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
