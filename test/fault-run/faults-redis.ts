// Faults of Redis, and of the connections from servers to their stores.
import { setTimeout as sleep } from 'node:timers/promises'
import { type RedisServer, startRedis } from '../support/services/redis.ts'
import { type Mode, startProxy } from '../support/tcp-proxy.ts'
import type { ProxiedDeployment } from './deployment.ts'
import { type Fault, faultMs, pause, repeatedly } from './faults.ts'

export const redisFaults: readonly Fault<ProxiedDeployment>[] = [
  {
    name: 'Redis is killed and comes back empty',
    async run({ redis }) {
      await redis.kill('SIGKILL')
      await sleep(faultMs)
      await redis.restart()
    },
  },
  {
    name: 'Redis is killed and comes back with old data',
    async run({ redis }) {
      await redis.command('SAVE')
      await sleep(500)
      await redis.kill('SIGKILL')
      await redis.restart()
    },
  },
  { name: 'Redis is paused', run: ({ redis }) => pause((signal) => redis.kill(signal)) },
  {
    name: 'Redis is flushed, over and over',
    run: ({ redis }) => repeatedly(() => redis.command('FLUSHALL')),
  },
  {
    name: 'Redis is out of memory',
    run: ({ redis }) =>
      between(redis, ['CONFIG', 'SET', 'maxmemory', '1'], ['CONFIG', 'SET', 'maxmemory', '0']),
  },
  {
    name: 'Redis is read-only',
    run: ({ redis }) => between(redis, ['REPLICAOF', '127.0.0.1', '1'], ['REPLICAOF', 'NO', 'ONE']),
  },
  { name: 'Redis fails over to a replica that missed the last writes', run: failOver },
]

export const connectionFaults: readonly Fault<ProxiedDeployment>[] = [
  {
    name: 'one server loses Redis',
    run: ({ servers: [{ redisProxy }] }) => breakProxy(redisProxy, 'refuse'),
  },
  {
    name: 'the connection of one server to Redis stalls',
    run: ({ servers: [, { redisProxy }] }) => breakProxy(redisProxy, 'stall'),
  },
  {
    name: 'the connection of one server to Redis is slow',
    run: ({ servers: [{ redisProxy }] }) => breakProxy(redisProxy, 'slow'),
  },
  {
    name: 'one server loses the database',
    mustFailRequests: true,
    run: ({ servers: [{ databaseProxy }] }) => breakProxy(databaseProxy, 'refuse'),
  },
  {
    name: 'the connection of one server to the database stalls',
    run: ({ servers: [, { databaseProxy }] }) => breakProxy(databaseProxy, 'stall'),
  },
  {
    name: 'the connection of one server to the database is slow',
    run: ({ servers: [{ databaseProxy }] }) => breakProxy(databaseProxy, 'slow'),
  },
  {
    name: 'one server reaches only Redis, the other only the database',
    mustFailRequests: true,
    async run({ servers: [first, second] }) {
      first.databaseProxy.set('refuse')
      second.redisProxy.set('refuse')
      await sleep(faultMs)
      first.databaseProxy.set('pass')
      second.redisProxy.set('pass')
    },
  },
]

async function breakProxy(
  proxy: { set(mode: Mode): void },
  mode: 'refuse' | 'stall' | 'slow',
): Promise<void> {
  proxy.set(mode)
  await sleep(faultMs)
  // After a stall the connection must break, because the bytes that were dropped would corrupt its stream.
  if (mode === 'stall') proxy.set('refuse')
  proxy.set('pass')
}

async function between(redis: RedisServer, begin: readonly string[], end: readonly string[]): Promise<void> {
  await redis.command(...begin)
  await sleep(faultMs)
  await redis.command(...end)
}

/**
 * The replica's connection stalls while clients sign in and out; then the primary dies, and the replica takes
 * over.
 */
async function failOver(deployment: ProxiedDeployment): Promise<void> {
  // By default a primary waits five seconds for more replicas.
  await deployment.redis.command('CONFIG', 'SET', 'repl-diskless-sync-delay', '0')
  const proxy = await startProxy(deployment.redis.url)
  const replica = await startRedis({ args: ['--replicaof', '127.0.0.1', new URL(proxy.url).port] })
  await untilReplicates(replica)
  proxy.set('stall')
  await sleep(faultMs / 2)
  const missedBytes = (await offsetOf(deployment.redis)) - (await offsetOf(replica))
  await deployment.promote(replica)
  await replica.command('REPLICAOF', 'NO', 'ONE')
  await proxy.close()
  await sleep(faultMs)
  if (missedBytes <= 0) throw new Error('the replica had missed no write')
}

async function untilReplicates(replica: RedisServer): Promise<void> {
  const deadline = performance.now() + 15_000
  while (!/^master_link_status:up/m.test(String(await replica.command('INFO', 'replication')))) {
    if (performance.now() > deadline) throw new Error('the replica of Redis does not follow it')
    await sleep(50)
  }
}

/** The replication offset of a Redis server: the bytes of its writes. */
async function offsetOf(redis: RedisServer): Promise<number> {
  const info = String(await redis.command('INFO', 'replication'))
  return Number(/^(?:slave|master)_repl_offset:(\d+)/m.exec(info)?.[1])
}
