// Discovers which primary serves which keys.
import { ClusterDown, readShards, type Shard } from './cluster.ts'
import { onNode } from './node.ts'
import { type Address, type RedisLocation, urlOf } from './redis-url.ts'
import { askSentinels, newestPrimary } from './sentinel.ts'

/**
 * The primaries and their slots. Without a cluster, one primary serves the one slot. In a cluster, any node
 * may answer.
 * @param known further nodes besides those of the setting
 * @throws where no node answers
 */
export async function findShards(place: RedisLocation, known: readonly Address[] = []): Promise<Shard[]> {
  if (place.kind === 'one') return [{ from: 0, to: 0, address: place.address }]
  if (place.kind === 'sentinel')
    return [{ from: 0, to: 0, address: newestPrimary(await askSentinels(place)) }]
  const nodes = [...new Set([...known, ...place.seeds])]
  const ask = (address: Address) =>
    onNode(urlOf(place.nodes, address), (send) => readShards((words) => send(...words), address))
  try {
    return await Promise.any(nodes.map(ask))
  } catch (error) {
    // A cluster that is down is a better reason than an unreachable node.
    const causes: readonly unknown[] = error instanceof AggregateError ? error.errors : [error]
    throw causes.find((cause) => cause instanceof ClusterDown) ?? causes[0]
  }
}

/**
 * The addresses of the primaries.
 * @throws where no node answers
 */
export async function findPrimaries(place: RedisLocation): Promise<Address[]> {
  return [...new Set((await findShards(place)).map(({ address }) => address))]
}
