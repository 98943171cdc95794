// The end of very many sessions is one row, and is written to the sessions afterwards. Until then every
// reader takes it into account, a process that dies in between leaves nothing half done, and other writers
// are not blocked.
import { sql } from 'kysely'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { databaseKind } from '../../src/database/open.ts'
import { noOrigin } from '../../src/events/events.ts'
import { newCompactId } from '../../src/ids.ts'
import { currentPlace, inClass } from '../../src/queue-order.ts'
import { insertPendingEnd, listPendingEnds } from '../../src/sessions/pending-end-rows.ts'
import { PendingEnds } from '../../src/sessions/pending-ends.ts'
import { listSessionRecords } from '../../src/sessions/session-record-rows.ts'
import { stores } from '../support/databases.ts'
import { freshDomains } from '../support/fresh-domains.ts'
import { addAccount, type Domain, otherPhone, phone, signIn } from '../support/in-process-server.ts'
import { insertMany } from '../support/many-rows.ts'
import type { Watcher } from '../support/step-faults.ts'

/** More than are ended one by one (sessions.ts). */
const many = 1_200
const began = Date.UTC(2026, 10, 21)

describe.each(stores)('on $name', (store) => {
  const usable = test.skipIf(store.skipped !== null)
  const { url, open } = freshDomains(store.database, store.redis)
  const onBackgroundError = () => {}
  let here: Domain
  let accountId: string

  beforeEach(async () => {
    if (store.skipped !== null) return
    here = await open({ onBackgroundError })
    accountId = await addAccount(here.db)
    await addSessions(many)
  })

  /** The last ten had expired before everything else here. */
  async function addSessions(howMany: number): Promise<void> {
    await insertMany(here.db, databaseKind(url()) ?? expect.fail(), 'hufu_sessions', howMany, {
      id: (i, { concat, padded }) => concat(sql`'AaBbCcDd'`, padded(i, 14)),
      account_id: () => sql`${sql.lit(accountId)}`,
      token_hash: (i, { padded }) => padded(i, 43),
      platform: () => sql`'android'`,
      created_at: (i) => sql`${sql.lit(began)} + ${i}`,
      seen_at: (i) => sql`${sql.lit(began)} + ${i}`,
      expires_at: (i) => sql`case when ${i} > ${sql.lit(howMany - 10)} then ${sql.lit(began + 60_000)} end`,
    })
  }

  const rows = async (reason: string | null) =>
    await here.db
      .selectFrom('hufu_sessions')
      .select(['id', 'ended_at'])
      .where('account_id', '=', accountId)
      .where('end_reason', reason === null ? 'is' : '=', reason as never)
      .execute()

  const countEndEvents = async () =>
    (await here.db.selectFrom('hufu_events').select('id').where('kind', '=', 'session_ended').execute())
      .length

  usable('an end that cannot be written does not stop the others, even where it fills a page', async () => {
    const accounts = [accountId, await addAccount(here.db), await addAccount(here.db)].sort()
    const end = { at: began, reason: 'kicked', by: null, origin: noOrigin } as const
    for (const id of accounts) await insertPendingEnd(here.db, id, { ...end, id: newCompactId(began) })
    const ends = new PendingEnds({ db: here.db, onBackgroundError, listedAtOnce: 1 })
    const write = ends.write.bind(ends)
    vi.spyOn(ends, 'write').mockImplementation(async (id) => {
      if (id === accounts[0]) throw new Error('this end cannot be written')
      return await write(id)
    })
    await ends.resume()
    expect(await listPendingEnds(here.db, null, 10)).toEqual(accounts.slice(0, 1))
    await ends.close()
  })

  /** A server that completes its first write, and then sends no more statements. */
  async function openMortal(): Promise<Domain> {
    const state = { isDead: false }
    const watch: Watcher = async (step, work) => {
      if (state.isDead && step.startsWith('sql')) throw new Error('this process is dead')
      const result = await work()
      if (step === 'sql commit') state.isDead = true
      return result
    }
    return await open({ watch, onBackgroundError })
  }

  const all = () => ({ accountId, reason: 'kicked', by: null, except: null }) as const

  usable(
    'a server that dies after the commit has ended all of them, and another one writes it down',
    async () => {
      const { token, session } = await signIn(here, accountId)
      expect(await here.verification.verify(token)).toMatchObject({ is: 'live' })
      const mortal = await openMortal()
      const kicked = mortal.sessions.endAll(all())
      await expect(kicked).resolves.toBe(many - 10 + 1)
      await mortal.writer.pendingEnds.written()

      // Nothing is written yet, and everything has ended.
      expect(await rows('kicked')).toEqual([])
      const next = await open()
      for (const domain of [here, next]) {
        expect(await domain.verification.verify(token)).toEqual({
          is: 'ended',
          ending: { reason: 'kicked', at: domain.clock.now(), by: null },
        })
        expect(await domain.sessions.list(accountId)).toEqual([])
        expect(await domain.sessions.end({ ...all(), id: session.id })).toBe(false)
      }
      const records = await listSessionRecords(here.db, accountId, null, many + 1)
      expect(records.filter(({ endReason }) => endReason === 'kicked')).toHaveLength(many - 10 + 1)

      // Later sign-ins are not affected, neither now nor when the end is written.
      const later = await signIn(next, accountId)
      const survives = async () => {
        expect(await next.verification.verify(later.token)).toMatchObject({ is: 'live' })
        expect((await next.sessions.list(accountId)).map(({ id }) => id)).toEqual([later.session.id])
      }
      await survives()
      // Two at once write each session once.
      await Promise.all([here.writer.pendingEnds.resume(), next.writer.pendingEnds.resume()])
      await survives()
      expect(await rows('kicked')).toHaveLength(many - 10 + 1)
      expect(await rows(null)).toHaveLength(10 + 1)
      expect(await countEndEvents()).toBe(many - 10 + 1)
      expect(await here.db.selectFrom('hufu_pending_ends').selectAll().execute()).toEqual([])
      expect(await here.verification.verify(token)).toMatchObject({
        is: 'ended',
        ending: { reason: 'kicked' },
      })
    },
  )

  usable('a pending end is written as work of the server, whatever the request was', async () => {
    const classes = new Set<string>()
    const watch: Watcher = async (step, work) => {
      if (step.startsWith('sql')) classes.add(currentPlace().queueClass)
      return await work()
    }
    const mortal = await openMortal()
    await mortal.sessions.endAll(all())
    const { writer } = await open({ watch, onBackgroundError })
    classes.clear()
    inClass('reading', () => writer.pendingEnds.begin(accountId))
    await writer.pendingEnds.written()
    expect([...classes]).toEqual(['known'])
    expect(await rows('kicked')).toHaveLength(many - 10)
  })

  usable('the remaining session stays live, and the tokens of the others have no effect', async () => {
    const kept = await signIn(here, accountId)
    const other = await signIn(here, accountId, { ...otherPhone, platform: 'web' })
    const by = { accountId, sessionId: kept.session.id, token: kept.token }
    const mortal = await openMortal()
    await mortal.sessions.endAll({ ...all(), by, except: kept.session.id })
    await mortal.writer.pendingEnds.written()
    for (const when of ['before it is written', 'afterwards']) {
      expect(await here.verification.verify(kept.token), when).toMatchObject({ is: 'live' })
      const ending = { reason: 'kicked', by: { platform: phone.platform, deviceName: phone.deviceName } }
      expect(await here.verification.verify(other.token), when).toMatchObject({ is: 'ended', ending })
      const asOther = { accountId, sessionId: other.session.id, token: other.token }
      const refused = here.sessions.endAll({ ...all(), by: asOther })
      await expect(refused, when).rejects.toMatchObject({ code: 'session_kicked' })
      expect(await here.verification.rotate(other.token), when).toMatchObject({ is: 'ended' })
      await here.writer.pendingEnds.resume()
    }
  })

  usable(
    'a second end before the first one is written ends the sessions that started in between',
    async () => {
      const mortal = await openMortal()
      await mortal.sessions.endAll(all())
      await mortal.writer.pendingEnds.written()
      const between = await signIn(here, accountId)
      await here.sessions.endAll({ ...all(), reason: 'banned' })
      expect(await here.verification.verify(between.token)).toMatchObject({ ending: { reason: 'banned' } })
      await here.writer.pendingEnds.resume()
      expect(await rows('kicked')).toHaveLength(many - 10)
      expect(await rows('banned')).toHaveLength(1)
      expect(await countEndEvents()).toBe(many - 10 + 1)
    },
  )

  usable('other accounts sign in between two batches', async () => {
    const other = await addAccount(here.db)
    const signedIn: string[] = []
    const watch: Watcher = async (step, work) => {
      const result = await work()
      if (step === 'sql commit') signedIn.push((await signIn(here, other)).token)
      return result
    }
    const server = await open({ watch })
    await server.sessions.endAll(all())
    await server.writer.pendingEnds.written()
    expect(await rows('kicked')).toHaveLength(many - 10)
    // One for the end, and at least one for each hundred.
    expect(signedIn.length).toBeGreaterThan(many / 100)
  })
})
