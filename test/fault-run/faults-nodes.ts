// Faults of a Redis with several nodes: fail-overs with and without the last writes, and moving slots.
import { setTimeout as sleep } from 'node:timers/promises'
import type { RedisServer } from '../support/services/redis.ts'
import type { ClusterNode, RedisCluster } from '../support/services/redis-cluster.ts'
import type { RedisSentinels } from '../support/services/redis-sentinel.ts'
import { until } from '../support/services/until.ts'
import type { ClusterDeployment, SentinelDeployment } from './deployment-redis-nodes.ts'
import { type Fault, faultMs } from './faults.ts'

type StopSignal = 'SIGKILL' | 'SIGSTOP'

export const sentinelFaults: readonly Fault<SentinelDeployment>[] = [
  {
    name: 'the primary is killed, and another one takes over',
    run: ({ redis }) => failOver(redis, 'SIGKILL'),
  },
  {
    name: 'the primary is paused, and another one takes over',
    run: ({ redis }) => failOver(redis, 'SIGSTOP'),
  },
  {
    name: 'a replica that missed the last writes takes over',
    async run({ redis }) {
      const primary = await redis.primary()
      const replicas = redis.servers.filter((server) => server !== primary)
      await withoutReplication(replicas, () => failOver(redis, 'SIGKILL', () => resumeReplication(replicas)))
    },
  },
]

export const clusterFaults: readonly Fault<ClusterDeployment>[] = [
  {
    name: 'a primary is killed, and its replica takes over',
    run: async ({ redis }) => takeOver(redis, await anyPrimary(redis), 'SIGKILL'),
  },
  {
    name: 'a primary is paused, and its replica takes over',
    run: async ({ redis }) => takeOver(redis, await anyPrimary(redis), 'SIGSTOP'),
  },
  {
    name: 'a replica that missed the last writes takes over',
    async run({ redis }) {
      const primary = await anyPrimary(redis)
      const replica = await redis.replicaOf(primary)
      await withoutReplication([replica.server], () =>
        takeOver(redis, primary, 'SIGKILL', () => resumeReplication([replica.server])),
      )
    },
  },
  { name: 'slots move to another node and back', run: ({ redis }) => moveSlots(redis) },
  {
    name: 'most nodes are paused: the cluster is down',
    async run({ redis }) {
      const primaries = (await redis.primaries()).slice(0, 2)
      const replicas = await Promise.all(primaries.map((primary) => redis.replicaOf(primary)))
      const nodes = [...primaries, ...replicas]
      for (const { server } of nodes) await server.kill('SIGSTOP')
      await sleep(faultMs)
      for (const { server } of nodes) await server.kill('SIGCONT')
      await redis.isWhole()
    },
  },
]

async function failOver(
  redis: RedisSentinels,
  signal: StopSignal,
  afterFailover: () => Promise<unknown> = async () => {},
): Promise<void> {
  const primary = await redis.primary()
  await primary.kill(signal)
  await redis.failedOver(primary)
  await afterFailover()
  await sleep(faultMs / 2)
  await revive(primary, signal)
  // The next fault must start with replicas that have all writes.
  const inStep = async (server: RedisServer) =>
    /role:master|master_link_status:up/.test(
      String(await server.command('INFO', 'replication').catch(() => '')),
    )
  const now = await redis.primary()
  await until(
    async () =>
      !/role:master/.test(String(await primary.command('INFO', 'replication').catch(() => 'role:master'))),
  )
  await until(async () => (await Promise.all(redis.servers.map(inStep))).every(Boolean))
  if (now === primary) throw new Error('no replica took over')
}

async function takeOver(
  redis: RedisCluster,
  primary: ClusterNode,
  signal: StopSignal,
  afterFailover: () => Promise<unknown> = async () => {},
): Promise<void> {
  const replica = await redis.replicaOf(primary)
  await primary.server.kill(signal)
  await until(async () => String(await replica.command('ROLE')).startsWith('master'))
  await afterFailover()
  await sleep(faultMs / 2)
  await revive(primary.server, signal)
  await redis.isWhole()
}

async function revive(server: RedisServer, signal: StopSignal): Promise<void> {
  if (signal === 'SIGKILL') await server.restart()
  else await server.kill('SIGCONT')
}

async function anyPrimary(redis: RedisCluster): Promise<ClusterNode> {
  const [primary] = await redis.primaries()
  if (!primary) throw new Error('the cluster has no primary')
  return primary
}

/** Runs a task after a while in which clients go on and these replicas receive no writes. */
async function withoutReplication(
  replicas: readonly RedisServer[],
  work: () => Promise<void>,
): Promise<void> {
  for (const replica of replicas) await replica.stopReplicating()
  await sleep(faultMs / 2)
  await work()
}

async function resumeReplication(replicas: readonly RedisServer[]): Promise<void> {
  for (const replica of replicas) await replica.command('CONFIG', 'SET', 'masterauth', '')
}

/** Moves slots that contain entries from one node to the next and back. */
async function moveSlots(redis: RedisCluster): Promise<void> {
  const primaries = await redis.primaries()
  const deadline = performance.now() + faultMs
  let moved = 0
  while (performance.now() < deadline) {
    for (const [i, from] of primaries.entries()) {
      const to = primaries[(i + 1) % primaries.length]
      const key = await from.command('RANDOMKEY')
      if (!to || typeof key !== 'string') continue
      const slot = Number(await from.command('CLUSTER', 'KEYSLOT', key))
      await redis.move(slot, to)
      await redis.move(slot, from)
      moved++
    }
  }
  if (moved === 0) throw new Error('no slot had a key')
}
