// The column types of each database. Identifiers are compared byte by byte on all of them.
import { type Expression, type RawBuilder, sql } from 'kysely'
import type { DatabaseKind } from './open.ts'

export type ColumnType = RawBuilder<unknown> & Expression<unknown>

export interface ColumnTypes {
  /**
   * Text of up to `bytes` bytes that is compared byte by byte: identifiers, hashes, words of a closed list.
   */
  exact(bytes: number): ColumnType
  /** Text for people, of up to `characters` code points. */
  text(characters: number): ColumnType
  /** Milliseconds since 1970 UTC. */
  time: ColumnType
}

/**
 * VARBINARY on MySQL and MariaDB, because their text collations (`_bin` too) ignore trailing spaces;
 * collation "C" on PostgreSQL; SQLite compares the bytes of TEXT by default.
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
