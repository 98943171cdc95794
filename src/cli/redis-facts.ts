// Facts about Redis, read from each of its primaries.
import { findPrimaries } from '../redis/discovery.ts'
import { onNode } from '../redis/node.ts'
import { type Address, parseRedisUrl, type RedisLocation, urlOf } from '../redis/redis-url.ts'
import { askSentinels } from '../redis/sentinel.ts'

export interface RedisFacts {
  readonly primaries: readonly Address[]
  /** The version of the oldest server. */
  readonly version: string
  /** Every `maxmemory-policy` that one of the servers has. */
  readonly maxmemoryPolicy: string
  readonly isReplica: boolean
  /** The node belongs to a cluster, but the setting names it as a single server. */
  readonly isClusterNode: boolean
  /** How far the clock that differs most is ahead of this machine's, in milliseconds. */
  readonly clockAheadMs: number
  /** Primaries without a replica that could take over. */
  readonly withoutReplica: readonly Address[]
  readonly silentSentinels: readonly Address[]
  /** The URL has a password without a user, and Redis asks for none. */
  readonly needsNoPassword: boolean
}

/**
 * Reads facts from Redis: from each of its primaries.
 * @throws what the connection threw, within some seconds
 */
export async function probeRedis(url: string): Promise<RedisFacts> {
  const place = parseRedisUrl(url)
  const primaries = await findPrimaries(place)
  const nodes = await Promise.all(primaries.map((address) => probeNode(place, address)))
  const answers = place.kind === 'sentinel' ? await askSentinels(place) : []
  const sentinels = place.kind === 'sentinel' ? place.sentinels : []
  const clocks = nodes.map(({ aheadMs }) => aheadMs).toSorted((a, b) => Math.abs(b) - Math.abs(a))
  return {
    primaries,
    version: nodes.map(({ version }) => version).toSorted(byNumbers)[0] ?? '',
    maxmemoryPolicy: [...new Set(nodes.map(({ policy }) => policy))].join(', '),
    isReplica: nodes.some(({ role }) => role !== 'master'),
    isClusterNode: place.kind === 'one' && nodes.some(({ isInCluster }) => isInCluster),
    clockAheadMs: clocks[0] ?? 0,
    withoutReplica: place.kind === 'one' ? [] : primaries.filter((_, i) => nodes[i]?.replicas === '0'),
    needsNoPassword: place.nodes.login.startsWith(':') && (await areOpen(place, primaries)),
    silentSentinels: sentinels.filter((_, i) => answers[i]?.status === 'rejected'),
  }
}

/** Whether every node accepts commands without a password. */
async function areOpen({ nodes }: RedisLocation, primaries: readonly Address[]): Promise<boolean> {
  const open = { ...nodes, login: '' }
  const pings = primaries.map((address) => onNode(urlOf(open, address), (send) => send('PING')))
  return (await Promise.allSettled(pings)).every(({ status }) => status === 'fulfilled')
}

const byNumbers = (a: string, b: string) => a.localeCompare(b, 'en', { numeric: true })

async function probeNode(place: RedisLocation, address: Address) {
  return await onNode(urlOf(place.nodes, address), async (send) => {
    const info = String(await send('INFO'))
    const read = (name: string) => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? ''
    const [seconds, microseconds] = String(await send('TIME'))
      .split(',')
      .map(Number)
    return {
      version: read('redis_version'),
      policy: read('maxmemory_policy'),
      role: read('role'),
      isInCluster: read('cluster_enabled') === '1',
      replicas: read('connected_slaves'),
      aheadMs: Math.round((seconds ?? 0) * 1000 + (microseconds ?? 0) / 1000 - Date.now()),
    }
  })
}
