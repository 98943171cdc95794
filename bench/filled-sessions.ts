// Many copies in Redis, written through the same door as the server's own.
import { newAccountId, newSessionId } from '../src/ids.ts'
import type { AccountCopy, CopiesToWrite, CopyName, SessionCopy } from '../src/sessions/copies.ts'
import { RedisCopies } from '../src/sessions/copies-redis.ts'
import { hashToken, issueToken } from '../src/sessions/token.ts'

const batch = 500

/** Fills the copies of `count` live sessions, each of an account of its own. */
export async function addFilledSessions(redisUrl: string, count: number): Promise<void> {
  const copies = new RedisCopies({ url: redisUrl })
  await copies.connect()
  for (let made = 0; made < count; made += batch) {
    const ticket = copies.beginRead()
    if (!ticket) throw new Error('Redis went away')
    await copies.fill(ticket, someCopies(made, Math.min(batch, count - made)))
  }
  await copies.close()
}

function someCopies(from: number, count: number): CopiesToWrite {
  const now = Date.now()
  const copies = new Map<CopyName, SessionCopy | AccountCopy>()
  for (let i = from; i < from + count; i++) {
    const id = newSessionId(now)
    const accountId = newAccountId(now)
    const device = {
      platform: 'ios',
      deviceId: null,
      deviceName: 'iPhone 15',
      appVersion: '2.1.0',
      ip: '203.0.113.7',
    } as const
    const session = {
      id,
      accountId,
      ...device,
      createdAt: now,
      seenAt: now,
      expiresAt: now + 30 * 86_400_000,
    }
    const tokenHash = hashToken(issueToken(id))
    copies.set(`session:${id}`, { tokenHash, session, ending: null, rotation: null })
    const phoneNumber = `+86${13000000000 + i}`
    const state = { state: 'active', bannedUntil: null, appOnline: true } as const
    copies.set(`account:${accountId}`, { id: accountId, phoneNumber, nickname: '测试用户1', ...state })
  }
  return copies
}
