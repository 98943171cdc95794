// A Redis Cluster of six real processes: cache entries are spread over its primaries, primaries die, slots
// move, and no response is wrong.
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from 'redis'
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest'
import { redactUrl } from '../../src/redact-url.ts'
import { slotOf } from '../../src/redis/cluster.ts'
import { RedisConnections } from '../../src/redis/connections.ts'
import { nodeOptions } from '../../src/redis/node.ts'
import { parseRedisUrl } from '../../src/redis/redis-url.ts'
import { keyOf } from '../../src/session-cache/redis-client.ts'
import { password, passwordNumbers } from '../fault-run/workload.ts'
import { runCommand, startProcess } from '../support/app.ts'
import { holdsLiveEntry, openCacheInRedis } from '../support/cache-in-redis.ts'
import { leastRights, makeUser } from '../support/redis-users.ts'
import { type ClusterNode, type RedisCluster, startRedisCluster } from '../support/services/redis-cluster.ts'
import { until } from '../support/services/until.ts'
import { startTwoServers, tally } from '../support/two-servers.ts'
import { clientOf, signIn } from '../support/v1-calls.ts'

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

const skipped = inject('redis').skipped !== null
let redis: RedisCluster
beforeAll(async () => {
  if (!skipped) redis = await startRedisCluster()
})
afterAll(async () => {
  await redis?.stop()
})

async function start(environment: Record<string, string> = {}, url = redis.url) {
  await redis.isWhole()
  const servers = await startTwoServers(url, environment)
  closers.push(() => servers.close())
  await servers.haveRedis()
  return servers
}

const [number = ''] = passwordNumbers
const keyOfToken = (token: string) => keyOf(token.slice(3, 25))

const hotCount = 2

/** Increments many keys all the time: the sum shows a command that ran twice, or not at all. */
async function startCounting(url: string) {
  const link = new RedisConnections({
    place: parseRedisUrl(url),
    newClient: (node) => createClient(nodeOptions(node)),
    begin: async () => null,
  })
  await link.connect()
  closers.push(() => link.close())
  const counted = new Map<string, number>()
  const refusals: unknown[] = []
  let isOn = true
  const running = Array.from({ length: 8 }, async (_, i) => {
    for (let turn = 0; isOn; turn++) {
      const key = `hufu:test:${i}:${i < hotCount ? 0 : turn % 50}`
      await link
        .ask(key, ({ client }) => client.incr(key))
        .then(
          () => counted.set(key, (counted.get(key) ?? 0) + 1),
          (error) => refusals.push(error),
        )
      await sleep(2)
    }
  })
  return {
    counted,
    refusals,
    async stop() {
      isOn = false
      await Promise.all(running)
    },
    /** The number of increments in Redis. */
    done: async (key: string) => Number(await link.ask(key, ({ client }) => client.get(key))),
  }
}

/** Moves the slots of some keys to the next primary, and back; each is in migration for a while. */
async function moveAbout(slots: readonly number[]): Promise<void> {
  const primaries = await redis.primaries()
  for (const slot of slots) {
    const from = await redis.primaryOf(slot)
    const to = primaries[(primaries.indexOf(from) + 1) % primaries.length] as ClusterNode
    await redis.move(slot, to, 100)
    if (slot % 2 === 0) await redis.move(slot, from, 20)
  }
}

describe.skipIf(skipped)('Redis Cluster', () => {
  test('cache entries are spread over the primaries, and accounts sign in, are checked and sign out', async () => {
    for (const node of redis.nodes) await node.command(...makeUser('hufu'), ...leastRights())
    const url = redis.url.replace('//', '//hufu:p%40ss@')
    const servers = await start({ HUFU_LIMITS: 'on', HUFU_SESSION_MAX: '0' }, url)
    const [app, other] = servers.apps
    const tokens: string[] = []
    const owners = new Set<ClusterNode>()
    while (owners.size < 3 && tokens.length < 25) {
      const token = await signIn(app, number, password)
      tokens.push(token)
      const owner = await redis.primaryOf(keyOfToken(token))
      owners.add(owner)
      for (const server of servers.apps) expect((await clientOf(server).me(token)).status).toBe(200)
      const cache = await openCacheInRedis(owner.server.url)
      await until(async () => (await cache.read(token.slice(3, 25))) !== null)
      await cache.close()
    }
    expect(owners.size).toBe(3)
    for (const token of tokens) {
      expect((await clientOf(app).signOut(token)).status).toBe(204)
      for (const server of [other, app])
        expect((await clientOf(server).me(token)).body.code).toBe('session_signed_out')
    }
    const environment = { HUFU_DATABASE_URL: servers.databaseUrl, HUFU_REDIS_URL: url }
    const { stdout } = await runCommand(['doctor'], environment)
    expect(stdout).toContain(`${redactUrl(url)} (3 primaries, `)
    const alone = await runCommand(['doctor'], {
      ...environment,
      HUFU_REDIS_URL: redis.nodes[0]?.server.url ?? '',
    })
    expect(alone.stdout).toContain('must begin with redis+cluster://')
    const server = await startProcess(environment)
    closers.push(() => server.stop())
    expect(server.output()).toContain(`Redis  ${redactUrl(url)} (3 primaries)`)
  })

  test('primaries are killed and paused: replicas take over under load, and no server trusts the old ones that come back', async () => {
    const servers = await start()
    const operations = await servers.underLoad(async () => {
      for (const signal of ['SIGKILL', 'SIGSTOP'] as const) {
        const [victim = expect.fail()] = await redis.primaries()
        await victim.server.kill(signal)
        await until(async () => (await redis.primaries()).filter((node) => node !== victim).length === 3)
        await servers.haveRedis()
        if (signal === 'SIGKILL') await victim.server.restart()
        else await victim.server.kill('SIGCONT')
        await redis.isWhole()
      }
    })
    const counts = tally(operations)
    expect(Object.keys(counts).filter((name) => /unavailable|unknown|wrong/.test(name))).toEqual([])
    for (const kind of ['sign_in done', 'sign_out done', 'check done', 'check refused'])
      expect(counts[kind], JSON.stringify(counts)).toBeGreaterThan(5)
  })

  test('slots move under load: every command runs once, and no answer is wrong', async () => {
    const servers = await start()
    const counting = await startCounting(redis.url)
    let entriesMoved = 0
    const operations = await servers.underLoad(async () => {
      // The slots of entries that are in use, and of keys that are incremented.
      for (let round = 0; round < 2; round++) {
        const cache: number[] = []
        for (const { server } of await redis.primaries()) {
          const keys = (await server.command('KEYS', 'hufu:s:*')) as string[]
          cache.push(...keys.slice(-2).map(slotOf))
        }
        entriesMoved += cache.length
        const counters = Array.from({ length: 4 }, (_, i) => slotOf(`hufu:test:${i}:0`))
        await moveAbout([...cache, ...counters])
      }
    })
    await counting.stop()
    expect(entriesMoved).toBeGreaterThan(5)
    expect(counting.refusals).toEqual([])
    expect(counting.counted.size).toBe(hotCount + (8 - hotCount) * 50)
    for (const key of [0, 1, 2, 3].map((i) => `hufu:test:${i}:0`))
      expect(await counting.done(key), key).toBe(counting.counted.get(key))
    const counts = tally(operations)
    expect(Object.keys(counts).filter((name) => /unavailable|unknown|wrong/.test(name))).toEqual([])
    for (const kind of ['sign_in done', 'sign_out done', 'check done', 'check refused'])
      expect(counts[kind], JSON.stringify(counts)).toBeGreaterThan(5)
  })

  test('a replica that missed the end takes over: the session stays ended, and sign-ins work again', async () => {
    const servers = await start({ HUFU_LIMITS: 'on', HUFU_SESSION_MAX: '0' })
    const [app] = servers.apps
    const [ended, live] = [await signIn(app, number, password), await signIn(app, number, password)]
    for (const server of servers.apps) for (const token of [ended, live]) await clientOf(server).me(token)
    const victim = await redis.primaryOf(keyOfToken(ended))
    const replica = await redis.replicaOf(victim)
    const liveEntryIn = ({ server }: ClusterNode) => holdsLiveEntry(server.url, ended.slice(3, 25))
    await until(() => liveEntryIn(replica))
    await replica.server.stopReplicating()
    expect((await clientOf(app).signOut(ended)).status).toBe(204)
    await victim.server.kill('SIGKILL')
    await until(async () => (await redis.primaries()).includes(replica))
    expect(await liveEntryIn(replica)).toBe(true)
    await servers.haveRedis()
    await servers.expectStillSo({ ended, live })
    expect((await clientOf(app).me(await signIn(app, number, password))).status).toBe(200)
  })
})
