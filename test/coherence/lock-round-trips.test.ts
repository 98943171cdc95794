// How often a write waits for a database server while it holds the account's lock: every other write of the
// account waits for as long.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { noOrigin } from '../../src/events/events.ts'
import { findSession } from '../../src/sessions/session-rows.ts'
import { admitKnown } from '../../src/sessions/sessions.ts'
import { databases, redisUrl } from '../support/databases.ts'
import { addAccount, type Domain, openDomain, phone, signIn } from '../support/in-process-server.ts'
import { Gate } from '../support/step-faults.ts'

/** docs/data.md */
const most = 5

const servers = databases.filter(({ name }) => name !== 'sqlite')

interface Before {
  readonly accountId: string
  readonly sessionId: string
  readonly token: string
  readonly proof: string | null
}

async function signInWithProof({ sessions }: Domain, accountId: string, presented: string | null) {
  const issued = await sessions.issue({
    device: phone,
    origin: noOrigin,
    method: 'password',
    admit: admitKnown(accountId),
    deviceProof: { presented },
  })
  return issued ?? expect.fail('the sign-in was refused')
}

const writes: Readonly<Record<string, (domain: Domain, before: Before) => Promise<unknown>>> = {
  'a sign-in that replaces a session': (domain, { accountId }) => signIn(domain, accountId),
  'a sign-out': ({ sessions }, { accountId, sessionId, token }) =>
    sessions.end({
      id: sessionId,
      accountId,
      reason: 'signed_out',
      by: { accountId, sessionId, token },
    }),
  'a change of the password': ({ writer }, { accountId, sessionId, token }) =>
    writer.update({
      accountId,
      by: { accountId, sessionId, token },
      origin: noOrigin,
      decide: async () => ({
        set: { passwordHash: 'new' },
        end: { which: { allBut: sessionId }, reason: 'password_changed' },
        events: [{ kind: 'password_set', accountId }],
      }),
    }),
  'the end of all sessions': ({ sessions }, { accountId }) =>
    sessions.endAll({ accountId, by: null, reason: 'kicked', except: null }),
  'a change of the profile': ({ writer }, { accountId, sessionId, token }) =>
    writer.update({
      accountId,
      by: { accountId, sessionId, token },
      origin: noOrigin,
      decide: async () => ({ set: { nickname: 'new' }, events: [{ kind: 'account_updated', accountId }] }),
    }),
}

describe.each(servers)('$name', ({ create, skipped }) => {
  const gate = new Gate()
  let domain: Domain
  let drop: () => Promise<void>

  beforeAll(async () => {
    if (skipped !== null) return
    const fresh = await create()
    drop = fresh.drop
    domain = await openDomain({ databaseUrl: fresh.url, redisUrl: redisUrl(), watch: gate.watch })
  })
  afterAll(async () => {
    await domain?.close()
    await drop?.()
  })

  async function prepare(): Promise<Before> {
    const accountId = await addAccount(domain.db)
    const { session, token, deviceProof } = await signInWithProof(domain, accountId, null)
    return { accountId, sessionId: session.id, token, proof: deviceProof }
  }

  /** The statements after the one that locks and before the commit. (Redis is asked beside them.) */
  async function underLock(write: () => Promise<unknown>): Promise<readonly string[]> {
    gate.steps.length = 0
    await write()
    const statements = gate.steps.filter((step) => step.startsWith('sql '))
    const [locked, committed] = [
      statements.indexOf('sql select for update'),
      statements.indexOf('sql commit'),
    ]
    expect([locked, committed - locked].every((n) => n > 0)).toBe(true)
    return statements.slice(locked + 1, committed)
  }

  test.skipIf(skipped !== null).each(Object.entries(writes))(
    `%s waits at most ${most} times for the database under the lock`,
    async (_name, write) => {
      const before = await prepare()
      const statements = await underLock(() => write(domain, before))
      expect(statements.length, statements.join(', ')).toBeLessThanOrEqual(most)
    },
  )

  test.skipIf(skipped !== null)('the cache gets what the database has', async () => {
    for (const write of Object.values(writes)) {
      const before = await prepare()
      await write(domain, before)
      const stored = await findSession(domain.db, before.sessionId)
      expect((await domain.cache.session(before.sessionId)).value).toEqual(stored)
    }
  })
})
