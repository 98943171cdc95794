// Events that belong to no change, such as wrong guesses, come in floods: at one number, from many addresses.
import { describe, expect, test } from 'vitest'
import type { RequestOrigin } from '../../src/events/events.ts'
import { stores } from '../support/databases.ts'
import { freshDomains } from '../support/fresh-domains.ts'
import { addAccount } from '../support/in-process-server.ts'
import type { Watcher } from '../support/step-faults.ts'

const many = 250
const number = '+8613800005223'

describe.each(stores.filter(({ redis }) => !redis))('on $name', (store) => {
  const { open } = freshDomains(store.database, store.redis)

  test.skipIf(store.skipped !== null)(
    'a flood of events of one number takes few transactions, and each event keeps its own address',
    async () => {
      const commits = { count: 0 }
      const watch: Watcher = async (step, work) => {
        if (step === 'sql commit') commits.count++
        return await work()
      }
      const { db, writer } = await open({ watch })
      const accountId = await addAccount(db)
      const origins = Array.from(
        { length: many },
        (_, i): RequestOrigin => ({
          ip: `10.0.${i >> 8}.${i & 255}`,
          requestId: null,
        }),
      )
      const record = async (origin: RequestOrigin, i: number) =>
        await writer.record(origin, {
          kind: 'proof_failed',
          phoneNumber: number,
          accountId: i % 2 === 0 ? accountId : null,
        })
      commits.count = 0
      await Promise.all(origins.map(record))
      // The first one alone, then batches of 100, each with one transaction for the account and one for none.
      expect(commits.count).toBeLessThanOrEqual(7)
      const rows = await db
        .selectFrom('hufu_events')
        .select(['ip', 'account_id', 'phone_number'])
        .where('kind', '=', 'proof_failed')
        .execute()
      expect(rows.map(({ ip }) => ip).sort()).toEqual(origins.map(({ ip }) => ip).sort())
      expect(rows.filter(({ account_id: id }) => id === accountId)).toHaveLength(many / 2)
      // The number is not the account's own.
      expect(rows.filter(({ phone_number: of }) => of === number)).toHaveLength(many / 2)
    },
  )
})
