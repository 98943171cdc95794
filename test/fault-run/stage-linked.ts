// Two servers with Redis, on MariaDB or PostgreSQL.
import { createMariadbDatabase, type Mariadb, startMariadb } from '../support/services/mariadb.ts'
import { createPostgresDatabase, type Postgres, startPostgres } from '../support/services/postgres.ts'
import { type RedisServer, startRedis } from '../support/services/redis.ts'
import { startProxy } from '../support/tcp-proxy.ts'
import { type LinkedServer, type LinkedStage, openStageDatabase, startHufu } from './stage.ts'

export interface MariadbStage extends LinkedStage {
  readonly mariadb: Mariadb
}

export interface PostgresStage extends LinkedStage {
  readonly postgres: Postgres
}

export async function openMariadbStage(
  source: string,
  settings: Record<string, string> = {},
): Promise<MariadbStage> {
  const mariadb = await startMariadb()
  const databaseUrl = await createMariadbDatabase(mariadb.url)
  const stage = await openLinkedStage(source, databaseUrl, () => mariadb.stop(), settings)
  return Object.assign(stage, { mariadb })
}

/** Few enough for a fault to take all of them, and more than two servers need. */
const postgresConnections = 50

export async function openPostgresStage(source: string): Promise<PostgresStage> {
  const postgres = await startPostgres({ isDurable: true, maxConnections: postgresConnections })
  const url = await createPostgresDatabase(postgres.url)
  const stage = await openLinkedStage(source, url, () => postgres.stop())
  return Object.assign(stage, { postgres })
}

async function openLinkedStage(
  source: string,
  databaseUrl: string,
  stopDatabase: () => Promise<void>,
  settings: Record<string, string> = {},
): Promise<LinkedStage> {
  let redis: RedisServer = await startRedis({ save: 'rdb' })
  const start = (name: string) => startLinked(name, source, { databaseUrl, redisUrl: redis.url, settings })
  const servers = [await start('s1'), await start('s2')] as const
  const database = openStageDatabase(databaseUrl)
  return {
    ...database,
    servers,
    // It changes after a fail-over, which a late caller must see.
    get redis() {
      return redis
    },
    async promote(replica) {
      const old = redis
      await old.kill('SIGKILL')
      redis = replica
      for (const { toRedis } of servers) toRedis.leadTo(replica.url)
      await old.stop()
    },
    async close() {
      await Promise.all(servers.map((server) => server.close()))
      await database.db.destroy()
      await Promise.all([stopDatabase(), redis.stop()])
    },
  }
}

interface LinkedParts {
  readonly databaseUrl: string
  readonly redisUrl: string
  readonly settings: Record<string, string>
}

async function startLinked(
  name: string,
  source: string,
  { databaseUrl, redisUrl, settings }: LinkedParts,
): Promise<LinkedServer> {
  const [toDatabase, toRedis] = await Promise.all([startProxy(databaseUrl), startProxy(redisUrl)])
  const stores = { HUFU_DATABASE_URL: toDatabase.url, HUFU_REDIS_URL: toRedis.url, ...settings }
  const server = await startHufu(name, source, stores)
  const closeServer = server.close
  return Object.assign(server, {
    toDatabase,
    toRedis,
    async close() {
      await closeServer()
      await Promise.all([toDatabase.close(), toRedis.close()])
    },
  })
}
