/** A Redis Cluster of real processes: three primaries, each with a replica, on free ports. */

import { setTimeout as sleep } from 'node:timers/promises'
import type { TlsFiles } from './certificates.ts'
import { freePort } from './ports.ts'
import { openCommandConnection, type RedisServer, startRedis } from './redis.ts'
import { until } from './until.ts'

export interface RedisCluster {
  /** As HUFU_REDIS_URL takes it. */
  readonly url: string
  readonly nodes: readonly ClusterNode[]
  /** The primary that has a slot, by the slot's number or by a key. */
  primaryOf(slotOrKey: number | string): Promise<ClusterNode>
  primaries(): Promise<ClusterNode[]>
  replicaOf(primary: ClusterNode): Promise<ClusterNode>
  /** Resolves when all six nodes are up, and the replicas of the three primaries are in sync. */
  isWhole(): Promise<void>
  /** Moves one slot with all its keys to another primary, as `redis-cli --cluster reshard` does. */
  move(slot: number, to: ClusterNode, pauseMs?: number): Promise<void>
  stop(): Promise<void>
}

export interface ClusterNode {
  readonly server: RedisServer
  readonly id: string
  command(...words: string[]): Promise<unknown>
  stop(): Promise<void>
}

const slotCount = 16_384
const shards = 3
const nodeTimeoutMs = 1_000

/** Starts it and waits until every node reports the cluster as ok; throws MissingBinary. */
export async function startRedisCluster(tls?: TlsFiles): Promise<RedisCluster> {
  const servers = await Promise.all(Array.from({ length: shards * 2 }, () => startNode(tls)))
  const nodes = await Promise.all(servers.map(nodeOf))
  try {
    await join(nodes)
  } catch (error) {
    await Promise.all(nodes.map((node) => node.stop()))
    throw error
  }
  const primaries = async () => {
    const roles = await Promise.all(nodes.map((node) => node.command('ROLE').then(String, () => '')))
    return nodes.filter((_, i) => roles[i]?.startsWith('master'))
  }
  const primaryOf = async (slotOrKey: number | string) => {
    const [asked] = await primaries()
    if (!asked) throw new Error('the cluster has no primary')
    const slot = Number(
      typeof slotOrKey === 'number' ? slotOrKey : await asked.command('CLUSTER', 'KEYSLOT', slotOrKey),
    )
    const id = await ownerOf(asked, slot)
    return nodes.find((node) => node.id === id) ?? Promise.reject(new Error(`nobody has slot ${slot}`))
  }
  return {
    url: `${tls ? 'rediss' : 'redis'}+cluster://${servers.map(({ port }) => `127.0.0.1:${port}`).join(',')}`,
    nodes,
    primaries,
    primaryOf,
    async replicaOf(primary) {
      const [id = ''] = String(await primary.command('CLUSTER', 'REPLICAS', primary.id)).split(' ')
      return nodes.find((node) => node.id === id) ?? Promise.reject(new Error('it has no replica'))
    },
    isWhole: () => isWhole(nodes),
    async move(slot, to, pauseMs = 0) {
      await move(slot, await primaryOf(slot), to, pauseMs)
      for (const node of await primaries()) await node.command('CLUSTER', 'SETSLOT', `${slot}`, 'NODE', to.id)
      // The next query may go to any of them.
      const knowsIt = (node: ClusterNode) =>
        ownerOf(node, slot).then(
          (id) => id === to.id,
          () => true,
        )
      await until(async () => (await Promise.all(nodes.map(knowsIt))).every(Boolean))
    },
    async stop() {
      await Promise.all(nodes.map((node) => node.stop()))
    },
  }
}

async function startNode(tls?: TlsFiles): Promise<RedisServer> {
  const args = [
    ['--cluster-enabled', 'yes'],
    ['--cluster-port', `${await freePort()}`],
    ['--cluster-node-timeout', `${nodeTimeoutMs}`],
    // A replica that was cut off for long takes over as well, because there is no other one.
    ['--cluster-replica-validity-factor', '0'],
    ['--repl-diskless-sync-delay', '0'],
  ]
  return await startRedis({ tls, args: args.flat() })
}

async function nodeOf(server: RedisServer): Promise<ClusterNode> {
  const { command, close } = openCommandConnection(server.url)
  const stop = async () => {
    await close()
    await server.stop()
  }
  return { server, id: String(await command('CLUSTER', 'MYID')), command, stop }
}

async function join(nodes: readonly ClusterNode[]): Promise<void> {
  const [first, ...others] = nodes
  if (!first) throw new Error('no nodes')
  await Promise.all(
    nodes.slice(0, shards).map(async (node, i) => {
      const [from, to] = [i, i + 1].map((n) => Math.round((n * slotCount) / shards))
      await node.command('CLUSTER', 'SET-CONFIG-EPOCH', `${i + 1}`)
      await node.command('CLUSTER', 'ADDSLOTSRANGE', `${from}`, `${(to ?? 0) - 1}`)
    }),
  )
  for (const { server } of others) {
    const busPort = String((await server.command('CONFIG', 'GET', 'cluster-port')) ?? '').split(',')[1]
    await first.command('CLUSTER', 'MEET', '127.0.0.1', `${server.port}`, `${busPort}`)
  }
  const known = (info: string) => /known_nodes:6/.test(info)
  await until(async () => (await askAll(nodes, 'CLUSTER', 'INFO')).every(known))
  await Promise.all(
    nodes.slice(shards).map((replica, i) => replica.command('CLUSTER', 'REPLICATE', nodes[i]?.id ?? '')),
  )
  await isWhole(nodes)
}

/** The responses of all nodes; empty for nodes that do not respond. */
async function askAll(nodes: readonly ClusterNode[], ...words: string[]): Promise<string[]> {
  return await Promise.all(nodes.map((node) => node.command(...words).then(String, () => '')))
}

async function isWhole(nodes: readonly ClusterNode[]): Promise<void> {
  const isWell = (info: string) => /cluster_state:ok/.test(info)
  await until(async () => (await askAll(nodes, 'CLUSTER', 'INFO')).every(isWell))
  const inStep = (info: string) => /master_link_status:up/.test(info) || /state=online/.test(info)
  await until(async () => (await askAll(nodes, 'INFO', 'replication')).every(inStep))
  // Each node reports all six.
  const replicas = (text: string) => text.match(/slave /g)?.length === shards
  await until(async () => (await askAll(nodes, 'CLUSTER', 'NODES')).every(replicas))
}

async function ownerOf(asked: ClusterNode, slot: number): Promise<string> {
  // [[from, to, [address, port, id, …], …], …]
  const ranges = (await asked.command('CLUSTER', 'SLOTS')) as [number, number, [string, number, string]][]
  const range = ranges.find(([from, to]) => from <= slot && slot <= to)
  return range?.[2][2] ?? ''
}

async function move(slot: number, from: ClusterNode, to: ClusterNode, pauseMs: number): Promise<void> {
  await to.command('CLUSTER', 'SETSLOT', `${slot}`, 'IMPORTING', from.id)
  await from.command('CLUSTER', 'SETSLOT', `${slot}`, 'MIGRATING', to.id)
  for (;;) {
    const keys = (await from.command('CLUSTER', 'GETKEYSINSLOT', `${slot}`, '100')) as string[]
    if (keys.length === 0) break
    await from.command('MIGRATE', '127.0.0.1', `${to.server.port}`, '', '0', '5000', 'KEYS', ...keys)
  }
  await sleep(pauseMs)
  // The new owner first: until it knows, no node has the slot.
  for (const node of [to, from]) await node.command('CLUSTER', 'SETSLOT', `${slot}`, 'NODE', to.id)
}
