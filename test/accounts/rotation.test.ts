// Rotation of a session's token: a lost response does not sign out, and using an old token ends the session.
import { createClient } from 'redis'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { ManualClock } from '../../src/clock.ts'
import { currentPlace, inClass } from '../../src/queue-order.ts'
import type { Verified } from '../../src/sessions/session.ts'
import { issueToken } from '../../src/sessions/token.ts'
import { redisUrl, stores } from '../support/databases.ts'
import { addAccount, type Domain, openDomain, signIn, untilAvailable } from '../support/in-process-server.ts'
import { Cut, faults, nextTurn, pass } from '../support/step-faults.ts'

const secondMs = 1_000
const dayMs = 86_400_000

async function rotate({ verification }: Domain, token: string): Promise<string> {
  const rotated = await verification.rotate(token)
  if (rotated.is !== 'live') throw new Error(`the token was ${rotated.is}`)
  expect(rotated.session.id).toBe(token.slice(3, 25))
  return rotated.token
}

/** The server's verdict on a token: `live`, `unknown`, or the reason of the end. */
async function verdictOn(token: string, { verification }: Domain): Promise<string> {
  await nextTurn()
  const verified: Verified = await verification.verify(token)
  return verified.is === 'ended' ? verified.ending.reason : verified.is
}

async function rowOf({ db }: Domain, token: string) {
  return await db
    .selectFrom('hufu_sessions')
    .selectAll()
    .where('id', '=', token.slice(3, 25))
    .executeTakeFirstOrThrow()
}

describe.each(stores)('$name', ({ database, redis, skipped }) => {
  let url: string
  let drop: () => Promise<void>
  /** Two servers with one clock, which only moves forward: each test has an account of its own. */
  let here: Domain
  let there: Domain
  let clock: ManualClock
  const opened: Domain[] = []

  beforeAll(async () => {
    if (skipped !== null) return
    const fresh = await database.create()
    url = fresh.url
    drop = fresh.drop
    clock = new ManualClock(Date.UTC(2026, 10, 22))
    here = await openAnother()
    there = await openAnother()
  })
  afterEach(async () => {
    for (const domain of opened.splice(0)) await domain.close()
  })
  afterAll(async () => {
    for (const domain of [here, there]) await domain?.close()
    await drop?.()
  })

  const openAnother = (watch = pass) =>
    openDomain({ databaseUrl: url, redisUrl: redis ? redisUrl() : null, clock, watch })

  /** A server with an empty memory, which closes at the end of the test. */
  async function open(): Promise<Domain> {
    const domain = await openAnother()
    opened.push(domain)
    return domain
  }

  /** The token of a new session that both servers have in memory. */
  async function begin(): Promise<{ token: string; accountId: string }> {
    const accountId = await addAccount(here.db)
    const { token } = await signIn(here, accountId)
    for (const server of [here, there]) expect(await verdictOn(token, server)).toBe('live')
    return { token, accountId }
  }

  async function everywhere(token: string): Promise<string[]> {
    return [await verdictOn(token, here), await verdictOn(token, there), await verdictOn(token, await open())]
  }
  const all = (answer: string) => [answer, answer, answer]

  test.skipIf(skipped !== null)(
    'both tokens are valid until the new one is used; then the old one ends the session for both',
    async () => {
      const { token: old, accountId } = await begin()
      const successor = await rotate(here, old)
      expect(successor).toMatch(/^hf_[\w-]{65}$/)
      expect(successor.slice(0, 25)).toBe(old.slice(0, 25))
      expect(successor).not.toBe(old)
      expect(await everywhere(old)).toEqual(all('live'))

      expect(await verdictOn(successor, there)).toBe('live')
      expect(await verdictOn(old, here)).toBe('token_reused')
      expect(await everywhere(successor)).toEqual(all('token_reused'))
      expect(await everywhere(old)).toEqual(all('token_reused'))
      expect(await here.sessions.list(accountId)).toEqual([])
      expect(await rowOf(here, old)).toMatchObject({ ended_at: clock.now(), ended_by_session: null })
    },
  )

  test.skipIf(skipped !== null)(
    'the writes that a right token leads to are in the class of known callers, whatever the request was in',
    async () => {
      const { token: old } = await begin()
      const successor = await rotate(here, old)
      const classes = new Set<string>()
      const domain = await openAnother(async (step, work) => {
        if (/^sql (update|insert|with|commit)/.test(step)) classes.add(currentPlace().queueClass)
        return await work()
      })
      opened.push(domain)
      const verdictInClass = (token: string) => inClass('reading', () => verdictOn(token, domain))
      expect(await verdictInClass(successor)).toBe('live')
      expect([...classes]).toEqual(['known'])
      classes.clear()
      expect(await verdictInClass(old)).toBe('token_reused')
      expect([...classes]).toEqual(['known'])
    },
  )

  test.skipIf(skipped !== null)(
    'the successor stays valid while the old token is not presented',
    async () => {
      const { token: old } = await begin()
      const successor = await rotate(here, old)
      clock.advance(5 * dayMs)
      expect(await everywhere(successor)).toEqual(all('live'))
      expect(await rowOf(here, old)).toMatchObject({ previous_token_hash: null, rotation_nonce: null })
    },
  )

  test.skipIf(skipped !== null)('a repeated rotation within 60 s returns the same successor', async () => {
    const { token: old } = await begin()
    const successor = await rotate(here, old)
    expect(await rotate(there, old)).toBe(successor)
    clock.advance(60 * secondMs - 1)
    expect(await rotate(there, old)).toBe(successor)
    expect(await rotate(await open(), old)).toBe(successor)
    expect(await everywhere(successor)).toEqual(all('live'))
  })

  test.skipIf(skipped !== null)(
    'the grace period is 60 s from the first rotation: a millisecond less is live, 60 s is reuse, used or not',
    async () => {
      const { token: old } = await begin()
      const successor = await rotate(here, old)
      clock.advance(30 * secondMs)
      // A repeat does not extend the grace period.
      await rotate(there, old)
      clock.advance(30 * secondMs - 1)
      expect(await everywhere(old)).toEqual(all('live'))
      clock.advance(1)
      expect(await verdictOn(old, there)).toBe('token_reused')
      expect(await everywhere(successor)).toEqual(all('token_reused'))
    },
  )

  test.skipIf(skipped !== null)('rotating with an expired token ends the session too', async () => {
    const { token: old } = await begin()
    const successor = await rotate(here, old)
    clock.advance(60 * secondMs)
    expect(await there.verification.rotate(old)).toMatchObject({
      is: 'ended',
      ending: { reason: 'token_reused', at: clock.now(), by: null },
    })
    expect(await everywhere(successor)).toEqual(all('token_reused'))
  })

  test.skipIf(skipped !== null)(
    'a server that has not read of the rotation yet does not refuse the successor',
    async () => {
      for (let round = 0; round < 10; round++) {
        const { token: old } = await begin()
        // Both have the old token in memory, and no turn of the event loop passes in which they could learn
        // of the change.
        expect(await there.verification.verify(old)).toMatchObject({ is: 'live' })
        const successor = await rotate(here, old)
        expect(await there.verification.verify(successor)).toMatchObject({ is: 'live' })
        for (const domain of opened.splice(0)) await domain.close()
      }
    },
  )

  test.skipIf(skipped !== null)('rotating with an unused successor is its first use', async () => {
    const { token: first } = await begin()
    const second = await rotate(here, first)
    const third = await rotate(there, second)
    expect(new Set([first, second, third]).size).toBe(3)
    expect(await everywhere(second)).toEqual(all('live'))
    expect(await rotate(here, second)).toBe(third)
    expect(await verdictOn(first, there)).toBe('token_reused')
    for (const token of [second, third]) expect(await everywhere(token)).toEqual(all('token_reused'))
  })

  test.skipIf(skipped !== null)(
    'a thief who rotates twice loses the session with the first request of the owner',
    async () => {
      const { token: ownersToken } = await begin()
      const stolen = await rotate(there, await rotate(there, await rotate(there, ownersToken)))
      expect(await verdictOn(stolen, there)).toBe('live')
      expect(await verdictOn(ownersToken, here)).toBe('token_reused')
      expect(await everywhere(stolen)).toEqual(all('token_reused'))
    },
  )

  test.skipIf(skipped !== null)(
    'a token that never belonged to this session is unknown and ends nothing',
    async () => {
      const { token: old } = await begin()
      const id = old.slice(3, 25)
      // A session that never rotated has no token family.
      const sameFamily = old.slice(0, 41) + issueToken(id).slice(41)
      for (const foreign of [issueToken(id), sameFamily])
        expect(await everywhere(foreign)).toEqual(all('unknown'))
      const successor = await rotate(here, old)
      expect(await everywhere(issueToken(id))).toEqual(all('unknown'))
      expect(await verdictOn(successor, here)).toBe('live')
      expect(await everywhere(issueToken(id))).toEqual(all('unknown'))
      expect(await everywhere(successor)).toEqual(all('live'))
    },
  )

  test.skipIf(skipped !== null)('an ended session has the same reason for each of its tokens', async () => {
    const { token: first, accountId } = await begin()
    const second = await rotate(here, first)
    expect(await verdictOn(second, here)).toBe('live')
    const third = await rotate(here, second)
    const id = first.slice(3, 25)
    await there.sessions.end({ id, accountId, reason: 'kicked', by: null })
    for (const token of [first, second, third]) expect(await everywhere(token)).toEqual(all('kicked'))
    expect((await here.verification.rotate(third)).is).toBe('ended')
  })

  test.skipIf(skipped !== null)('an old token does not end a session that has expired', async () => {
    const { token: old } = await begin()
    const successor = await rotate(here, old)
    clock.advance(31 * dayMs)
    for (const token of [old, successor]) expect(await everywhere(token)).toEqual(all('expired'))
    expect(await rowOf(here, old)).toMatchObject({ ended_at: null, token_hash: expect.any(String) })
  })

  test.skipIf(skipped !== null)(
    'a ban refuses both tokens, and does not hide the reuse of an old one',
    async () => {
      const { token: first, accountId } = await begin()
      const second = await rotate(here, first)
      await setBan(1)
      for (const token of [first, second]) expect(await verdictOn(token, await open())).toBe('banned')
      expect((await here.verification.rotate(second)).is).toBe('ended')
      await setBan(null)
      expect(await everywhere(second)).toEqual(all('live'))
      await setBan(1)
      expect(await verdictOn(first, await open())).toBe('token_reused')
      await setBan(null)
      expect(await everywhere(second)).toEqual(all('token_reused'))

      /** Changes the database directly, as an operator does, and drops the cache entries. */
      async function setBan(banned_at: number | null): Promise<void> {
        await here.db.updateTable('hufu_accounts').set({ banned_at }).where('id', '=', accountId).execute()
        if (redis) await deleteEntries()
        await nextTurn()
      }
    },
  )

  test.skipIf(skipped !== null)(
    '64 parallel rotations of one token through four servers return one successor',
    async () => {
      const { token: old } = await begin()
      const servers = [here, there, await open(), await open()]
      const tokens = await Promise.all(
        Array.from({ length: 64 }, (_, i) =>
          untilAvailable(() => rotate(servers[i % servers.length] ?? here, old)),
        ),
      )
      const [successor = expect.fail()] = tokens
      expect(new Set(tokens)).toEqual(new Set([successor]))
      // All use the successor first at the same time: the old token is retired once, and the successor is
      // valid for all.
      const used = await Promise.all(
        Array.from({ length: 64 }, (_, i) =>
          untilAvailable(async () => (servers[i % servers.length] ?? here).verification.verify(successor)),
        ),
      )
      expect(new Set(used.map(({ is }) => is))).toEqual(new Set(['live']))
      expect(await verdictOn(old, here)).toBe('token_reused')
    },
  )

  test.skipIf(skipped !== null)(
    'concurrent rotations of the old token and uses of the new one leave either an ended or a live session',
    async () => {
      for (let round = 0; round < 5; round++) {
        const { token: old } = await begin()
        const successor = await rotate(here, old)
        const answers = await Promise.all([
          here.verification.rotate(old),
          there.verification.verify(successor),
          there.verification.rotate(old),
          here.verification.verify(successor),
        ])
        for (const answer of answers) expect(['live', 'ended']).toContain(answer.is)
        for (const i of [0, 2]) {
          const rotated = answers[i]
          if (rotated?.is === 'live') expect(rotated).toMatchObject({ token: successor })
        }
        // If any response reported an end, the session has ended; otherwise the successor is valid.
        const hasEnded = answers.some(({ is }) => is === 'ended')
        expect(await everywhere(successor)).toEqual(all(hasEnded ? 'token_reused' : 'live'))
        expect(await verdictOn(old, here)).toBe('token_reused')
      }
    },
  )

  test.skipIf(skipped !== null)(
    'neither SQL nor Redis contains a token, and the secret of the successor is deleted at its first use',
    async () => {
      const { token: old } = await begin()
      const successor = await rotate(here, old)
      await everywhere(old)
      const pending = await rowOf(here, old)
      expect(pending.rotation_nonce).toMatch(/^[\w-]{22}$/)
      for (const token of [old, successor]) {
        expect(JSON.stringify(pending)).not.toContain(token.slice(25, 41))
        expect(JSON.stringify(pending)).not.toContain(token.slice(41))
      }
      if (redis) {
        const entry = JSON.stringify(await (await open()).cache.session(old.slice(3, 25)))
        expect(entry).toContain(pending.previous_token_hash)
        expect(entry).not.toContain(pending.rotation_nonce)
        for (const token of [old, successor]) expect(entry).not.toContain(token.slice(25, 41))
      }
      expect(await verdictOn(successor, here)).toBe('live')
      expect(await rowOf(here, old)).toMatchObject({
        rotation_nonce: null,
        previous_token_hash: null,
        token_hash: pending.token_hash,
      })
    },
  )

  const remembers = redis || database.name === 'sqlite'
  if (remembers)
    test.skipIf(skipped !== null)(
      'a check creates no promise before any rotation, nor after the first use of the successor',
      async () => {
        const { token: old } = await begin()
        expect(here.verification.verify(old)).not.toBeInstanceOf(Promise)
        const successor = await rotate(here, old)
        expect(await verdictOn(successor, here)).toBe('live')
        expect(await verdictOn(successor, here)).toBe('live')
        expect(here.verification.verify(successor)).toMatchObject({ is: 'live' })
      },
    )

  test.skipIf(skipped !== null)(
    'after the first use is acknowledged, no server accepts the old token',
    async () => {
      for (let round = 0; round < 10; round++) {
        const { token: old } = await begin()
        const successor = await rotate(here, old)
        let isAcknowledged = false
        const late: string[] = []
        const hammer = async (server: Domain) => {
          for (let i = 0; !isAcknowledged || i < 3; i = isAcknowledged ? i + 1 : 0) {
            const wasAcknowledged = isAcknowledged
            const answer = await verdictOn(old, server)
            if (wasAcknowledged) late.push(answer)
          }
        }
        const hammers = [here, there, await open()].map(hammer)
        await nextTurn()
        const used = await there.verification.verify(successor)
        isAcknowledged = true
        await Promise.all(hammers)
        expect(['live', 'ended']).toContain(used.is)
        expect(new Set(late)).toEqual(new Set(['token_reused']))
      }
    },
  )

  describe.each(faults)('a server that %s any step', (fault) => {
    /**
     * Runs `act` on a server that fails at step 1, then on one that fails at step 2, and so on to the end.
     */
    async function atEachStep(
      act: (victim: Domain, old: string) => Promise<string>,
      prepare: (old: string) => Promise<unknown>,
      check: (old: string, acknowledged: string | null, where: string) => Promise<void>,
    ): Promise<string[]> {
      const visited: string[] = []
      for (let n = 1; ; n++) {
        const { token: old } = await begin()
        await prepare(old)
        const cut = new Cut()
        const victim = await openAnother(cut.watch)
        cut.arm(n, fault)
        const acknowledged = await act(victim, old).catch(() => null)
        // The database rolls back what a dead process had open.
        await victim.close()
        await nextTurn()
        await check(old, acknowledged, `${fault} step ${n} (${cut.reached})`)
        for (const domain of opened.splice(0)) await domain.close()
        if (cut.reached === null) return visited
        visited.push(cut.reached)
      }
    }
    const writes = [
      database.name === 'sqlite' ? 'sql select' : 'sql select for update',
      'mark',
      'sql update',
      'confirm',
      'sql commit',
      'settle',
    ]

    test.skipIf(skipped !== null)(
      'while it rotates leaves the old token valid, and returns one successor',
      async () => {
        const visited = await atEachStep(
          rotate,
          async () => {},
          async (old, acknowledged, where) => {
            expect(await everywhere(old), where).toEqual(all('live'))
            const { token_hash } = await rowOf(here, old)
            const successor = await rotate(here, old)
            if (acknowledged !== null) expect(successor, where).toBe(acknowledged)
            // Every server returns the committed successor, including one that has not read of it.
            const rotated = await rowOf(here, old)
            const wasCommitted = token_hash !== rotated.previous_token_hash
            expect(rotated.token_hash === token_hash, where).toBe(wasCommitted)
            expect(await everywhere(successor), where).toEqual(all('live'))
            expect(await everywhere(old), where).toEqual(all('token_reused'))
          },
        )
        expect(visited).toEqual(expect.arrayContaining(writes))
      },
    )

    test.skipIf(skipped !== null)(
      'at the first use of a successor leaves it valid, and the old token valid on all servers or on none',
      async () => {
        let successor = ''
        const visited = await atEachStep(
          async (victim) => {
            const verified = await victim.verification.verify(successor)
            if (verified.is !== 'live') throw new Error(`it was ${verified.is}`)
            return successor
          },
          async (old) => {
            successor = await rotate(here, old)
            expect(await everywhere(old)).toEqual(all('live'))
          },
          async (old, acknowledged, where) => {
            const { previous_token_hash } = await rowOf(here, old)
            if (acknowledged !== null) expect(previous_token_hash, where).toBeNull()
            if (previous_token_hash !== null) expect(await everywhere(old), where).toEqual(all('live'))
            expect(await everywhere(successor), where).toEqual(all('live'))
            expect(await everywhere(old), where).toEqual(all('token_reused'))
            expect(await everywhere(successor), where).toEqual(all('token_reused'))
          },
        )
        expect(visited).toEqual(expect.arrayContaining(writes))
      },
    )

    test.skipIf(skipped !== null)(
      'when an old token is reused ends the session completely, or at the next old token',
      async () => {
        let successor = ''
        const visited = await atEachStep(
          async (victim, old) => {
            const verified = await victim.verification.verify(old)
            return verified.is === 'ended' ? verified.ending.reason : verified.is
          },
          async (old) => {
            successor = await rotate(here, old)
            expect(await everywhere(successor)).toEqual(all('live'))
          },
          async (old, acknowledged, where) => {
            const { ended_at } = await rowOf(here, old)
            if (acknowledged !== null) expect(acknowledged, where).toBe('token_reused')
            if (acknowledged !== null) expect(ended_at, where).not.toBeNull()
            expect(await everywhere(successor), where).toEqual(
              all(ended_at === null ? 'live' : 'token_reused'),
            )
            expect(await everywhere(old), where).toEqual(all('token_reused'))
            expect(await everywhere(successor), where).toEqual(all('token_reused'))
          },
        )
        expect(visited).toEqual(expect.arrayContaining(writes))
      },
    )
  })

  async function deleteEntries(): Promise<void> {
    const client = await createClient({ url: redisUrl() ?? '' }).connect()
    await client.flushDb()
    client.destroy()
  }
})
