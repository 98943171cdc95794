// From HUFU_DATABASE_URL to the truth: which dialect, which pool, and waiting for a database that is not up yet.
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type CompiledQuery, type Dialect, Kysely, MysqlDialect, PostgresDialect, sql } from 'kysely'
import type { MaybePromise } from '../maybe-promise.ts'
import { parseDatabaseUrl } from './database-url.ts'
import { isReadOnly, isUnusableFile } from './failures.ts'
import { refusalOf } from './refused.ts'
import type { Database, Tables } from './schema.ts'
import { requestDeadlines } from './session-defaults.ts'
import { NodeSqliteDialect } from './sqlite-dialect.ts'

export { type DatabaseKind, databaseKind } from './database-url.ts'

/** The path of the file that a `sqlite:` URL names. @throws WrongValue for any other URL */
export function sqlitePath(url: string): string {
  const place = parseDatabaseUrl(url)
  if (place.kind === 'sqlite') return place.path
  throw new TypeError('not a sqlite: URL')
}

/** The drivers are loaded by who needs them: a start on SQLite is to take less than a second. */
const pools = () => import('./pools.ts')

/** The Kysely dialect for a URL. Nothing is opened yet. @throws WrongValue for what parseDatabaseUrl does not take */
export function dialectFor(url: string, poolSize: number, deadlines = requestDeadlines): Dialect {
  const place = parseDatabaseUrl(url)
  switch (place.kind) {
    case 'sqlite': {
      mkdirSync(dirname(place.path), { recursive: true, mode: 0o700 })
      return new NodeSqliteDialect(place.path)
    }
    case 'mysql':
      return new MysqlDialect({
        pool: async () => (await pools()).mysqlPool(place, poolSize, deadlines),
      })
    case 'postgres':
      return new PostgresDialect({
        pool: async () => (await pools()).postgresPool(place, poolSize, deadlines),
      })
  }
}

/** Opens the truth. The first query connects. */
export function openDatabase(dialect: Dialect): Database {
  return new Kysely<Tables>({ dialect })
}

/** Makes a query that was compiled once into a function of its parameters. For reads outside a transaction. */
export type PrepareRead = <R>(
  query: CompiledQuery<R>,
) => (parameters: readonly unknown[]) => MaybePromise<R[]>

/**
 * How reads that every request makes are run. On SQLite straight on a connection of their own, because there Kysely's
 * machinery (and waiting for a transaction of somebody else) costs more than the read itself.
 */
export function preparedReads(db: Database, dialect: Dialect): PrepareRead {
  if (dialect instanceof NodeSqliteDialect) return (query) => dialect.prepareRead(query)
  return <R>(query: CompiledQuery<R>) =>
    async (parameters) =>
      (await db.executeQuery<R>({ ...query, parameters })).rows
}

/** For a database that tells cheaply whether another process has changed anything in it: reads a number that is then another one. */
export function versionReader(dialect: Dialect): (() => number) | null {
  return dialect instanceof NodeSqliteDialect ? () => dialect.dataVersion() : null
}

/**
 * Waits until the database answers, for `seconds` at most; not at all for what no waiting changes: a file that cannot be used, a wrong
 * password.
 * @param onWait told once, with the cause, when the first try fails
 * @throws what the last try threw
 */
export async function waitForDatabase(
  db: Database,
  seconds: number,
  onWait: (cause: unknown) => void,
): Promise<void> {
  const giveUpAt = performance.now() + seconds * 1000
  for (let tries = 0; ; tries++) {
    try {
      await sql`select 1`.execute(db)
      return
    } catch (error) {
      if (isUnusableFile(error) || isReadOnly(error) || refusalOf(error)) throw error
      if (tries === 0) onWait(error)
      if (performance.now() >= giveUpAt) throw error
      await sleep(500)
    }
  }
}
