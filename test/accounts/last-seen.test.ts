// The time of a session's last use is written once an hour, outside of requests, and is not lost when that
// fails. The session cache knows it to a minute.
import { describe, expect, test, vi } from 'vitest'
import { ManualClock } from '../../src/clock.ts'
import { newCompactId } from '../../src/ids.ts'
import { currentPlace, inClass } from '../../src/queue-order.ts'
import { redisUrl, stores } from '../support/databases.ts'
import {
  addAccount,
  type Domain,
  openDomain,
  signIn,
  writeUsesEveryMs,
} from '../support/in-process-server.ts'

const minute = 60_000

async function rowOf({ db }: Domain, id: string) {
  return await db
    .selectFrom('hufu_sessions')
    .select(['seen_at', 'expires_at'])
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
}

describe.concurrent.each(stores)('$name', ({ database, redis, skipped }) => {
  test.skipIf(skipped !== null)('a use that could not be written is written with the next one', async () => {
    const { url, drop } = await database.create()
    let isBroken = false
    const errors: unknown[] = []
    const domain = await openDomain({
      databaseUrl: url,
      redisUrl: redis ? redisUrl() : null,
      onBackgroundError: (work) => errors.push(work),
      watch: async (step, work) => {
        if (isBroken && step === 'sql update') throw new Error('the connection is lost')
        return await work()
      },
    })
    const { db, verification, clock } = domain
    const { token, session } = await signIn(domain, await addAccount(db))
    const use = async () => expect((await verification.verify(token)).is).toBe('live')
    const seenAt = async () => (await rowOf(domain, session.id)).seen_at
    for (let i = 0; i < 3; i++) await use()
    clock.advance(writeUsesEveryMs + 1_000)
    isBroken = true
    for (let i = 0; i < 3; i++) await use()
    await vi.waitFor(() => expect(errors).toEqual(['note_session_use']), 15_000)
    isBroken = false
    expect(await seenAt()).toBe(session.seenAt)
    clock.advance(1_000)
    await use()
    // Pending writes are done at the shutdown.
    await verification.close()
    expect(await seenAt()).toBe(clock.now())
    await domain.close()
    await drop()
  })

  test.skipIf(skipped !== null)(
    'a use is written as work of the server, whatever the request was',
    async () => {
      const { url, drop } = await database.create()
      const classes = new Set<string>()
      const domain = await openDomain({
        databaseUrl: url,
        redisUrl: redis ? redisUrl() : null,
        watch: async (step, work) => {
          if (step === 'sql update') classes.add(currentPlace().queueClass)
          return await work()
        },
      })
      const { db, verification, clock } = domain
      const { token, session } = await signIn(domain, await addAccount(db))
      clock.advance(writeUsesEveryMs + 1_000)
      classes.clear()
      await inClass('reading', () => verification.verify(token))
      await vi.waitFor(
        async () => expect((await rowOf(domain, session.id)).seen_at).toBe(clock.now()),
        15_000,
      )
      expect([...classes]).toEqual(['known'])
      await domain.close()
      await drop()
    },
  )

  async function openTwo() {
    const { url, drop } = await database.create()
    const clock = new ManualClock(Date.UTC(2026, 10, 22))
    const options = { databaseUrl: url, redisUrl: redis ? redisUrl() : null, clock }
    const servers = [await openDomain(options), await openDomain(options)] as const
    const close = async () => {
      for (const server of servers) await server.close()
      await drop()
    }
    return { servers, clock, close }
  }

  test.skipIf(skipped !== null)(
    'a session that two servers use every minute costs the database one write an hour',
    async () => {
      const { servers, clock, close } = await openTwo()
      const { token, session } = await signIn(servers[0], await addAccount(servers[0].db))
      const written = new Set<number>()
      for (let i = 1; i <= 185; i++) {
        clock.advance(minute)
        const server = servers[i % 2] ?? expect.fail()
        expect((await server.verification.verify(token)).is).toBe('live')
        // Writes what the server has noted, as every five seconds.
        await server.verification.close()
        written.add((await rowOf(server, session.id)).seen_at)
      }
      const times = [...written].sort((a, b) => a - b)
      expect(times).toHaveLength(4)
      for (const [i, at] of times.slice(1).entries())
        expect(at - (times[i] ?? expect.fail())).toBeGreaterThanOrEqual(writeUsesEveryMs)
      await close()
    },
  )

  const isExact = redis || database.name === 'sqlite'
  test.skipIf(skipped !== null)(
    `a list shows the last use to ${isExact ? 'a minute' : 'an hour'}`,
    async () => {
      const { servers, clock, close } = await openTwo()
      const [server] = servers
      const accountId = await addAccount(server.db)
      const { token, session } = await signIn(server, accountId)
      for (let i = 0; i < 3; i++) {
        clock.advance(30 * minute)
        await server.verification.verify(token)
        await server.verification.close()
        // A process of its own knows what Redis knows.
        const reader = redis ? servers[1] : server
        await vi.waitFor(async () => {
          const [listed] = await reader.sessions.list(accountId)
          const behind = clock.now() - (listed?.seenAt ?? 0)
          expect(behind).toBeLessThan(isExact ? minute : writeUsesEveryMs)
        })
      }
      expect((await rowOf(server, session.id)).seen_at).toBeLessThan(clock.now())
      await close()
    },
  )

  test.skipIf(skipped !== null || !redis)(
    'the uses of very many sessions are noted and found without the loss of the connection to Redis',
    async () => {
      const { servers, clock, close } = await openTwo()
      const [{ cache }] = servers
      const ids = Array.from({ length: 100_000 }, () => newCompactId(clock.now()))
      await cache.noteUses(new Map(ids.map((id) => [id, clock.now()])))
      expect(cache.isReachable()).toBe(true)
      const last = ids.slice(-3)
      expect([...(await cache.findUses(last)).keys()].sort()).toEqual(last.sort())
      // Lists of an account with many sessions, which one client requests at once.
      const page = ids.slice(0, 200)
      const lists = await Promise.all(Array.from({ length: 200 }, () => cache.findUses(page)))
      expect(cache.isReachable()).toBe(true)
      expect(lists.map(({ size }) => size)).toEqual(Array(200).fill(200))
      await close()
    },
  )

  test.skipIf(skipped !== null || !redis)(
    'the marks of many writes on a thousand sessions each are set and settled without the loss of the connection to Redis',
    async () => {
      const { servers, clock, close } = await openTwo()
      const [{ cache }] = servers
      const thousand = () => Array.from({ length: 1_000 }, () => newCompactId(clock.now()))
      const writes = Array.from({ length: 100 }, thousand)
      const marks = await Promise.all(writes.map((ids) => cache.mark(ids)))
      expect(cache.isReachable()).toBe(true)
      for (const ids of writes)
        expect(await cache.session(ids.at(-1) ?? expect.fail())).toMatchObject({ value: 'marked' })
      await Promise.all(marks.map((mark) => mark.settle([], 0)))
      expect(cache.isReachable()).toBe(true)
      await close()
    },
  )

  test.skipIf(skipped !== null)(
    'the end of a session moves with its uses, whether or not their time is written',
    async () => {
      const { servers, clock, close } = await openTwo()
      const { token, session } = await signIn(servers[0], await addAccount(servers[0].db))
      const dayMs = 24 * 60 * minute
      // Longer than a session lives without a use.
      for (let i = 0; i < 80; i++) {
        clock.advance(dayMs / 2)
        const server = servers[i % 2] ?? expect.fail()
        expect((await server.verification.verify(token)).is).toBe('live')
        await server.verification.close()
        const { expires_at: end } = await rowOf(server, session.id)
        // At most a day behind (docs/tokens.md).
        expect((end ?? 0) - clock.now()).toBeGreaterThanOrEqual(29 * dayMs)
      }
      clock.advance(31 * dayMs)
      expect((await servers[1].verification.verify(token)).is).toBe('ended')
      await close()
    },
  )
})
