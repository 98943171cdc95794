// The databases of the program, as the settings say: with the pool of requests, alone, and for migrations.
import type { Dialect } from 'kysely'
import { dialectThatTells, type Tell } from '../database/migration-progress.ts'
import { type DialectOptions, dialectFor, openDatabase } from '../database/open.ts'
import type { Database } from '../database/schema.ts'
import { ServerWatch } from '../database/server-identity.ts'
import { migrationDeadlines } from '../database/session-defaults.ts'
import { SettingsError } from '../settings/setting.ts'
import type { Settings } from '../settings/settings.ts'

/** The database with a single connection: for waiting until it answers, and for the feed. */
export function openDatabaseAlone(settings: Settings, watch = new ServerWatch()): Database {
  return openDatabase(openDialect({ ...settings.database, pool: 1 }, { watch }))
}

/**
 * A database for migrations: its statements have no deadline, and wait for a lock no longer than requests
 * behind them may wait.
 * @param tell called with a sentence about each long statement
 */
export function openForMigrations(settings: Settings, tell: Tell): Database {
  const { location } = settings.database
  const dialect = openDialect({ location, pool: 1 }, { deadlines: migrationDeadlines })
  return openDatabase(dialectThatTells(dialect, location.kind, tell))
}

export function openDialect(
  { location, pool }: Pick<Settings['database'], 'location' | 'pool'>,
  options: DialectOptions,
): Dialect {
  try {
    return dialectFor(location.url, pool, options)
  } catch (error) {
    const why = error instanceof Error ? error.message : error
    throw new SettingsError(
      `HUFU_DATABASE_URL 指定的位置不可用：${why}。请让运行 Hufu 的用户有权写入那个文件夹，或指定另一个文件，例如 sqlite:/var/lib/hufu/hufu.db。`,
      `HUFU_DATABASE_URL names a place that cannot be used: ${why}. Give the user that runs Hufu write permission on that folder, or name another file, for example sqlite:/var/lib/hufu/hufu.db.`,
    )
  }
}
