// Well-formed tokens that were never issued: a client can send any number of them, and the server stores
// none.
import { randomBytes } from 'node:crypto'
import { createClient } from 'redis'
import { afterEach, describe, expect, test } from 'vitest'
import { newCompactId } from '../../src/ids.ts'
import { issueToken } from '../../src/sessions/token.ts'
import { addPerson, person, type RunningApp, startApp } from '../support/app.ts'
import { bytesInUse } from '../support/bytes-in-use.ts'
import { databases } from '../support/databases.ts'
import { whyMissing } from '../support/services/binaries.ts'
import { startRedis } from '../support/services/redis.ts'

const [sqlite = expect.fail()] = databases
const closers: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function start(environment: Record<string, string>): Promise<RunningApp> {
  const { url, drop } = await sqlite.create()
  closers.push(drop)
  const app = await startApp(url, { environment })
  closers.push(() => app.close())
  await addPerson(app.services)
  return app
}

/** Many at once, as an attacker would. */
async function showMadeUp({ services }: RunningApp, count: number): Promise<void> {
  for (let shown = 0; shown < count; shown += 500) {
    const tokens = Array.from({ length: 500 }, (_, i) =>
      // Ids of the present and of impossible times.
      issueToken(i % 2 ? newCompactId(Date.now()) : randomBytes(16).toString('base64url')),
    )
    const found = await Promise.all(tokens.map((token) => services.verification.verify(token)))
    expect(new Set(found.map(({ is }) => is))).toEqual(new Set(['unknown']))
  }
}

const noRedis = whyMissing(['redis-server'], 'redis-server') !== null
const stores = [
  { name: 'SQLite', skipped: false, withRedis: false },
  { name: 'SQLite and Redis', skipped: noRedis, withRedis: true },
]

describe.each(stores)('on $name', ({ skipped, withRedis }) => {
  test.skipIf(skipped)('30,000 invented tokens leave fewer than 100 bytes each in the process', async () => {
    const redis = withRedis ? await startRedis() : null
    if (redis) closers.push(() => redis.stop())
    const app = await start(redis ? { HUFU_REDIS_URL: redis.url } : {})
    await showMadeUp(app, 5_000)
    const before = bytesInUse()
    await showMadeUp(app, 30_000)
    expect(bytesInUse() - before).toBeLessThan(30_000 * 100)
  })
})

test.skipIf(noRedis)('Redis tracks the keys of live sessions, and none that a client invented', async () => {
  const redis = await startRedis()
  closers.push(() => redis.stop())
  const app = await start({ HUFU_REDIS_URL: redis.url })
  const client = await createClient({ url: redis.url }).connect()
  closers.push(async () => client.destroy())
  const tracked = async () => Number(/tracking_total_keys:(\d+)/.exec(await client.info('stats'))?.[1])
  await showMadeUp(app, 2_000)
  expect(await tracked()).toBe(0)
  const answer = await fetch(`${app.url}/v1/sessions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ phone_number: person.phone, password: person.password }),
  })
  // The response to a sign-in: test/api/v1.test.ts.
  const { token, session } = (await answer.json()) as { token: string; session: { id: string } }
  expect(await app.services.verification.verify(token)).toMatchObject({ is: 'live' })
  expect(await tracked()).toBe(1)
  const found = await app.services.cache.session(session.id)
  expect(found.isCurrent).toBe(true)
  // A change by another connection is announced.
  await client.set(`hufu:s:${session.id}`, 'mark:of-somebody-else')
  await expect.poll(() => found.isCurrent).toBe(false)
})
