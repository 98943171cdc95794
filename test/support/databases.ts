/** The databases of the tests, each with and without Redis: real servers, see services/global-setup.ts. */

import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { inject } from 'vitest'
import { createFolder, removeFolder } from './services/folders.ts'
import { type ProvidedServer, redisDatabases } from './services/global-setup.ts'
import { createMariadbDatabase, dropMariadbDatabase } from './services/mariadb.ts'
import { createPostgresDatabase, dropPostgresDatabase } from './services/postgres.ts'

export type FreshDatabase = {
  /**
   * `sqlite:/tmp/x/hufu.db`, `mysql://root@127.0.0.1:3306/hufu_test_ab12` or
   * `postgres://hufu@127.0.0.1:5432/hufu_test_ab12`.
   */
  url: string
  /** Removes the database and closes its open connections. */
  drop(): Promise<void>
}

export type DatabaseUnderTest = {
  name: 'sqlite' | 'mariadb' | 'mysql' | 'postgres'
  /** The reason why its tests are skipped; null if they run. */
  skipped: string | null
  /** Creates a database with all tables; throws if the tests are skipped. */
  create(): Promise<FreshDatabase>
  /** The same without tables. */
  createEmpty(): Promise<FreshDatabase>
}

export type StoreUnderTest = {
  /** `mariadb` or `mariadb + redis`. */
  name: string
  database: DatabaseUnderTest
  redis: boolean
  /** The reason why its tests are skipped; null if they run. */
  skipped: string | null
}

const sqlite: DatabaseUnderTest = {
  name: 'sqlite',
  skipped: null,
  async create() {
    const fresh = await sqlite.createEmpty()
    copyFileSync(inject('templates').sqlite, fresh.url.slice('sqlite:'.length))
    return fresh
  },
  async createEmpty() {
    const folder = createFolder('sqlite')
    return { url: `sqlite:${join(folder, 'hufu.db')}`, drop: async () => removeFolder(folder) }
  },
}

const mariadb = onMysqlServer('mariadb')
const mysql = onMysqlServer('mysql')

function onMysqlServer(name: 'mariadb' | 'mysql'): DatabaseUnderTest {
  const server = inject(name)
  const createWith = async (statements: readonly string[] | null) => {
    const url = await createMariadbDatabase(urlOf(server), statements ?? [])
    return { url, drop: () => dropMariadbDatabase(url) }
  }
  return {
    name,
    skipped: server.skipped,
    create: () => createWith(inject('templates')[name]),
    createEmpty: () => createWith(null),
  }
}

const postgres: DatabaseUnderTest = {
  name: 'postgres',
  skipped: inject('postgres').skipped,
  create: () => createInPostgres(inject('templates').postgres),
  createEmpty: () => createInPostgres(null),
}

async function createInPostgres(template: string | null): Promise<FreshDatabase> {
  const url = await createPostgresDatabase(urlOf(inject('postgres')), template ?? undefined)
  return { url, drop: () => dropPostgresDatabase(url) }
}

/** For `describe.each(databases)('$name', …)`, with `describe.skipIf` or `test.skipIf` on `skipped`. */
export const databases: readonly DatabaseUnderTest[] = [
  sqlite,
  mariadb,
  // services/global-setup.ts prints once why there is no MySQL, instead of each test.
  ...(mysql.skipped === null ? [mysql] : []),
  postgres,
]

/** Each database without Redis and with it. */
export const stores: readonly StoreUnderTest[] = databases.flatMap((database) => [
  { name: database.name, database, redis: false, skipped: database.skipped },
  {
    name: `${database.name} + redis`,
    database,
    redis: true,
    skipped: database.skipped ?? inject('redis').skipped,
  },
])

/**
 * The shared Redis, in the logical database of this test file: no other file sees its keys, and FLUSHDB
 * between tests is safe. Channels and client tracking ignore logical databases. Null if Redis is not
 * installed.
 */
export function redisUrl(): string | null {
  const { url } = inject('redis')
  return url === null ? null : `${url}/${Number(process.env.VITEST_WORKER_ID) % redisDatabases}`
}

function urlOf(server: ProvidedServer): string {
  if (server.url === null) throw new Error(server.skipped)
  return server.url
}
