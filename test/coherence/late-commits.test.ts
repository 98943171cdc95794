// A commit may take so long that other servers have read the feed past its change: the writer then announces
// the change once more before it answers.
import { afterEach, describe, expect, test, vi } from 'vitest'
import { lateMs } from '../../src/timing.ts'
import { databases, redisUrl } from '../support/databases.ts'
import { freshDomains } from '../support/fresh-domains.ts'
import { addAccount, type Domain, signIn } from '../support/in-process-server.ts'
import type { Watcher } from '../support/step-faults.ts'

describe.each(databases)('$name', (database) => {
  const usable = test.skipIf(database.skipped !== null || redisUrl() === null)
  const { open } = freshDomains(database, true)
  afterEach(() => vi.restoreAllMocks())

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
      const watch: Watcher = async (name, work) => {
        if (name === 'confirm') await new Promise((resolve) => setTimeout(resolve, pause))
        return await work()
      }
      const slow = await open({ watch })
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
