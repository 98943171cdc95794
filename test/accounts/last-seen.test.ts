// The time of a session's last use is written about once a minute, outside of requests, and is not lost when
// that fails.
import { describe, expect, test, vi } from 'vitest'
import { redisUrl, stores } from '../support/databases.ts'
import { addAccount, openDomain, signIn } from '../support/in-process-server.ts'

describe.concurrent.each(stores)('$name', ({ database, redis, skipped }) => {
  test.skipIf(skipped !== null)('a use that could not be written is written with the next one', async () => {
    const { url, drop } = await database.create()
    let isBroken = false
    const troubles: unknown[] = []
    const domain = await openDomain({
      databaseUrl: url,
      redisUrl: redis ? redisUrl() : null,
      onBackgroundError: (work) => troubles.push(work),
      watch: async (step, work) => {
        if (isBroken && step === 'sql update') throw new Error('the connection is lost')
        return await work()
      },
    })
    const { db, verification, clock } = domain
    const { token, session } = await signIn(domain, await addAccount(db))
    const use = async () => expect((await verification.verify(token)).is).toBe('live')
    const seenAt = async () =>
      (
        await db
          .selectFrom('hufu_sessions')
          .select('seen_at')
          .where('id', '=', session.id)
          .executeTakeFirstOrThrow()
      ).seen_at
    for (let i = 0; i < 3; i++) await use()
    clock.advance(61_000)
    isBroken = true
    for (let i = 0; i < 3; i++) await use()
    await vi.waitFor(() => expect(troubles).toEqual(['note_session_use']), 15_000)
    isBroken = false
    expect(await seenAt()).toBe(session.seenAt)
    clock.advance(1_000)
    await use()
    // Pending writes are done at the shutdown.
    await verification.close()
    expect(await seenAt()).toBe(clock.now())
    await domain.close()
    await drop()
  })
})
