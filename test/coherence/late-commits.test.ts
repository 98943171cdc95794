// A commit that takes long comes behind what other servers have read of the feed: the writer announces it
// once
// more before it answers.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { lateMs } from '../../src/timing.ts'
import { databases, redisUrl } from '../support/databases.ts'
import { addAccount, type Domain, openDomain, signIn } from '../support/in-process-server.ts'
import type { Watcher } from '../support/step-faults.ts'

describe.each(databases)('$name', ({ create, skipped }) => {
  const usable = test.skipIf(skipped !== null || redisUrl() === null)
  const opened: Domain[] = []
  let url: string
  let drop: () => Promise<void>

  beforeEach(async () => {
    const fresh = await create()
    url = fresh.url
    drop = fresh.drop
  })
  afterEach(async () => {
    vi.restoreAllMocks()
    for (const domain of opened.splice(0)) await domain.close()
    await drop?.()
  })

  async function open(watch?: Watcher): Promise<Domain> {
    const domain = await openDomain({ databaseUrl: url, redisUrl: redisUrl(), ...(watch && { watch }) })
    opened.push(domain)
    return domain
  }

  const stepsOf = async ({ db }: Domain, accountId: string) => {
    const rows = await db
      .selectFrom('hufu_account_changes')
      .select('step')
      .where('account_id', '=', accountId)
      .orderBy('step')
      .execute()
    return rows.map(({ step }) => step)
  }
  const end = ({ sessions }: Domain, accountId: string) =>
    sessions.endAll({ accountId, except: null, reason: 'kicked', by: null })

  usable(
    'a change whose commit is late is in the feed twice, the second time behind what came meanwhile',
    async () => {
      let pause = 0
      const slow = await open(async (name, work) => {
        if (name === 'confirm') await new Promise((resolve) => setTimeout(resolve, pause))
        return await work()
      })
      const accountId = await addAccount(slow.db)
      await signIn(slow, accountId)
      await end(slow, accountId)
      const [first, ...none] = await stepsOf(slow, accountId)
      expect(none).toEqual([])
      await signIn(slow, accountId)
      pause = lateMs + 50
      await end(slow, accountId)
      const steps = await stepsOf(slow, accountId)
      expect(steps).toEqual([first, (first ?? 0) + 1, (first ?? 0) + 2])
    },
  )

  usable('a change that is late again and again is answered 503', async () => {
    const server = await open()
    const accountId = await addAccount(server.db)
    await signIn(server, accountId)
    // Each look at the clock is later than a commit may be.
    let now = performance.now()
    vi.spyOn(performance, 'now').mockImplementation(() => {
      now += lateMs + 1
      return now
    })
    await expect(end(server, accountId)).rejects.toMatchObject({ code: 'unavailable' })
  })
})
