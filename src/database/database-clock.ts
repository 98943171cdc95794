// Reads the database's clock.
import { sql } from 'kysely'
import type { DatabaseKind } from './open.ts'
import type { Database } from './schema.ts'

/** The database's clock in milliseconds since 1970 UTC; on SQLite it is that of this machine. */
export async function databaseNow(db: Database, kind: DatabaseKind): Promise<number> {
  if (kind === 'sqlite') return Date.now()
  const now =
    kind === 'mysql'
      ? sql<{ ms: number }>`select round(unix_timestamp(now(3)) * 1000) as ms`
      : sql<{ ms: number }>`select round(extract(epoch from clock_timestamp()) * 1000) as ms`
  const { rows } = await now.execute(db)
  return Number(rows[0]?.ms)
}
