// A copy for tests of what holds copies.
import type { SessionCopy } from '../src/sessions/copies.ts'

export const aCopy: SessionCopy = {
  tokenHash: 'hash',
  ending: null,
  rotation: null,
  session: {
    id: 's',
    accountId: 'a',
    platform: 'ios',
    deviceId: null,
    deviceName: null,
    appVersion: null,
    ip: null,
    createdAt: 0,
    seenAt: 0,
    expiresAt: null,
  },
  account: { id: 'a', phoneNumber: '+8612345678901', nickname: null, ban: null, closesAt: null },
}
