// Three servers, each on its own node of a Galera cluster, with a proxy in front of their Redis or without
// one.
import { type GaleraCluster, startGalera } from '../support/services/galera.ts'
import { createMariadbDatabase } from '../support/services/mariadb.ts'
import { type RedisServer, startRedis } from '../support/services/redis.ts'
import { startProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import type { Client } from './client.ts'
import { type Deployment, type HufuServer, openDeploymentDatabase, startHufu } from './deployment.ts'
import { startWorkload, type Workload } from './workload.ts'

export interface GaleraDeployment extends Deployment {
  readonly cluster: GaleraCluster
  /** In front of the Redis of the first and the third server; null without Redis. */
  readonly redisProxy: TcpProxy | null
}

export async function openGaleraDeployment(source: string): Promise<GaleraDeployment> {
  return await open(source, await startRedis())
}

export async function openGaleraWithoutRedis(source: string): Promise<GaleraDeployment> {
  return await open(source, null)
}

/** Sign-ins of one account through two servers at once are part of the workload. */
export function startRivals(client: Client, deployment: Deployment): Workload {
  return startWorkload(client, deployment, { hasRivals: true })
}

async function open(source: string, redis: RedisServer | null): Promise<GaleraDeployment> {
  const cluster = await startGalera()
  const [first] = cluster.nodes
  const databaseUrl = await createMariadbDatabase(first.url)
  const redisProxy = redis && (await startProxy(redis.url))
  const start = async (i: 0 | 1 | 2, redisUrl: string | undefined): Promise<HufuServer> =>
    await startHufu(`s${i + 1}`, source, {
      HUFU_DATABASE_URL: databaseUrl.replace(first.url, cluster.nodes[i].url),
      ...(redisUrl !== undefined && { HUFU_REDIS_URL: redisUrl }),
    })
  const servers = [
    await start(0, redisProxy?.url),
    await start(1, redis?.url),
    await start(2, redisProxy?.url),
  ] as const
  // No fault breaks the first node.
  const database = openDeploymentDatabase(databaseUrl)
  return {
    ...database,
    servers,
    cluster,
    redisProxy,
    async close() {
      await Promise.all(servers.map((server) => server.close()))
      await database.db.destroy()
      await redisProxy?.close()
      await Promise.all([cluster.stop(), redis?.stop()])
    },
  }
}
