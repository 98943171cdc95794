// Two servers with Redis behind HAProxy, which leads to the primary of a database that can have replicas.
import { getBinary } from '../support/services/binaries.ts'
import { startHaproxy } from '../support/services/haproxy.ts'
import { startRedis } from '../support/services/redis.ts'
import {
  type Replication,
  startMariadbReplication,
  startPostgresReplication,
} from '../support/services/replication.ts'
import { untilDone } from '../support/services/until.ts'
import { startProxy } from '../support/tcp-proxy.ts'
import { type Deployment, openDeploymentDatabase, startHufu } from './deployment.ts'
import { type Loss, readKept } from './losses.ts'

export interface ReplicatedDeployment extends Deployment {
  readonly replication: Replication
  /**
   * New connections lead to this database server. Those that the servers have stay where they are; the direct
   * one of the deployment is replaced.
   * @returns the sessions that this server had before the others reached it
   */
  leadTo(serverUrl: string): Promise<Loss['kept']>
}

export async function openMariadbReplicated(source: string): Promise<ReplicatedDeployment> {
  return await open(source, startMariadbReplication)
}

export async function openPostgresReplicated(source: string): Promise<ReplicatedDeployment> {
  return await open(source, startPostgresReplication)
}

async function open(source: string, start: () => Promise<Replication>): Promise<ReplicatedDeployment> {
  // Where it is missing, no database server is started.
  getBinary(['haproxy'], 'haproxy')
  const [replication, redis] = await Promise.all([start(), startRedis()])
  const [haproxy, direct] = await Promise.all([
    startHaproxy(replication.databaseUrl),
    startProxy(replication.databaseUrl),
  ])
  const stores = { HUFU_DATABASE_URL: haproxy.url, HUFU_REDIS_URL: redis.url }
  const servers = [await startHufu('s1', source, stores), await startHufu('s2', source, stores)] as const
  const database = openDeploymentDatabase(direct.url)
  return {
    ...database,
    servers,
    replication,
    async leadTo(serverUrl) {
      direct.setTarget(serverUrl)
      const kept = await untilDone(() => readKept(database.db))
      await haproxy.leadTo(serverUrl)
      return kept
    },
    async close() {
      await Promise.all(servers.map((server) => server.close()))
      await database.db.destroy()
      await Promise.all([direct.close(), haproxy.stop(), replication.stop(), redis.stop()])
    },
  }
}
