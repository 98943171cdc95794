// A table with its indexes, by statements that may run twice.
import type { CreateTableBuilder, Kysely } from 'kysely'
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
