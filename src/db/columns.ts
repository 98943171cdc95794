// What a column is called on each database, and which are there: identifiers compare byte for byte everywhere.
import { type Expression, type Kysely, type RawBuilder, sql } from 'kysely'
import type { DatabaseKind } from './open.ts'

type ColumnType = RawBuilder<unknown> & Expression<unknown>

export interface ColumnTypes {
  /** Text that compares byte for byte, of up to `bytes` bytes: identifiers, hashes, closed words. */
  exact(bytes: number): ColumnType
  /** Text for people, of up to `characters` code points. */
  text(characters: number): ColumnType
  /** Milliseconds since 1970 UTC. */
  time: ColumnType
}

/**
 * VARBINARY on MySQL and MariaDB, whose text collations (`_bin` too) ignore trailing spaces; collation "C" on PostgreSQL;
 * SQLite's TEXT compares bytes as it is.
 */
export function columnTypes(kind: DatabaseKind): ColumnTypes {
  switch (kind) {
    case 'mysql':
      return {
        exact: (bytes) => sql`varbinary(${sql.lit(bytes)})`,
        text: (characters) => sql`varchar(${sql.lit(characters)}) character set utf8mb4`,
        time: sql`bigint`,
      }
    case 'postgres':
      return { exact: () => sql`text collate "C"`, text: () => sql`text`, time: sql`bigint` }
    case 'sqlite':
      return { exact: () => sql`text`, text: () => sql`text`, time: sql`integer` }
  }
}

/** The columns that a table has now: no migration of MySQL or SQLite can say "add it if it is not there". */
export async function columnNames(db: Kysely<unknown>, kind: DatabaseKind, table: string): Promise<string[]> {
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
