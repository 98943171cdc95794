// Two writers and a reader of one account, in the orders that break weaker protocols (cache-model.test.ts
// prints such traces): the real code, real databases, real Redis.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { ManualClock } from '../../src/clock.ts'
import { noOrigin } from '../../src/events/events.ts'
import { openCacheInRedis } from '../support/cache-in-redis.ts'
import { redisUrl, stores } from '../support/databases.ts'
import { addAccount, type Domain, openDomain, phone, signIn } from '../support/in-process-server.ts'
import { type RedisServer, startRedis } from '../support/services/redis.ts'
import { Gate, until } from '../support/step-faults.ts'
import { startProxy, type TcpProxy } from '../support/tcp-proxy.ts'

const withRedis = stores.filter(({ redis }) => redis)

describe.each(withRedis)('$name', ({ database, skipped }) => {
  let url: string
  let drop: () => Promise<void>
  const domains: Domain[] = []
  const closers: (() => Promise<unknown>)[] = []

  beforeAll(async () => {
    if (skipped !== null) return
    const fresh = await database.create()
    url = fresh.url
    drop = fresh.drop
  })
  afterEach(async () => {
    for (const domain of domains.splice(0)) await domain.close()
    for (const close of closers.splice(0).reverse()) await close()
  })
  afterAll(async () => {
    await drop?.()
  })

  async function open(clock?: ManualClock): Promise<{ gate: Gate; domain: Domain }> {
    const gate = new Gate()
    const domain = await openDomain({
      databaseUrl: url,
      redisUrl: redisUrl(),
      watch: gate.watch,
      ...(clock && { clock }),
    })
    domains.push(domain)
    return { gate, domain }
  }

  /** What Redis has for a session now, bypassing the memory of every process. */
  async function copyOf(sessionId: string) {
    const { domain } = await open()
    return (await domain.cache.session(sessionId)).value
  }

  test.skipIf(skipped !== null)(
    'a writer that waits for the lock has not marked yet, so it cannot remove the mark of the writer before it',
    async () => {
      const [first, second, reader] = [await open(), await open(), await open()]
      const accountId = await addAccount(reader.domain.db)
      const old = await signIn(reader.domain, accountId)

      const stands = first.gate.stopBefore('confirm')
      const replaced = signIn(first.domain, accountId, phone)
      await stands
      const ended = second.domain.sessions.end({
        id: old.session.id,
        accountId,
        reason: 'kicked',
        by: null,
      })
      const takesLock = database.name === 'sqlite' ? 'sql begin' : 'sql select for update'
      await until(() => second.gate.steps.includes(takesLock))
      expect(second.gate.steps).not.toContain('mark')
      first.gate.release()
      await replaced
      await ended.catch(() => {})

      expect(await reader.domain.verification.verify(old.token)).toMatchObject({
        is: 'ended',
        ending: { reason: 'replaced' },
      })
    },
  )

  test.skipIf(skipped !== null)(
    'a slow settle does not remove the mark of a later writer that dies',
    async () => {
      const [first, second, reader] = [await open(), await open(), await open()]
      const accountId = await addAccount(reader.domain.db)
      const old = await signIn(reader.domain, accountId)

      const stands = first.gate.stopBefore('settle')
      const firstReplaces = signIn(first.domain, accountId, phone)
      await stands
      // The second writer signs the first one's session out, commits, and dies before it settles.
      const [made] = await reader.domain.sessions.list(accountId)
      const id = made?.id ?? expect.fail()
      const secondDies = second.gate.stopBefore('settle')
      void second.domain.sessions.end({ id, accountId, reason: 'signed_out', by: null }).catch(() => {})
      await secondDies
      first.gate.release()
      const issued = await firstReplaces

      const { domain: lateServer } = await open()
      expect(await lateServer.cache.session(id)).toMatchObject({ value: 'marked' })
      expect(await reader.domain.verification.verify(issued.token)).toMatchObject({
        ending: { reason: 'signed_out' },
      })
      expect(await reader.domain.verification.verify(old.token)).toMatchObject({
        ending: { reason: 'replaced' },
      })
      second.gate.release()
    },
  )

  test.skipIf(skipped !== null)(
    'a reader that read before the commit cannot restore the old state',
    async () => {
      const [writer, reader, slow] = [await open(), await open(), await open()]
      const accountId = await addAccount(writer.domain.db)
      const old = await signIn(writer.domain, accountId)
      await forget(old.session.id)

      const stands = slow.gate.stopBefore('fill')
      const verified = slow.domain.verification.verify(old.token)
      await stands
      await writer.domain.sessions.end({
        id: old.session.id,
        accountId,
        reason: 'signed_out',
        by: null,
      })
      slow.gate.release()

      expect((await verified).is).toBe('live')
      await until(() => slow.gate.steps.includes('fill'))
      expect(await reader.domain.verification.verify(old.token)).toMatchObject({ is: 'ended' })
      expect(await copyOf(old.session.id)).toMatchObject({ ending: { reason: 'signed_out' } })
    },
  )

  test.skipIf(skipped !== null)(
    'a reader that finds a mark reads the database and fills nothing',
    async () => {
      // SQLite's open transaction blocks no reader, but this process has one connection: there is nothing to
      // test.
      const [writer, reader] = [await open(), await open()]
      const accountId = await addAccount(writer.domain.db)
      const old = await signIn(writer.domain, accountId)

      const stands = writer.gate.stopBefore('sql commit')
      const ended = writer.domain.sessions.end({
        id: old.session.id,
        accountId,
        reason: 'signed_out',
        by: null,
      })
      await stands
      expect((await reader.domain.verification.verify(old.token)).is).toBe('live')
      expect(await copyOf(old.session.id)).toBe('marked')
      writer.gate.release()
      await ended

      expect(await reader.domain.verification.verify(old.token)).toMatchObject({ is: 'ended' })
    },
  )

  test.skipIf(skipped !== null)(
    'a session that is used just before its end, and whose extension is written late, does not outlive its end',
    async () => {
      const clock = new ManualClock(Date.UTC(2026, 10, 22))
      const [user, ender] = [await open(clock), await open(clock)]
      const accountId = await addAccount(user.domain.db)
      const { token, session } = await signIn(user.domain, accountId)
      clock.advance((session.expiresAt ?? expect.fail()) - clock.now() - 1_000)
      const writes = user.gate.stopBefore('sql update')
      const used = user.domain.verification.verify(token)
      await writes
      clock.advance(2_000)
      await ender.domain.sessions.endAll({ accountId, reason: 'kicked', by: null, except: null })
      user.gate.release()
      expect((await used).is).toBe('live')
      for (const { domain } of [user, ender])
        expect(await domain.verification.verify(token)).toMatchObject({
          is: 'ended',
          ending: { reason: 'kicked' },
        })
    },
  )

  describe.skipIf(skipped !== null)('a settle in another Redis than that of its mark', () => {
    let redis: RedisServer

    beforeEach(async () => {
      redis = await startRedis()
      closers.push(() => redis.stop())
    })

    /** A server with a connection of its own to Redis. */
    async function openBehindProxy(): Promise<{ gate: Gate; domain: Domain; proxy: TcpProxy }> {
      const proxy = await startProxy(redis.url)
      closers.push(() => proxy.close())
      const gate = new Gate()
      const domain = await openDomain({ databaseUrl: url, redisUrl: proxy.url, watch: gate.watch })
      domains.push(domain)
      return { gate, domain, proxy }
    }

    test('the new entry that a reader filled before the commit is not valid after the response', async () => {
      const [writer, reader] = [await openBehindProxy(), await openBehindProxy()]
      const accountId = await addAccount(reader.domain.db)
      const { token, session } = await signIn(reader.domain, accountId)
      const another = await startRedis()
      closers.push(() => another.stop())

      const commits = writer.gate.stopBefore('sql commit')
      const ended = writer.domain.sessions.end({ id: session.id, accountId, reason: 'kicked', by: null })
      await commits
      // Redis dies and comes back as another process, which the writer has not noticed yet.
      writer.proxy.set('refuse')
      reader.proxy.setTarget(another.url)
      await until(() => !reader.domain.cache.isReachable() && !writer.domain.cache.isReachable())
      await until(() => reader.domain.cache.isReachable())
      expect((await reader.domain.verification.verify(token)).is).toBe('live')
      const cache = await openCacheInRedis(another.url)
      closers.push(() => cache.close())
      await vi.waitFor(async () => expect((await cache.read(session.id))?.copy).toBeTruthy())
      writer.gate.release()
      expect(await ended).toBe(true)
      expect(await reader.domain.verification.verify(token)).toMatchObject({ is: 'ended' })
    })

    test('the mark of another writer does not become an entry from before', async () => {
      const [first, second] = [await openBehindProxy(), await openBehindProxy()]
      const accountId = await addAccount(first.domain.db)
      const { token, session } = await signIn(first.domain, accountId)
      const settles = first.gate.stopBefore('settle')
      const changed = first.domain.writer.update({
        accountId,
        by: null,
        origin: noOrigin,
        decide: async () => ({ set: { nickname: 'new' }, events: [] }),
      })
      await settles
      second.proxy.set('refuse')
      await until(() => !second.domain.cache.isReachable())
      const commits = second.gate.stopBefore('sql commit')
      const ended = second.domain.sessions.end({ id: session.id, accountId, reason: 'kicked', by: null })
      await commits
      second.proxy.set('pass')
      await until(() => second.domain.cache.isReachable())
      second.gate.release()
      expect(await ended).toBe(true)
      first.gate.release()
      await changed
      expect(await first.domain.verification.verify(token)).toMatchObject({ is: 'ended' })
    })
  })

  /** Removes an entry, as if it had expired. */
  async function forget(sessionId: string): Promise<void> {
    const cache = await openCacheInRedis(redisUrl() ?? '')
    expect(await cache.remove(sessionId)).toBe(true)
    await cache.close()
  }
})
