/**
 * Databases with all tables. A test run migrates one database of each kind, and the databases of the tests
 * are copies of it: a copy takes a fraction of the time of the migrations.
 */

import { join } from 'node:path'
import { migrate } from '../../../src/database/migrate.ts'
import { databaseKind, dialectFor, openDatabase } from '../../../src/database/open.ts'
import { createFolder } from './folders.ts'
import { copyingStatements, createMariadbDatabase } from './mariadb.ts'
import { createPostgresDatabase } from './postgres.ts'

/** What migrated databases are copied from; null where the server is missing. */
export interface Templates {
  /** The path of a file. */
  readonly sqlite: string
  /** Statements for an empty database. */
  readonly mariadb: readonly string[] | null
  readonly mysql: readonly string[] | null
  /** The name of a database, to which nothing may be connected. */
  readonly postgres: string | null
}

/** Migrates a database of each kind whose server has an address here. */
export async function createTemplates(urls: {
  readonly mariadb?: string
  readonly mysql?: string
  readonly postgres?: string
}): Promise<Templates> {
  const sqlite = join(createFolder('sqlite'), 'hufu.db')
  const [mariadb, mysql, postgres] = await Promise.all([
    urls.mariadb === undefined ? null : statementsFor(urls.mariadb),
    urls.mysql === undefined ? null : statementsFor(urls.mysql),
    urls.postgres === undefined ? null : migratedPostgres(urls.postgres),
    migrateFresh(`sqlite:${sqlite}`),
  ])
  return { sqlite, mariadb, mysql, postgres }
}

async function statementsFor(serverUrl: string): Promise<string[]> {
  const url = await createMariadbDatabase(serverUrl)
  await migrateFresh(url)
  return await copyingStatements(url)
}

async function migratedPostgres(serverUrl: string): Promise<string> {
  const url = await createPostgresDatabase(serverUrl)
  await migrateFresh(url)
  return url.slice(serverUrl.length + 1)
}

/** Creates the tables that a database does not have yet. */
export async function migrateFresh(databaseUrl: string): Promise<void> {
  const kind = databaseKind(databaseUrl)
  if (kind === null) throw new Error(`not a database URL: ${databaseUrl}`)
  const db = openDatabase(dialectFor(databaseUrl, 1))
  await migrate(db, kind)
  await db.destroy()
}
