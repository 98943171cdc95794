// Fills Redis with many entries through the code that the server uses itself.
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Feed } from '../src/changes/feed.ts'
import { systemClock } from '../src/clock.ts'
import { migrate } from '../src/database/migrate.ts'
import { dialectFor, openDatabase } from '../src/database/open.ts'
import { newAccountId, newCompactId } from '../src/ids.ts'
import { RedisSessionCache } from '../src/session-cache/redis.ts'
import type { StoredSession } from '../src/session-cache/session-cache.ts'
import { hashToken, issueToken } from '../src/sessions/token.ts'

const batch = 500

/** Fills the entries of `count` live sessions, each of an account of its own. */
export async function addFilledSessions(redisUrl: string, count: number): Promise<void> {
  // A fill does not query the rows behind its entries, so an empty database is enough.
  const folder = mkdtempSync(join(tmpdir(), 'hufu-bench-'))
  const db = openDatabase(dialectFor(`sqlite:${join(folder, 'hufu.db')}`, 1))
  await migrate(db, 'sqlite')
  const feed = new Feed({ open: () => db, clock: systemClock })
  const cache = new RedisSessionCache({ url: redisUrl, feed })
  await Promise.all([feed.start(), cache.connect()])
  for (let made = 0; made < count; made += batch) {
    const ticket = cache.beginRead()
    if (!ticket) throw new Error('Redis went away')
    await cache.fill(ticket, someSessions(made, Math.min(batch, count - made)))
  }
  await cache.close()
  await feed.close()
  rmSync(folder, { recursive: true, force: true })
}

/** A sign-in as an app sends it: the device has a name and an id. */
function someSessions(from: number, count: number): StoredSession[] {
  const now = Date.now()
  return Array.from({ length: count }, (_, i) => {
    const [id, accountId] = [newCompactId(now), newAccountId(now)]
    const session = {
      id,
      accountId,
      platform: 'ios',
      deviceId: randomUUID().toUpperCase(),
      deviceName: 'iPhone 15 Pro',
      appVersion: '2.1.0',
      ip: '203.0.113.7',
      createdAt: now,
      seenAt: now,
      expiresAt: now + 30 * 86_400_000,
    } as const
    const phoneNumber = `+86${13000000000 + from + i}`
    const account = {
      id: accountId,
      phoneNumber,
      nickname: '测试用户1',
      ban: null,
      closesAt: null,
    } as const
    return { tokenHash: hashToken(issueToken(id)), session, account, ending: null, rotation: null }
  })
}
