// Two servers on MariaDB with a Redis of several nodes. The servers connect to the nodes directly, so there
// are no proxies.
import { createMariadbDatabase, startMariadb } from '../support/services/mariadb.ts'
import { type RedisCluster, startRedisCluster } from '../support/services/redis-cluster.ts'
import { type RedisSentinels, startRedisSentinels } from '../support/services/redis-sentinel.ts'
import { type Deployment, openDeploymentDatabase, startHufu } from './deployment.ts'

export interface SentinelDeployment extends Deployment {
  readonly redis: RedisSentinels
}

export interface ClusterDeployment extends Deployment {
  readonly redis: RedisCluster
}

export async function openSentinelDeployment(source: string): Promise<SentinelDeployment> {
  return await openNodesDeployment(source, await startRedisSentinels())
}

export async function openClusterDeployment(source: string): Promise<ClusterDeployment> {
  return await openNodesDeployment(source, await startRedisCluster())
}

async function openNodesDeployment<R extends RedisSentinels | RedisCluster>(source: string, redis: R) {
  const mariadb = await startMariadb()
  const databaseUrl = await createMariadbDatabase(mariadb.url)
  const stores = { HUFU_DATABASE_URL: databaseUrl, HUFU_REDIS_URL: redis.url }
  const servers = [await startHufu('s1', source, stores), await startHufu('s2', source, stores)] as const
  const database = openDeploymentDatabase(databaseUrl)
  return {
    ...database,
    servers,
    redis,
    async close() {
      await Promise.all(servers.map((server) => server.close()))
      await database.db.destroy()
      await Promise.all([mariadb.stop(), redis.stop()])
    },
  }
}
