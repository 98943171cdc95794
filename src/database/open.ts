// Opens the database of HUFU_DATABASE_URL: its dialect, its pool, and the wait for a database that is still
// starting.
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type CompiledQuery, type Dialect, Kysely, MysqlDialect, PostgresDialect, sql } from 'kysely'
import type { MaybePromise } from '../maybe-promise.ts'
import { parseDatabaseUrl } from './database-url.ts'
import { isReadOnly, isUnusableFile } from './failures.ts'
import { withMigrationLock } from './migration-lock.ts'
import { queuedMysqlPool, queuedPostgresPool } from './pool-queue.ts'
import { refusalOf } from './refused.ts'
import type { Database, Tables } from './schema.ts'
import { ServerWatch } from './server-identity.ts'
import { requestDeadlines, type SessionDeadlines } from './session-defaults.ts'
import { NodeSqliteDialect } from './sqlite-dialect.ts'

export { type DatabaseKind, databaseKind } from './database-url.ts'

/** The path of the file that a `sqlite:` URL names. @throws WrongValue for any other URL */
export function sqlitePath(url: string): string {
  const place = parseDatabaseUrl(url)
  if (place.kind === 'sqlite') return place.path
  throw new TypeError('not a sqlite: URL')
}

/** The drivers are loaded only when they are needed, so that a start on SQLite takes less than a second. */
const pools = () => import('./pools.ts')

export interface DialectOptions {
  /** Those of requests, if not given. */
  readonly deadlines?: SessionDeadlines
  /** All pools of a process that use one database share it; if not given, the pool has its own. */
  readonly watch?: ServerWatch
}

/**
 * The Kysely dialect for a URL. Nothing is opened yet.
 * @throws WrongValue for a URL that parseDatabaseUrl refuses
 */
export function dialectFor(
  url: string,
  poolSize: number,
  { deadlines = requestDeadlines, watch = new ServerWatch() }: DialectOptions = {},
): Dialect {
  const place = parseDatabaseUrl(url)
  const options = { size: poolSize, deadlines, watch }
  switch (place.kind) {
    case 'sqlite': {
      mkdirSync(dirname(place.path), { recursive: true, mode: 0o700 })
      return new NodeSqliteDialect(place.path)
    }
    case 'mysql':
      return withMigrationLock(
        new MysqlDialect({
          pool: async () => queuedMysqlPool((await pools()).mysqlPool(place, options), poolSize),
        }),
        place.kind,
      )
    case 'postgres':
      return withMigrationLock(
        new PostgresDialect({
          pool: async () => queuedPostgresPool((await pools()).postgresPool(place, options), poolSize),
        }),
        place.kind,
      )
  }
}

/** Opens the database. The first query connects. */
export function openDatabase(dialect: Dialect): Database {
  return new Kysely<Tables>({ dialect })
}

/** Turns a compiled query into a function of its parameters. For reads outside a transaction. */
export type PrepareRead = <R>(
  query: CompiledQuery<R>,
) => (parameters: readonly unknown[]) => MaybePromise<R[]>

/**
 * Runs reads that every request makes. On SQLite they run directly on a separate connection, because Kysely's
 * machinery (and waiting for other transactions) costs more there than the read itself.
 */
export function preparedReads(db: Database, dialect: Dialect): PrepareRead {
  if (dialect instanceof NodeSqliteDialect) return (query) => dialect.prepareRead(query)
  return <R>(query: CompiledQuery<R>) =>
    async (parameters) =>
      (await db.executeQuery<R>({ ...query, parameters })).rows
}

/**
 * For a database that can detect another process's commits cheaply: a function that reads a number which
 * every such commit changes. Null for other databases.
 */
export function versionReader(dialect: Dialect): (() => number) | null {
  return dialect instanceof NodeSqliteDialect ? () => dialect.dataVersion() : null
}

/**
 * Waits until the database answers, for `seconds` at most. An error that does not pass with time ends the
 * wait: an unusable file, a wrong password.
 * @param onWait called once, with the cause, when the first attempt fails
 * @throws the error of the last attempt
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
