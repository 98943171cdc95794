// The end of the sessions of all accounts: every server knows at once, a run that is interrupted is completed
// by the next one, and an account whose write fails is tried again.
import { sql } from 'kysely'
import { beforeEach, describe, expect, test } from 'vitest'
import { databaseKind } from '../../src/database/open.ts'
import { AppError } from '../../src/errors.ts'
import { EndOfAllAccounts } from '../../src/sessions/end-of-all-accounts.ts'
import type { Sessions } from '../../src/sessions/sessions.ts'
import { stores } from '../support/databases.ts'
import { freshDomains } from '../support/fresh-domains.ts'
import { type Domain, signIn } from '../support/in-process-server.ts'
import { insertMany } from '../support/many-rows.ts'
import type { Watcher } from '../support/step-faults.ts'

/** More than a page. */
const accounts = 210
/** Those with two live sessions; one in ten has two that ended, and one in ten two that have expired. */
const live = (accounts * 8) / 10
const began = Date.UTC(2026, 10, 21)

describe.each(stores)('on $name', (store) => {
  const usable = test.skipIf(store.skipped !== null)
  const { url, open } = freshDomains(store.database, store.redis)
  let here: Domain

  /** Each account has two sessions. */
  beforeEach(async () => {
    if (store.skipped !== null) return
    here = await open()
    const kind = databaseKind(url()) ?? expect.fail()
    await insertMany(here.db, kind, 'hufu_accounts', accounts, {
      id: (i, { padded }) => padded(i, 36),
      phone_number: (i, { concat, padded }) => concat(sql`'+86130'`, padded(i, 9)),
      registered_at: () => sql.lit(began),
      updated_at: () => sql.lit(began),
    })
    await insertMany(here.db, kind, 'hufu_sessions', 2 * accounts, {
      id: (i, { padded }) => padded(i, 22),
      account_id: (i, { padded }) => padded(sql`(1 + ${i} % ${sql.lit(accounts)})`, 36),
      token_hash: (i, { padded }) => padded(i, 43),
      platform: () => sql`'ios'`,
      created_at: (i) => sql`${sql.lit(began)} + ${i}`,
      seen_at: (i) => sql`${sql.lit(began)} + ${i}`,
      expires_at: (i) => sql`case when ${i} % 10 = 1 then ${sql.lit(began + 1_000)} end`,
      ended_at: (i) => sql`case when ${i} % 10 = 2 then ${sql.lit(began + 1_000)} end`,
      end_reason: (i) => sql`case when ${i} % 10 = 2 then 'signed_out' end`,
    })
  })

  const idOf = (number: number) => String(number).padStart(36, '0')

  const endingOn = (domain: Domain, startedBefore: number | null = null) =>
    new EndOfAllAccounts({
      db: domain.db,
      sessions: domain.sessions,
      startedBefore,
      parallel: url().startsWith('sqlite:') ? 1 : 4,
      onFailure: () => {},
      afterFailureMs: 1,
    })

  const numberOf = async (table: 'hufu_account_changes' | 'hufu_events') => {
    const all = here.db.selectFrom(table).select((eb) => eb.fn.countAll().as('n'))
    return Number((await all.executeTakeFirstOrThrow()).n)
  }

  /** The accounts with a change in the feed. */
  const changedAccounts = async () => {
    const rows = await here.db.selectFrom('hufu_account_changes').select('account_id').execute()
    return new Set(rows.map(({ account_id }) => account_id)).size
  }

  const endedIds = async () => {
    const rows = await here.db
      .selectFrom('hufu_events')
      .select('session_id')
      .where('kind', '=', 'session_ended')
      .execute()
    return rows.map(({ session_id }) => session_id)
  }

  usable('all live sessions end on every server, and a second run has nothing to write', async () => {
    const watcher = await open()
    const signedIn = await Promise.all([4, accounts].map((number) => signIn(here, idOf(number))))
    for (const { token } of signedIn)
      expect(await watcher.verification.verify(token)).toMatchObject({ is: 'live' })
    const first = endingOn(here)
    expect(await first.run()).toEqual(new Map())
    // Each of the two sign-ins replaced two sessions.
    expect(first.ended).toEqual({ accounts: live, sessions: 2 * live - 2 })
    expect(await endedIds()).toHaveLength(2 * live + 2)
    expect(await changedAccounts()).toBe(live)
    for (const { token } of signedIn)
      expect(await watcher.verification.verify(token)).toMatchObject({
        is: 'ended',
        ending: { reason: 'kicked' },
      })

    const before = [await numberOf('hufu_account_changes'), await numberOf('hufu_events')]
    const second = endingOn(here)
    expect(await second.run()).toEqual(new Map())
    expect(second.ended).toEqual({ accounts: 0, sessions: 0 })
    expect([await numberOf('hufu_account_changes'), await numberOf('hufu_events')]).toEqual(before)
  })

  usable('with a time, sessions that began then or later stay', async () => {
    // Of 420 sessions, the first 210 began before this time, one of each account.
    const some = endingOn(here, began + accounts + 1)
    expect(await some.run()).toEqual(new Map())
    expect(some.ended).toEqual({ accounts: live, sessions: live })
    const rows = await here.db
      .selectFrom('hufu_sessions')
      .select(({ fn }) => [fn.min('created_at').as('first'), fn.countAll().as('n')])
      .where('ended_at', 'is', null)
      .where('expires_at', 'is', null)
      .executeTakeFirstOrThrow()
    expect({ first: Number(rows.first), n: Number(rows.n) }).toEqual({
      first: began + accounts + 3,
      n: live,
    })
  })

  usable(
    'a run that is interrupted is completed by the next one, and each end is recorded once',
    async () => {
      const state = { commits: 0 }
      const watch: Watcher = async (step, work) => {
        if (state.commits >= 60 && step.startsWith('sql') && step !== 'sql rollback')
          throw new Error('this process is dead')
        const result = await work()
        if (step === 'sql commit') state.commits++
        return result
      }
      const mortal = await open({ watch })
      await expect(endingOn(mortal).run()).rejects.toThrow('this process is dead')
      const ended = (await endedIds()).length
      expect(ended).toBeGreaterThan(0)
      expect(ended).toBeLessThan(2 * live)

      expect(await endingOn(here).run()).toEqual(new Map())
      const ids = await endedIds()
      expect(ids).toHaveLength(2 * live)
      expect(new Set(ids).size).toBe(ids.length)
    },
  )

  // What follows does not depend on Redis.
  if (store.redis) return
  usable(
    'an account whose write fails is tried again at the end, and is named where it fails still',
    async () => {
      const tries = new Map<string, number>()
      const [failing, always, gone] = [idOf(4), idOf(5), idOf(6)]
      const failures: string[] = []
      const sessions: Pick<Sessions, 'endLive'> = {
        async endLive(request) {
          const { accountId } = request
          const count = (tries.get(accountId) ?? 0) + 1
          tries.set(accountId, count)
          if (accountId === gone) throw new AppError('account_not_found')
          if (accountId === always || (accountId === failing && count === 1)) throw new Error('no')
          return await here.sessions.endLive(request)
        },
      }
      const ending = new EndOfAllAccounts({
        db: here.db,
        sessions,
        startedBefore: null,
        parallel: 2,
        onFailure: (accountId) => failures.push(accountId),
        afterFailureMs: 1,
      })
      expect([...(await ending.run()).keys()]).toEqual([always])
      expect(tries.get(failing)).toBe(2)
      expect(failures).toEqual([failing, always, always, always, always])
      // All others have ended.
      expect(ending.ended.accounts).toBe(live - 2)
    },
  )

  usable(
    'the second that a commit takes to reach every server does not delay the next accounts',
    async () => {
      let settling = 0
      const { promise: enough, resolve } = Promise.withResolvers<void>()
      const sessions: Pick<Sessions, 'endLive'> = {
        async endLive({ onCommitted }) {
          onCommitted?.()
          if (++settling === 50) resolve()
          await enough
          return 1
        },
      }
      const ending = new EndOfAllAccounts({
        db: here.db,
        sessions,
        startedBefore: null,
        parallel: 1,
        onFailure: () => {},
      })
      expect(await ending.run()).toEqual(new Map())
      expect(ending.ended.accounts).toBe(settling)
    },
  )

  usable('it gives up where nothing succeeds', async () => {
    let count = 0
    const sessions: Pick<Sessions, 'endLive'> = {
      async endLive() {
        count++
        throw new Error('away')
      },
    }
    const options = { db: here.db, sessions, startedBefore: null, parallel: 4, onFailure: () => {} }
    await expect(new EndOfAllAccounts({ ...options, afterFailureMs: 1 }).run()).rejects.toThrow('away')
    expect(count).toBeLessThan(100)
  })
})
