// An account whose removal has begun is removed: a person who signs in at that moment neither gets it back nor loses half of it.
import { sql } from 'kysely'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { databaseKind } from '../src/db/open.ts'
import { noOrigin } from '../src/events/events.ts'
import { admitKnown } from '../src/sessions/sessions.ts'
import { phone } from './domain.ts'
import { insertMany } from './many-rows.ts'
import { addPerson, type RunningApp, startApp } from './running.ts'
import { nextTurn } from './steps.ts'
import { databases, type FreshDatabase } from './stores.ts'

const events = 5_000

describe.each(databases)('on $name', (database) => {
  const usable = test.skipIf(database.skipped !== null)
  let fresh: FreshDatabase
  let app: RunningApp
  let id: string

  beforeEach(async () => {
    if (database.skipped !== null) return
    fresh = await database.create()
    app = await startApp(fresh.url)
    id = (await addPerson(app.house, '13600000001', null)).id
    const due = app.clock.now() - 1
    await sql`update hufu_accounts set closes_at = ${due} where id = ${id}`.execute(app.byHand)
    await insertMany(app.byHand, databaseKind(fresh.url) ?? expect.fail(), 'hufu_events', events, {
      id: (i, { padded }) => padded(i, 22),
      at: (i) => sql`${i} + 0`,
      kind: () => sql`'signed_in'`,
      account_id: () => sql`${sql.lit(id)}`,
      detail: () => sql`'{}'`,
    })
  })
  afterEach(async () => {
    await app?.close()
    await fresh?.drop()
  })

  const signIn = () =>
    app.house.sessions
      .issue({ device: phone, origin: noOrigin, method: 'given', admit: admitKnown(id) })
      .then((issued) => (issued ? 'signed in' : 'no such account'))
      .catch((error) => error.code)

  const forgotten = async () => {
    const { rows } = await sql<{ n: number }>`select count(*) as n from hufu_events
      where account_id = ${id} and detail is null and kind = 'signed_in'`.execute(app.byHand)
    return Number(rows[0]?.n)
  }

  usable(
    'a person who signs in while the first details are gone does not get an account without its past',
    async () => {
      const purging = app.house.standing.purge(app.clock.now(), 10)
      while ((await forgotten()) === 0) await nextTurn()
      expect(['unavailable', 'no such account']).toContain(await signIn())
      expect(await purging).toBe(1)
      expect(await signIn()).toBe('no such account')
      expect(await forgotten()).toBe(events)
    },
    60_000,
  )

  usable(
    'a person who signs in before it keeps everything',
    async () => {
      expect(await signIn()).toBe('signed in')
      expect(await app.house.standing.purge(app.clock.now(), 10)).toBe(0)
      expect(await forgotten()).toBe(0)
    },
    60_000,
  )

  usable(
    'a removal that a process which died has begun lets nobody in, changes nothing more, and is completed by the next purge',
    async () => {
      await sql`update hufu_accounts set removal_began_at = 1 where id = ${id}`.execute(app.byHand)
      expect(await signIn()).toBe('unavailable')
      const ban = app.house.standing.ban(id, { until: null, reason: null })
      await expect(ban).rejects.toMatchObject({ code: 'unavailable' })
      expect(await app.house.standing.purge(app.clock.now(), 10)).toBe(1)
      expect(await app.house.accounts.find('13600000001')).toBeNull()
      expect(await forgotten()).toBe(events)
    },
    60_000,
  )
})
