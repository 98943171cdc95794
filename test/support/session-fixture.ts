// A stored session for tests of the session caches.
import type { StoredSession } from '../../src/session-cache/session-cache.ts'
import { hashToken } from '../../src/sessions/token.ts'

const accountId = '0190a5b2-0000-7000-8000-000000000001'

export const aStoredSession: StoredSession = {
  tokenHash: hashToken('token'),
  ending: null,
  rotation: null,
  session: {
    id: 's',
    accountId,
    platform: 'ios',
    deviceId: null,
    deviceName: null,
    appVersion: null,
    ip: null,
    createdAt: 0,
    seenAt: 0,
    expiresAt: null,
  },
  account: { id: accountId, phoneNumber: '+8612345678901', nickname: null, ban: null, closesAt: null },
}
