// What happens to Redis, and to the lines of servers that have one.
import { setTimeout as sleep } from 'node:timers/promises'
import { type RedisServer, startRedis } from '../support/services/redis.ts'
import { type Mode, startProxy } from '../support/tcp-proxy.ts'
import { brokenMs, type Fault, overAndOver, paused } from './faults.ts'
import type { ProxiedDeployment } from './deployment.ts'

export const redisFaults: readonly Fault<ProxiedDeployment>[] = [
  {
    name: 'Redis is killed, and comes back empty',
    async run({ redis }) {
      await redis.kill('SIGKILL')
      await sleep(brokenMs)
      await redis.restart()
    },
  },
  {
    name: 'Redis is killed, and comes back with old data',
    async run({ redis }) {
      await redis.tell('SAVE')
      await sleep(500)
      await redis.kill('SIGKILL')
      await redis.restart()
    },
  },
  { name: 'Redis is paused', run: ({ redis }) => paused((signal) => redis.kill(signal)) },
  {
    name: 'Redis is flushed, over and over',
    run: ({ redis }) => overAndOver(() => redis.tell('FLUSHALL')),
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

export const lineFaults: readonly Fault<ProxiedDeployment>[] = [
  {
    name: 'one server loses Redis',
    run: ({ servers: [{ toRedis }] }) => broken(toRedis, 'refuse'),
  },
  {
    name: 'the line of one server to Redis is silent',
    run: ({ servers: [, { toRedis }] }) => broken(toRedis, 'stall'),
  },
  {
    name: 'the line of one server to Redis is slow',
    run: ({ servers: [{ toRedis }] }) => broken(toRedis, 'slow'),
  },
  {
    name: 'one server loses the database',
    isFelt: true,
    run: ({ servers: [{ toDatabase }] }) => broken(toDatabase, 'refuse'),
  },
  {
    name: 'the line of one server to the database is silent',
    run: ({ servers: [, { toDatabase }] }) => broken(toDatabase, 'stall'),
  },
  {
    name: 'the line of one server to the database is slow',
    run: ({ servers: [{ toDatabase }] }) => broken(toDatabase, 'slow'),
  },
  {
    name: 'one server has only Redis, the other only the database',
    isFelt: true,
    async run({ servers: [first, second] }) {
      first.toDatabase.set('refuse')
      second.toRedis.set('refuse')
      await sleep(brokenMs)
      first.toDatabase.set('pass')
      second.toRedis.set('pass')
    },
  },
]

async function broken(line: { set(mode: Mode): void }, how: 'refuse' | 'stall' | 'slow'): Promise<void> {
  line.set(how)
  await sleep(brokenMs)
  // What was swallowed must not be followed by what comes next on the same line.
  if (how === 'stall') line.set('refuse')
  line.set('pass')
}

async function between(redis: RedisServer, begin: readonly string[], end: readonly string[]): Promise<void> {
  await redis.tell(...begin)
  await sleep(brokenMs)
  await redis.tell(...end)
}

/**
 * The replica's line goes silent, people go on signing in and out, the primary dies, and the replica takes
 * its place.
 */
async function failOver(deployment: ProxiedDeployment): Promise<void> {
  // Else it waits for five seconds whether more replicas come.
  await deployment.redis.tell('CONFIG', 'SET', 'repl-diskless-sync-delay', '0')
  const line = await startProxy(deployment.redis.url)
  const replica = await startRedis({ args: ['--replicaof', '127.0.0.1', new URL(line.url).port] })
  await untilFollows(replica)
  line.set('stall')
  await sleep(brokenMs / 2)
  const missed = (await offsetOf(deployment.redis)) - (await offsetOf(replica))
  await deployment.promote(replica)
  await replica.tell('REPLICAOF', 'NO', 'ONE')
  await line.close()
  await sleep(brokenMs)
  if (missed <= 0) throw new Error('the replica had missed nothing')
}

async function untilFollows(replica: RedisServer): Promise<void> {
  const giveUpAt = performance.now() + 15_000
  while (!/^master_link_status:up/m.test(String(await replica.tell('INFO', 'replication')))) {
    if (performance.now() > giveUpAt) throw new Error('the replica of Redis does not follow it')
    await sleep(50)
  }
}

/** How many bytes of writes a Redis has seen. */
async function offsetOf(redis: RedisServer): Promise<number> {
  const info = String(await redis.tell('INFO', 'replication'))
  return Number(/^(?:slave|master)_repl_offset:(\d+)/m.exec(info)?.[1])
}
