// The statement that moves the end of sessions, on every database: only to a later time, and never past the
// limit.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dialectFor, openDatabase } from '../../src/database/open.ts'
import type { Database } from '../../src/database/schema.ts'
import { extendSessions } from '../../src/sessions/last-seen-rows.ts'
import { insertSession } from '../../src/sessions/session-rows.ts'
import { databases } from '../support/databases.ts'
import { addAccount, phone } from '../support/in-process-server.ts'

const createdAt = 1_000
const endsAt = 5_000
const farAway = 9_000_000_000_000

describe.each(databases)('$name', ({ create, skipped }) => {
  let db: Database
  let drop: () => Promise<void>

  beforeAll(async () => {
    if (skipped !== null) return
    const fresh = await create()
    drop = fresh.drop
    db = openDatabase(dialectFor(fresh.url, 2))
  })
  afterAll(async () => {
    await db?.destroy()
    await drop?.()
  })

  test.skipIf(skipped !== null).each([
    ['moves the end away', { expiresAt: 6_000, maxLifeMs: null }, 6_000],
    ['leaves an end that is hardly behind', { expiresAt: 5_050, maxLifeMs: null }, endsAt],
    ['leaves an end that is further away', { expiresAt: 4_000, maxLifeMs: null }, endsAt],
    ['goes no further than the longest life', { expiresAt: farAway, maxLifeMs: 20_000 }, 21_000],
    [
      'does not extend a session that had expired when it was used',
      { expiresAt: farAway, maxLifeMs: null, usedAt: 5_000 },
      endsAt,
    ],
    ['takes the end away where sessions live for ever', { expiresAt: null, maxLifeMs: null }, null],
    ['sets the longest life where that is the only limit', { expiresAt: null, maxLifeMs: 20_000 }, 21_000],
  ])('%s', async (_name, change, expected) => {
    const accountId = await addAccount(db)
    const id = accountId.slice(-22)
    const session = { ...phone, id, accountId, createdAt, seenAt: createdAt, expiresAt: endsAt }
    await insertSession(db, session, accountId)
    await extendSessions(db, { ids: [id], usedAt: 2_000, behindMs: 100, ...change })
    const row = await db
      .selectFrom('hufu_sessions')
      .select('expires_at')
      .where('id', '=', id)
      .executeTakeFirstOrThrow()
    expect(row.expires_at).toBe(expected)
  })
})
