// Finds out which primary has which keys now.
import { ClusterDown, readShards, type Shard } from './cluster.ts'
import { onNode } from './node.ts'
import { type Address, type RedisLocation, urlOf } from './redis-url.ts'
import { believed, newestPrimary } from './sentinel.ts'

/**
 * Where there is no cluster, one primary has the one slot. Of a cluster any node may answer.
 * @param known nodes that are known besides those of the setting
 * @throws where nobody knows it
 */
export async function findShards(place: RedisLocation, known: readonly Address[] = []): Promise<Shard[]> {
  if (place.kind === 'one') return [{ from: 0, to: 0, address: place.address }]
  if (place.kind === 'sentinel') return [{ from: 0, to: 0, address: believed(await newestPrimary(place)) }]
  const nodes = [...new Set([...known, ...place.seeds])]
  const ask = (address: Address) =>
    onNode(urlOf(place.nodes, address), (tell) => readShards((words) => tell(...words), address))
  try {
    return await Promise.any(nodes.map(ask))
  } catch (error) {
    // That the cluster is down says more than that a node is away.
    const causes: readonly unknown[] = error instanceof AggregateError ? error.errors : [error]
    throw causes.find((cause) => cause instanceof ClusterDown) ?? causes[0]
  }
}

/**
 * The addresses of the primaries.
 * @throws where no node knows them
 */
export async function findPrimaries(place: RedisLocation): Promise<Address[]> {
  return [...new Set((await findShards(place)).map(({ address }) => address))]
}
