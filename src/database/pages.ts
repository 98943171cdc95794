// Pages of the rows with the same value, by an index (column, time, id).
import { SqliteAdapter } from 'kysely'
import type { Database } from './schema.ts'

/**
 * The values with which a page after the first one compares the indexed column, by `in`. MariaDB and MySQL
 * look one value up by `ref` access, which scans all of its rows from the end to the page, so that each page
 * takes longer than the one before. With two values, they include the time in a range scan. No row has the
 * second value, which is empty. (The column must then come first in the order.)
 */
export function valuesOfPage(db: Database, value: string): string[] {
  return isMysql(db) ? [value, ''] : [value]
}

/** Of the supported dialects in Kysely, only that of MySQL and MariaDB has no `returning`. */
export function isMysql(db: Database): boolean {
  return !db.getExecutor().adapter.supportsReturning
}

export function isSqlite(db: Database): boolean {
  return db.getExecutor().adapter instanceof SqliteAdapter
}
