// What is broken, one thing after the other.
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { createClient } from 'redis'
import type { RedisServer } from '../services/redis.ts'
import type { Stage } from './stage.ts'

export interface Fault {
  readonly name: string
  /** Breaks it, lets it be broken for a while, and heals it. */
  run(stage: Stage): Promise<void>
}

/** Longer than anything is remembered without asking: copies 1 s, lines 0.9 s. */
const brokenMs = 2_500

export const faults: readonly Fault[] = [
  { name: 'nothing', run: () => sleep(brokenMs).then(() => {}) },
  { name: 'a server is killed', run: ({ servers: [server] }) => server.restart('SIGKILL') },
  { name: 'a server is told to stop', run: ({ servers: [, server] }) => server.restart('SIGTERM') },
  {
    name: 'a server is paused',
    run: ({ servers: [server] }) => paused((signal) => server.process.child.kill(signal)),
  },
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
      await tell(redis, ['SAVE'])
      await sleep(500)
      await redis.kill('SIGKILL')
      await redis.restart()
    },
  },
  { name: 'Redis is paused', run: ({ redis }) => paused((signal) => redis.kill(signal)) },
  { name: 'Redis is flushed', run: ({ redis }) => tell(redis, ['FLUSHALL']) },
  {
    name: 'Redis is out of memory',
    run: ({ redis }) =>
      between(redis, ['CONFIG', 'SET', 'maxmemory', '1'], ['CONFIG', 'SET', 'maxmemory', '0']),
  },
  {
    name: 'Redis is read-only',
    run: ({ redis }) => between(redis, ['REPLICAOF', '127.0.0.1', '1'], ['REPLICAOF', 'NO', 'ONE']),
  },
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
    run: ({ servers: [{ toDatabase }] }) => broken(toDatabase, 'refuse'),
  },
  {
    name: 'the line of one server to the database is silent',
    run: ({ servers: [, { toDatabase }] }) => broken(toDatabase, 'stall'),
  },
  {
    name: 'one server has only Redis, the other only the database',
    async run({ servers: [first, second] }) {
      first.toRedis.set('refuse')
      second.toDatabase.set('refuse')
      await sleep(brokenMs)
      first.toRedis.set('pass')
      second.toDatabase.set('pass')
    },
  },
  { name: 'MariaDB is killed', run: ({ mariadb }) => mariadb.restart('SIGKILL') },
  { name: 'MariaDB is restarted', run: ({ mariadb }) => mariadb.restart('SIGTERM') },
  { name: 'MariaDB is paused', run: ({ mariadb }) => paused((signal) => process.kill(mariadb.pid, signal)) },
  { name: 'MariaDB ends all connections', run: endConnections },
  { name: 'MariaDB has no room for connections', run: fullTable },
]

async function paused(send: (signal: 'SIGSTOP' | 'SIGCONT') => unknown): Promise<void> {
  await send('SIGSTOP')
  await sleep(brokenMs)
  await send('SIGCONT')
}

async function broken(
  line: { set(mode: 'pass' | 'refuse' | 'stall' | 'slow'): void },
  how: 'refuse' | 'stall' | 'slow',
): Promise<void> {
  line.set(how)
  await sleep(brokenMs)
  // What was swallowed must not be followed by what comes next on the same line.
  if (how === 'stall') line.set('refuse')
  line.set('pass')
}

async function tell(redis: RedisServer, command: readonly string[]): Promise<void> {
  const client = await createClient({ url: redis.url }).connect()
  await client.sendCommand(command)
  client.destroy()
}

async function between(redis: RedisServer, begin: readonly string[], end: readonly string[]): Promise<void> {
  await tell(redis, begin)
  await sleep(brokenMs)
  await tell(redis, end)
}

async function endConnections({ db }: Stage): Promise<void> {
  for (let i = 0; i < 5; i++) {
    const { rows } = await sql<{ id: number }>`
      select id from information_schema.processlist where command <> 'Daemon' and id <> connection_id()`.execute(
      db,
    )
    for (const { id } of rows) await sql`kill ${sql.lit(id)}`.execute(db).catch(() => {})
    await sleep(brokenMs / 5)
  }
}

async function fullTable({ db, servers }: Stage): Promise<void> {
  await sql`set global max_connections = 10`.execute(db)
  for (const { toDatabase } of servers) {
    toDatabase.set('refuse')
    toDatabase.set('pass')
  }
  await sleep(brokenMs)
  await sql`set global max_connections = 300`.execute(db)
}
