// Pages of the rows that share one value, by an index (column, time, id).
import type { Database } from './schema.ts'

/**
 * What a page after the first one asks of the indexed column: `in` these values. MariaDB and MySQL compare one value by `ref`,
 * which goes through all of its rows from the end until it comes to the page, so that each page takes longer than the one
 * before. With two values they take the time into the range. No row has the second one, which is empty. (The column has to
 * stand first in the order then.)
 */
export function valuesOfPage(db: Database, value: string): string[] {
  return isMysql(db) ? [value, ''] : [value]
}

/** Of our databases only MySQL and MariaDB cannot return what they wrote, as Kysely sees them. */
export function isMysql(db: Database): boolean {
  return !db.getExecutor().adapter.supportsReturning
}
