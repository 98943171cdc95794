// A database that is restored, or replaced by a replica that was behind: what was committed after the backup
// is lost, and nothing that servers or Redis remember of it may decide about a token.
import { createClient } from 'redis'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { dialectFor, openDatabase } from '../../src/database/open.ts'
import { everyoneKnowsMs } from '../../src/timing.ts'
import { backUp } from '../support/backup.ts'
import { redisUrl, stores } from '../support/databases.ts'
import {
  addAccount,
  type Domain,
  openDomain,
  otherPhone,
  phone,
  signIn,
} from '../support/in-process-server.ts'

for (const { name, database, redis, skipped } of stores.filter((store) => store.redis))
  describe.skipIf(skipped !== null)(name, () => {
    let url: string
    let drop: () => Promise<void>
    const opened: Domain[] = []

    beforeEach(async () => {
      const fresh = await database.create()
      url = fresh.url
      drop = fresh.drop
    })
    afterEach(async () => {
      await closeAll()
      await drop()
    })

    async function closeAll(): Promise<void> {
      for (const domain of opened.splice(0)) await domain.close()
    }

    async function open({ withRedis = redis } = {}): Promise<Domain> {
      const domain = await openDomain({ databaseUrl: url, redisUrl: withRedis ? redisUrl() : null })
      opened.push(domain)
      return domain
    }

    const says = async (domain: Domain, token: string) => (await domain.verification.verify(token)).is
    const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

    /** Changes of another account, which take as many steps of the feed. */
    async function change(domain: Domain, accountId: string, count: number): Promise<void> {
      for (let i = 0; i < count; i++) await signIn(domain, accountId, i % 2 === 0 ? phone : otherPhone)
    }

    const endAll = (domain: Domain, accountId: string) =>
      domain.sessions.endAll({ accountId, except: null, reason: 'kicked', by: null })

    test.each([
      ['shorter than the lost one', 0],
      ['as long as the lost one', 9],
      ['longer than the lost one', 14],
    ])('an end after the restore is known to all servers, with a new history %s', async (_name, since) => {
      const [a, b] = [await open(), await open()]
      const [accountId, busy] = [await addAccount(a.db), await addAccount(a.db)]
      const { token } = await signIn(a, accountId)
      await change(a, busy, 3)
      const backup = await backUp(a.db)
      await change(a, busy, 10)
      for (const server of [a, b]) expect(await says(server, token)).toBe('live')
      await backup.restore(a.db)
      await change(b, busy, since)
      for (const server of [a, b]) expect(await says(server, token)).toBe('live')
      // A command that does not know of Redis.
      const command = await open({ withRedis: false })
      await endAll(command, accountId)
      await wait(everyoneKnowsMs)
      for (const server of [a, b]) expect(await says(server, token)).toBe('ended')
    })

    test('what was committed after the backup is lost on every server within a second, and comes back on none', async () => {
      const [a, b] = [await open(), await open()]
      const accountId = await addAccount(a.db)
      const first = await signIn(a, accountId)
      const backup = await backUp(a.db)
      const second = await signIn(a, accountId)
      for (const server of [a, b]) {
        expect(await says(server, second.token)).toBe('live')
        expect(await says(server, first.token)).toBe('ended')
      }
      await backup.restore(a.db)
      await wait(everyoneKnowsMs)
      for (const server of [a, b, await open()]) {
        expect(await says(server, second.token)).toBe('unknown')
        // The end of this session is lost as well: after a restore, `hufu sessions end --all` ends what came
        // back.
        expect(await says(server, first.token)).toBe('live')
      }
    })

    test('a restore while all servers are stopped: what Redis has kept decides nothing', async () => {
      const a = await open()
      const accountId = await addAccount(a.db)
      const byHand = openDatabase(dialectFor(url, 1))
      const backup = await backUp(byHand)
      const { token } = await signIn(a, accountId)
      await change(a, await addAccount(a.db), 3)
      expect(await says(a, token)).toBe('live')
      const client = createClient({ url: redisUrl() ?? '' })
      await client.connect()
      expect((await client.keys('hufu:s:*')).length).toBeGreaterThan(0)
      await closeAll()
      await backup.restore(byHand)
      await byHand.destroy()
      await vi.waitFor(async () => expect(await client.keys('hufu:feed:*')).toEqual([]), 5_000)
      await client.close()
      const b = await open()
      await vi.waitFor(async () => expect(await says(b, token)).toBe('unknown'), 5_000)
    })

    test('a rolling restart begins no history: the next server trusts the entries of the previous one', async () => {
      const a = await open()
      const { history } = await historyOf(a)
      const b = await open()
      expect(await historyOf(b)).toEqual({ history })
      await a.close()
      opened.splice(opened.indexOf(a), 1)
      const c = await open()
      expect(await historyOf(c)).toEqual({ history })
    })

    async function historyOf({ db }: Domain) {
      return await db.selectFrom('hufu_feed').select('history').executeTakeFirstOrThrow()
    }
  })
