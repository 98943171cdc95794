// A primary, two replicas and three sentinels as real processes: the servers always find the primary, and
// ended sessions stay ended.
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, inject, test } from 'vitest'
import { redactUrl } from '../../src/redact-url.ts'
import { password, passwordNumbers } from '../fault-run/workload.ts'
import { runCommand, startProcess } from '../support/app.ts'
import { holdsLiveEntry, openCacheInRedis } from '../support/cache-in-redis.ts'
import { leastRights, makeUser } from '../support/redis-users.ts'
import { type RedisServer, startRedis } from '../support/services/redis.ts'
import { primaryName, type RedisSentinels, startRedisSentinels } from '../support/services/redis-sentinel.ts'
import { until } from '../support/services/until.ts'
import { startTwoServers, tally } from '../support/two-servers.ts'
import { clientOf, signIn } from '../support/v1-calls.ts'

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function start(
  environment: Record<string, string> = {},
  urlOf = async ({ url }: RedisSentinels): Promise<string> => url,
) {
  const redis = await startRedisSentinels()
  closers.push(() => redis.stop())
  const servers = await startTwoServers(await urlOf(redis), environment)
  closers.push(() => servers.close())
  await servers.haveRedis()
  return { redis, servers, primary: await redis.primary() }
}

/** A user of Redis with exactly the rights that docs/settings.md names, and one of the sentinels. */
async function withLogins({ url, servers, sentinels }: RedisSentinels): Promise<string> {
  for (const server of servers) await server.command(...makeUser('hufu'), ...leastRights())
  for (const { command } of sentinels) await command(...makeUser('asker'), '+@connection', '+sentinel')
  return loggedIn(url)
}

const loggedIn = (url: string) =>
  `${url.replace('//', '//hufu:p%40ss@')}?sentinel_user=asker&sentinel_password=p%40ss`

const [number = ''] = passwordNumbers
const replicasOf = (redis: RedisSentinels, primary: RedisServer) =>
  redis.servers.filter((server) => server !== primary)
/** The number of its connections from the two servers. */
const ourConnections = async (server: RedisServer, user = 'default') =>
  String(await server.command('CLIENT', 'LIST'))
    .split('\n')
    .filter((line) => line.includes(` user=${user} `) && /resp=3/.test(line)).length

describe.skipIf(inject('redis').skipped !== null)('Redis behind sentinels', () => {
  test('accounts sign in, are checked and sign out, doctor and the start message name the primary; without sentinels everything goes on', async () => {
    const { redis, servers, primary } = await start({ HUFU_LIMITS: 'on' }, withLogins)
    expect(await ourConnections(primary, 'hufu')).toBe(2)
    const [app, other] = servers.apps
    const token = await signIn(app, number, password)
    for (const server of servers.apps) expect((await clientOf(server).me(token)).status).toBe(200)
    const cache = await openCacheInRedis(primary.url)
    await until(async () => (await cache.read(token.slice(3, 25))) !== null)
    await cache.close()

    const url = loggedIn(redis.url)
    const environment = { HUFU_DATABASE_URL: servers.databaseUrl, HUFU_REDIS_URL: url }
    const primaryIs = `${redactUrl(url)} (primary 127.0.0.1:${primary.port}`
    expect((await runCommand(['doctor'], environment)).stdout).toContain(`${primaryIs}, `)
    const server = await startProcess(environment)
    closers.push(() => server.stop())
    expect(server.output()).toContain(`Redis  ${primaryIs})`)

    for (const sentinel of redis.sentinels) await sentinel.stop()
    // They are polled every two seconds.
    await sleep(2_500)
    await servers.haveRedis()
    const next = await signIn(other, number, password)
    expect((await clientOf(app).me(token)).body.code).toBe('session_replaced')
    expect((await clientOf(app).me(next)).status).toBe(200)
    expect((await clientOf(other).signOut(next)).status).toBe(204)
    expect((await clientOf(app).me(next)).body.code).toBe('session_signed_out')
  })

  for (const [how, signal] of [
    ['killed', 'SIGKILL'],
    ['paused', 'SIGSTOP'],
  ] as const) {
    test(`the primary is ${how}: another one takes over under load, and no server trusts the old one that comes back`, async () => {
      const { redis, servers, primary } = await start()
      const operations = await servers.underLoad(async () => {
        await primary.kill(signal)
        await redis.failedOver(primary)
        await servers.haveRedis()
        if (signal === 'SIGKILL') await primary.restart()
        else await primary.kill('SIGCONT')
        // A sentinel that makes it a replica also closes its connections.
        const role = () => primary.command('ROLE').then(String, () => '')
        await until(async () => (await role()).startsWith('slave'))
      })
      const counts = tally(operations)
      expect(Object.keys(counts).filter((name) => /unavailable|unknown|wrong/.test(name))).toEqual([])
      for (const kind of ['sign_in done', 'sign_out done', 'check done', 'check refused'])
        expect(counts[kind], JSON.stringify(counts)).toBeGreaterThan(5)
    })
  }

  test('replicas that missed the end take over: the session stays ended, and sign-ins work again', async () => {
    const { redis, servers, primary } = await start({ HUFU_LIMITS: 'on', HUFU_SESSION_MAX: '0' })
    const [app] = servers.apps
    const [ended, live] = [await signIn(app, number, password), await signIn(app, number, password)]
    for (const server of servers.apps) for (const token of [ended, live]) await clientOf(server).me(token)
    const replicas = replicasOf(redis, primary)
    const liveEntryIn = (server: RedisServer) => holdsLiveEntry(server.url, ended.slice(3, 25))
    await until(async () => (await Promise.all(replicas.map(liveEntryIn))).every((isThere) => isThere))
    for (const replica of replicas) await replica.stopReplicating()
    expect((await clientOf(app).signOut(ended)).status).toBe(204)
    await primary.kill('SIGKILL')
    const promoted = await redis.failedOver(primary)
    expect(await liveEntryIn(promoted)).toBe(true)
    await servers.haveRedis()
    await servers.expectStillSo({ ended, live })
    expect((await clientOf(app).me(await signIn(app, number, password))).status).toBe(200)
  })

  test('when the sentinels name another primary it is used, even if the old one keeps running and no request is sent', async () => {
    const { redis, servers } = await start({ HUFU_LIMITS: 'on' })
    const other = await startRedis()
    closers.push(() => other.stop())
    for (const { command } of redis.sentinels) {
      await command('SENTINEL', 'REMOVE', primaryName)
      await command('SENTINEL', 'MONITOR', primaryName, '127.0.0.1', `${other.port}`, '2')
    }
    // One connection from each server.
    await until(async () => (await ourConnections(other)) === 2)
    await servers.haveRedis()
    expect((await clientOf(servers.apps[0]).me(await signIn(servers.apps[0], number, password))).status).toBe(
      200,
    )
  })
})
