// Redis by TLS: one server, behind sentinels, and as a cluster; and a Redis without a valid certificate is
// not used.
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest'
import { password, passwordNumbers } from '../fault-run/workload.ts'
import { runCommand } from '../support/app.ts'
import { whyMissing } from '../support/services/binaries.ts'
import { type Authority, createAuthority } from '../support/services/certificates.ts'
import { startRedis } from '../support/services/redis.ts'
import { startRedisCluster } from '../support/services/redis-cluster.ts'
import { startRedisSentinels } from '../support/services/redis-sentinel.ts'
import { startTwoServers } from '../support/two-servers.ts'
import { clientOf, signIn } from '../support/v1-calls.ts'

const [number = '', otherNumber = ''] = passwordNumbers
const trusted = getCACertificates('default')
const skipped = inject('redis').skipped ?? whyMissing(['openssl'], 'openssl')

describe.skipIf(skipped !== null)('Redis by TLS', () => {
  let ours: Authority
  let strangers: Authority
  const closers: (() => Promise<unknown>)[] = []

  beforeAll(() => {
    ours = createAuthority('Hufu tests')
    strangers = createAuthority('A stranger')
    // The equivalent of NODE_EXTRA_CA_CERTS for this process.
    setDefaultCACertificates([...trusted, ours.certificate])
  })
  afterAll(() => {
    setDefaultCACertificates(trusted)
    ours?.remove()
    strangers?.remove()
  })
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close()
  })

  async function startServers(redisUrl: string) {
    const servers = await startTwoServers(redisUrl, { HUFU_LIMITS: 'on' })
    closers.push(() => servers.close())
    await servers.haveRedis()
    return servers
  }

  /** A client signs in on one server and out on the other, and each sees it at once. */
  async function walk({ apps: [one, other] }: Awaited<ReturnType<typeof startServers>>, phone: string) {
    const token = await signIn(one, phone, password)
    for (const app of [one, other, one, other]) expect((await clientOf(app).me(token)).status).toBe(200)
    expect((await clientOf(other).signOut(token)).status).toBe(204)
    expect((await clientOf(one).me(token)).body.code).toBe('session_signed_out')
  }

  const doctor = async (redisUrl: string, databaseUrl: string) =>
    await runCommand(['doctor'], {
      HUFU_DATABASE_URL: databaseUrl,
      HUFU_REDIS_URL: redisUrl,
      NODE_EXTRA_CA_CERTS: ours.file,
    })

  test('one server', async () => {
    const redis = await startRedis({ tls: ours.issue() })
    closers.push(() => redis.stop())
    const servers = await startServers(redis.url)
    await walk(servers, number)
    const keys = (await redis.command('KEYS', 'hufu:s:*')) as string[]
    expect(keys.length).toBeGreaterThan(0)
    const { code, stdout } = await doctor(redis.url, servers.databaseUrl)
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining(redis.url) })
  })

  test('behind sentinels, also after a fail-over', async () => {
    const redis = await startRedisSentinels(ours.issue())
    closers.push(() => redis.stop())
    expect(redis.url).toMatch(/^rediss\+sentinel:/)
    const servers = await startServers(redis.url)
    await walk(servers, number)
    const primary = await redis.primary()
    await primary.kill('SIGKILL')
    await redis.failedOver(primary)
    await servers.haveRedis()
    await walk(servers, number)
    expect((await doctor(redis.url, servers.databaseUrl)).stdout).toContain('127.0.0.1:')
  })

  test('a cluster, also after a fail-over', async () => {
    const redis = await startRedisCluster(ours.issue())
    closers.push(() => redis.stop())
    expect(redis.url).toMatch(/^rediss\+cluster:/)
    const servers = await startServers(redis.url)
    for (const phone of [number, otherNumber]) await walk(servers, phone)
    const [first] = await redis.primaries()
    const replica = first && (await redis.replicaOf(first))
    await first?.server.kill('SIGKILL')
    await expect
      .poll(async () => String(await replica?.command('ROLE')), { timeout: 20_000 })
      .toMatch(/^master/)
    await servers.haveRedis()
    for (const phone of [number, otherNumber]) await walk(servers, phone)
    expect((await doctor(redis.url, servers.databaseUrl)).stdout).toContain('127.0.0.1:')
  })

  test.each([
    ['that a stranger signed', () => strangers.issue(), /self-signed|unable to|certificate/i],
    ['for another name', () => ours.issue({ name: 'DNS:redis.example' }), /does not match|altnames/i],
    ['that has run out', () => ours.issue({ days: -1 }), /expired/i],
  ])('a certificate %s: Redis is not used, gets no data, and checks go on', async (_which, issue, why) => {
    const impostor = await startRedis({ tls: issue() })
    closers.push(() => impostor.stop())
    const servers = await startTwoServers(impostor.url)
    closers.push(() => servers.close())
    const [app, other] = servers.apps
    const ready = await fetch(`${app.url}/readyz`)
    expect({ status: ready.status, body: await ready.json() }).toMatchObject({
      status: 200,
      body: { redis: 'out_of_reach' },
    })
    const token = await signIn(app, number, password)
    expect((await clientOf(other).me(token)).status).toBe(200)
    const { stdout } = await doctor(impostor.url, servers.databaseUrl)
    expect(stdout).toMatch(why)
    expect(await impostor.command('DBSIZE')).toBe(0)
    expect(String(await impostor.command('INFO', 'commandstats'))).not.toMatch(
      /cmdstat_(set|eval|evalsha|get|auth)\b/,
    )
  })
})
