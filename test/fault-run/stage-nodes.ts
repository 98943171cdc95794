// Two servers on MariaDB, with a Redis of several nodes. They talk to the nodes themselves, so there are no
// lines to be cut.
import { createMariadbDatabase, startMariadb } from '../support/services/mariadb.ts'
import { type RedisCluster, startRedisCluster } from '../support/services/redis-cluster.ts'
import { type RedisSentinels, startRedisSentinels } from '../support/services/redis-sentinel.ts'
import { openStageDatabase, type Stage, startHufu } from './stage.ts'

export interface SentinelStage extends Stage {
  readonly redis: RedisSentinels
}

export interface ClusterStage extends Stage {
  readonly redis: RedisCluster
}

export async function openSentinelStage(source: string): Promise<SentinelStage> {
  return await openNodesStage(source, await startRedisSentinels())
}

export async function openClusterStage(source: string): Promise<ClusterStage> {
  return await openNodesStage(source, await startRedisCluster())
}

async function openNodesStage<R extends RedisSentinels | RedisCluster>(source: string, redis: R) {
  const mariadb = await startMariadb()
  const databaseUrl = await createMariadbDatabase(mariadb.url)
  const stores = { HUFU_DATABASE_URL: databaseUrl, HUFU_REDIS_URL: redis.url }
  const servers = [await startHufu('s1', source, stores), await startHufu('s2', source, stores)] as const
  const database = openStageDatabase(databaseUrl)
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
