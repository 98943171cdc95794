// Two servers with Redis, on MariaDB or PostgreSQL.
import { createMariadbDatabase, type Mariadb, startMariadb } from '../support/services/mariadb.ts'
import { createPostgresDatabase, type Postgres, startPostgres } from '../support/services/postgres.ts'
import { type RedisServer, startRedis } from '../support/services/redis.ts'
import { startProxy } from '../support/tcp-proxy.ts'
import {
  openDeploymentDatabase,
  type ProxiedDeployment,
  type ProxiedServer,
  startHufu,
} from './deployment.ts'

export interface MariadbDeployment extends ProxiedDeployment {
  readonly mariadb: Mariadb
}

export interface PostgresDeployment extends ProxiedDeployment {
  readonly postgres: Postgres
}

export async function openMariadbDeployment(
  source: string,
  settings: Record<string, string> = {},
): Promise<MariadbDeployment> {
  const mariadb = await startMariadb()
  const databaseUrl = await createMariadbDatabase(mariadb.url)
  const deployment = await openProxiedDeployment(source, databaseUrl, () => mariadb.stop(), settings)
  return Object.assign(deployment, { mariadb })
}

/** More than two servers need, and few enough for a fault to take all of them. */
const postgresConnections = 50

export async function openPostgresDeployment(source: string): Promise<PostgresDeployment> {
  const postgres = await startPostgres({ isDurable: true, maxConnections: postgresConnections })
  const url = await createPostgresDatabase(postgres.url)
  const deployment = await openProxiedDeployment(source, url, () => postgres.stop())
  return Object.assign(deployment, { postgres })
}

async function openProxiedDeployment(
  source: string,
  databaseUrl: string,
  stopDatabase: () => Promise<void>,
  settings: Record<string, string> = {},
): Promise<ProxiedDeployment> {
  let redis: RedisServer = await startRedis({ save: 'rdb' })
  const start = (name: string) => startProxied(name, source, { databaseUrl, redisUrl: redis.url, settings })
  const servers = [await start('s1'), await start('s2')] as const
  const database = openDeploymentDatabase(databaseUrl)
  return {
    ...database,
    servers,
    // A getter, because a fail-over replaces it.
    get redis() {
      return redis
    },
    async promote(replica) {
      const old = redis
      await old.kill('SIGKILL')
      redis = replica
      for (const { redisProxy } of servers) redisProxy.setTarget(replica.url)
      await old.stop()
    },
    async close() {
      await Promise.all(servers.map((server) => server.close()))
      await database.db.destroy()
      await Promise.all([stopDatabase(), redis.stop()])
    },
  }
}

interface ProxiedParts {
  readonly databaseUrl: string
  readonly redisUrl: string
  readonly settings: Record<string, string>
}

async function startProxied(
  name: string,
  source: string,
  { databaseUrl, redisUrl, settings }: ProxiedParts,
): Promise<ProxiedServer> {
  const [databaseProxy, redisProxy] = await Promise.all([startProxy(databaseUrl), startProxy(redisUrl)])
  const stores = { HUFU_DATABASE_URL: databaseProxy.url, HUFU_REDIS_URL: redisProxy.url, ...settings }
  const server = await startHufu(name, source, stores)
  const closeServer = server.close
  return Object.assign(server, {
    databaseProxy,
    redisProxy,
    async close() {
      await closeServer()
      await Promise.all([databaseProxy.close(), redisProxy.close()])
    },
  })
}
