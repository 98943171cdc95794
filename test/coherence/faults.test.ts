// A fault at every step of mark, commit and settle: afterwards every server sees either the old state or the
// complete new one.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { noOrigin } from '../../src/events/events.ts'
import type { Verified } from '../../src/sessions/session.ts'
import { redisUrl, stores } from '../support/databases.ts'
import { addAccount, type Domain, openDomain, otherPhone, signIn } from '../support/in-process-server.ts'
import { Cut, faults, nextTurn } from '../support/step-faults.ts'

const newHash = 'new'

const operations = {
  'sign in': {
    before: async () => null,
    act: signInOnly,
    writes: ['sql select for update', 'sql insert', 'sql commit'],
  },
  replace: { before: signIn, act: signInOnly, writes: ['sql insert', 'sql update', 'sql commit'] },
  'sign out': {
    before: signIn,
    act: signOutOnly,
    writes: ['sql select for update', 'sql update', 'sql commit'],
  },
  'change of an account': {
    before: signIn,
    act: changePassword,
    writes: ['sql select for update', 'sql update', 'sql insert', 'sql commit'],
  },
} as const

/** As in credentials.ts and lifecycle.ts: the row changes, all sessions end, and an event records it. */
async function changePassword({ writer }: Domain, accountId: string): Promise<void> {
  await writer.update({
    accountId,
    by: null,
    origin: noOrigin,
    decide: async () => ({
      set: { passwordHash: newHash },
      end: { which: { allBut: null }, reason: 'password_changed' },
      events: [{ kind: 'password_set', accountId }],
    }),
  })
}

async function signInOnly(domain: Domain, accountId: string): Promise<void> {
  await signIn(domain, accountId, otherPhone)
}

async function signOutOnly(domain: Domain, accountId: string, sessionId: string | undefined): Promise<void> {
  await domain.sessions.end({
    id: sessionId ?? '',
    accountId,
    reason: 'signed_out',
    by: null,
  })
}

describe.each(stores)('$name', ({ database, redis, skipped }) => {
  let url: string
  let drop: () => Promise<void>
  /** A healthy server with entries in memory from before the fault. */
  let witness: Domain

  beforeAll(async () => {
    if (skipped !== null) return
    const fresh = await database.create()
    url = fresh.url
    drop = fresh.drop
    witness = await openDomain({ databaseUrl: url, redisUrl: redis ? redisUrl() : null })
  })

  afterAll(async () => {
    await witness?.close()
    await drop?.()
  })

  for (const [name, { before, act, writes }] of Object.entries(operations)) {
    for (const fault of faults) {
      test.skipIf(skipped !== null)(
        `${name}: a server that ${fault} any step leaves nothing half done`,
        async () => {
          const visited: string[] = []
          for (let n = 1; ; n++) {
            const accountId = await addAccount(witness.db)
            const old = await before(witness, accountId)
            if (old) expect((await witness.verification.verify(old.token)).is).toBe('live')

            const cut = new Cut()
            const victim = await openDomain({
              databaseUrl: url,
              redisUrl: redis ? redisUrl() : null,
              watch: cut.watch,
            })
            cut.arm(n, fault)
            const acknowledged = await act(victim, accountId, old?.session.id).then(
              () => true,
              () => false,
            )
            await victim.close()
            // All servers of this test share one process: a commit of another one is visible in the next turn
            // of the event loop.
            await nextTurn()

            const where = `${fault} step ${n} (${cut.reached})`
            await expectWhole(witness, accountId, name, where)
            await expectTold(witness, accountId, where)
            if (old) await expectTrue(witness, url, redis, old, where)
            if (acknowledged && old)
              expect((await witness.verification.verify(old.token)).is, where).toBe('ended')
            // Afterwards a sign-in succeeds, and leaves one session.
            await signIn(witness, accountId, otherPhone)
            expect(await witness.sessions.list(accountId), where).toHaveLength(1)
            if (cut.reached === null) break
            visited.push(cut.reached)
          }
          expect(visited).toEqual(
            expect.arrayContaining([...writes.map(stepOf), 'mark', 'confirm', 'settle']),
          )
        },
      )
    }
  }

  function stepOf(step: string): string {
    if (database.name === 'sqlite') return step.replace(' for update', '')
    // PostgreSQL gets the writes of a change in one statement.
    return database.name === 'postgres' ? step.replace(/^sql (insert|update)$/, 'sql with') : step
  }
})

/**
 * In SQL there are never two live sessions in one place, and never a replaced session without its successor.
 */
async function expectWhole(
  { db, sessions }: Domain,
  accountId: string,
  operation: string,
  where: string,
): Promise<void> {
  const rows = await db.selectFrom('hufu_sessions').selectAll().where('account_id', '=', accountId).execute()
  const live = await sessions.list(accountId)
  expect(live.length, where).toBeLessThanOrEqual(1)
  for (const row of rows.filter(({ end_reason }) => end_reason === 'replaced')) {
    expect(
      live.map(({ id }) => id),
      where,
    ).toEqual([row.ended_by_session])
  }
  if (operation === 'replace') expect(live, where).toHaveLength(1)
  for (const row of rows) expect(row.ended_at === null, where).toBe(row.end_reason === null)
}

/** Events record exactly what has happened: each end, each sign-in, each change of the account. */
async function expectTold({ db }: Domain, accountId: string, where: string): Promise<void> {
  const events = await db
    .selectFrom('hufu_events')
    .select('kind')
    .where('account_id', '=', accountId)
    .execute()
  const countEvents = (kind: string) => events.filter((event) => event.kind === kind).length
  const rows = await db
    .selectFrom('hufu_sessions')
    .select('ended_at')
    .where('account_id', '=', accountId)
    .execute()
  const account = await db
    .selectFrom('hufu_accounts')
    .select('password_hash')
    .where('id', '=', accountId)
    .executeTakeFirstOrThrow()
  expect(
    [countEvents('signed_in'), countEvents('session_ended'), countEvents('password_set')],
    where,
  ).toEqual([
    rows.length,
    rows.filter((row) => row.ended_at !== null).length,
    account.password_hash === newHash ? 1 : 0,
  ])
}

/**
 * Every server answers the old token as SQL does: the one with it in memory, and one that has just started.
 */
async function expectTrue(
  witness: Domain,
  url: string,
  redis: boolean,
  old: { token: string; session: { id: string } },
  where: string,
): Promise<void> {
  const row = await witness.db
    .selectFrom('hufu_sessions')
    .select(['ended_at', 'end_reason'])
    .where('id', '=', old.session.id)
    .executeTakeFirstOrThrow()
  const lateServer = await openDomain({ databaseUrl: url, redisUrl: redis ? redisUrl() : null })
  for (const { verification } of [witness, lateServer]) {
    const verified: Verified = await verification.verify(old.token)
    expect(verified.is, where).toBe(row.ended_at === null ? 'live' : 'ended')
    if (verified.is === 'ended') expect(verified.ending.reason, where).toBe(row.end_reason)
  }
  await lateServer.close()
}
