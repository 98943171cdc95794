// A database that is restored, or replaced by a replica that was behind: what was committed after the backup
// is lost, and nothing that servers or Redis remember of it may decide about a token.
import { createClient } from 'redis'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { codeOf } from '../../src/codes/code-digits.ts'
import { findCode } from '../../src/codes/code-rows.ts'
import { dialectFor, openDatabase } from '../../src/database/open.ts'
import { noOrigin } from '../../src/events/events.ts'
import { getOrCreateKey } from '../../src/signing-keys/stored-key.ts'
import { everyoneKnowsMs } from '../../src/timing.ts'
import { type RunningApp, startApp } from '../support/app.ts'
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
import { clientOf } from '../support/v1-calls.ts'

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

    test('a code of one server is right on every other, after a restore to a time before the first code', async () => {
      const environment = { HUFU_REDIS_URL: redisUrl() ?? '' }
      const apps = [await startApp(url, { environment }), await startApp(url, { environment })] as const
      try {
        const { db } = apps[0].services
        const backup = await backUp(db)
        const signInBy = async ([sender, checker]: readonly RunningApp[], phoneNumber: string) => {
          if (!sender || !checker) throw new Error('two servers')
          const { codeSender } = sender.services
          await codeSender.send(phoneNumber, {
            purpose: 'sign_in',
            origin: noOrigin,
            deviceId: null,
            deviceProof: null,
          })
          const nonce = (await findCode(db, { phoneNumber, purpose: 'sign_in' }))?.nonce ?? expect.fail()
          const code = codeOf(await getOrCreateKey(db), { phoneNumber, purpose: 'sign_in', nonce })
          return (await clientOf(checker).signIn({ phoneNumber, code })).status
        }
        expect(await signInBy(apps, '+8613600000001')).toBe(201)
        expect(await signInBy(apps.toReversed(), '+8613600000002')).toBe(201)
        // Without a lost change, the feed does not show the restore.
        const { id } = await apps[0].services.accounts.get('+8613600000001')
        await apps[0].services.lifecycle.ban(id, { until: null, reason: null })
        await wait(everyoneKnowsMs)
        await backup.restore(db)
        await wait(everyoneKnowsMs)
        expect(await signInBy(apps, '+8613600000003')).toBe(201)
        expect(await signInBy(apps.toReversed(), '+8613600000004')).toBe(201)
      } finally {
        for (const app of apps) await app.close()
      }
    })

    async function historyOf({ db }: Domain) {
      return await db.selectFrom('hufu_feed').select('history').executeTakeFirstOrThrow()
    }
  })
