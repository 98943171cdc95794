// The health checks of one connection, with a real Redis. test/coherence/redis-sentinel.test.ts and
// test/coherence/redis-cluster.test.ts test sentinels and clusters.
import { createClient } from 'redis'
import { afterEach, describe, expect, inject, test } from 'vitest'
import { startRedis } from '../../test/support/services/redis.ts'
import { until } from '../../test/support/services/until.ts'
import { RedisConnections } from './connections.ts'
import { answerWithin } from './deadline.ts'
import { nodeOptions } from './node.ts'
import { parseRedisUrl } from './redis-url.ts'
import { newestPrimary } from './sentinel.ts'

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function start() {
  const redis = await startRedis()
  closers.push(() => redis.stop())
  const told: string[] = []
  const link = new RedisConnections({
    place: parseRedisUrl(redis.url),
    newClient: (url) => createClient(nodeOptions(url)),
    begin: async () => null,
    onChange: ({ state }) => told.push(state),
  })
  closers.push(() => link.close())
  await link.connect()
  return { redis, link, told }
}

describe.skipIf(inject('redis').skipped !== null)('a watched connection', () => {
  test('what is made a replica is left, though it answers, and taken again when it is a primary', async () => {
    const { redis, link, told } = await start()
    const before = link.connectionFor('any')
    const { generation } = link
    expect(before).not.toBeNull()
    await redis.command('REPLICAOF', '127.0.0.1', '1')
    await until(async () => link.connectionFor('any') === null)
    await redis.command('REPLICAOF', 'NO', 'ONE')
    await until(async () => link.connectionFor('any') !== null)
    expect(link.connectionFor('any')).not.toBe(before)
    expect(link.generation).toBeGreaterThan(generation)
    expect(told).toEqual(['ok', 'out_of_reach', 'ok'])
  })

  test('a refused command ends the connection, and a new one finds the same process', async () => {
    const { link } = await start()
    const first = link.connectionFor('any') ?? expect.fail()
    await expect(link.ask('any', ({ client }) => client.sendCommand(['NO SUCH THING']))).rejects.toThrow(
      /unknown command/,
    )
    expect(link.connectionFor('any')).toBeNull()
    await expect(link.ask('any', ({ client }) => client.ping())).rejects.toThrow(/out of reach/)
    await until(async () => link.isReachable())
    expect(link.connectionFor('any')?.run).toBe(first.run)
  })

  test('an answer that came while this process did nothing is not too late', async () => {
    const { link } = await start()
    const { client } = link.connectionFor('any') ?? expect.fail()
    const late = answerWithin(50, client.ping())
    // The command is sent at the end of this turn, and answered while this process is busy.
    await new Promise((resolve) => setImmediate(resolve))
    const end = performance.now() + 300
    while (performance.now() < end);
    expect(await late).toBe('PONG')
  })
})

test('among contradicting sentinels, the one with the newest configuration decides', () => {
  const says = (address: string, epoch: number) => ({
    status: 'fulfilled' as const,
    value: { address, epoch },
  })
  const silent = { status: 'rejected' as const, reason: new Error('no answer') }
  expect(newestPrimary([says('old:1', 3), silent, says('new:1', 4), says('old:1', 3)])).toBe('new:1')
  expect(() => newestPrimary([silent, silent])).toThrow('no answer')
})
