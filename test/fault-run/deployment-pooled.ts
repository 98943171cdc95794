// Two servers with Redis, on PostgreSQL behind PgBouncer with transaction pooling.
import { getBinary } from '../support/services/binaries.ts'
import { type Pgbouncer, startPgbouncer } from '../support/services/pgbouncer.ts'
import { createPostgresDatabase, type Postgres, startPostgres } from '../support/services/postgres.ts'
import { startRedis } from '../support/services/redis.ts'
import { type Deployment, openDeploymentDatabase, startHufu } from './deployment.ts'

export interface PooledDeployment extends Deployment {
  readonly postgres: Postgres
  readonly pooler: Pgbouncer
  /** The database through the pooler. */
  readonly pooledUrl: string
}

/** The connections of the pooler to the server. */
export const pooledConnections = 5

export async function openPooledDeployment(source: string): Promise<PooledDeployment> {
  // Where it is missing, no database server is started.
  getBinary(['pgbouncer'], 'pgbouncer')
  const [postgres, redis] = await Promise.all([startPostgres({ isDurable: true }), startRedis()])
  const databaseUrl = await createPostgresDatabase(postgres.url)
  const pooler = await startPgbouncer(postgres, [
    'pool_mode = transaction',
    `default_pool_size = ${pooledConnections}`,
    'max_client_conn = 200',
    'query_wait_timeout = 1',
    // It connects again as soon as the server is back; by default it waits for 15 s.
    'server_login_retry = 1',
  ])
  const pooledUrl = pooler.url + new URL(databaseUrl).pathname
  const stores = { HUFU_DATABASE_URL: pooledUrl, HUFU_REDIS_URL: redis.url }
  const servers = [await startHufu('s1', source, stores), await startHufu('s2', source, stores)] as const
  const database = openDeploymentDatabase(databaseUrl)
  return {
    ...database,
    servers,
    postgres,
    pooler,
    pooledUrl,
    async close() {
      await Promise.all(servers.map((server) => server.close()))
      await database.db.destroy()
      await pooler.stop()
      await Promise.all([postgres.stop(), redis.stop()])
    },
  }
}
