import fc from 'fast-check'
import { expect, test } from 'vitest'
import { aCopy } from '../../test/a-copy.ts'
import { endReasons, platforms } from '../db/schema.ts'
import { newAccountId, newSessionId } from '../ids.ts'
import type { SessionCopy } from './copies.ts'
import { packCopy, unpackCopy } from './copy-bytes.ts'
import { hashToken } from './token.ts'

const time = fc.integer({ min: 0, max: 2 ** 47 })
const words = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 40 }),
  fc.uuid(),
  fc.uuid().map((text) => text.toUpperCase()),
  fc.string({ unit: fc.constantFrom(...'AEIz09_-'), minLength: 43, maxLength: 43 }),
)
const maybe = <T>(some: fc.Arbitrary<T>) => fc.option(some, { nil: null })
const hash = words.map(hashToken)
const platform = fc.constantFrom(...platforms)

const copies: fc.Arbitrary<SessionCopy> = fc.record({
  tokenHash: hash,
  session: fc.record({
    id: time.map(newSessionId),
    accountId: fc.constant(newAccountId(1)),
    platform,
    deviceId: maybe(words),
    deviceName: maybe(words),
    appVersion: maybe(words),
    ip: maybe(fc.oneof(fc.ipV4(), fc.ipV6())),
    createdAt: time,
    seenAt: time,
    expiresAt: maybe(time),
  }),
  account: fc.record({
    id: fc.constant(newAccountId(1)),
    phoneNumber: words,
    nickname: maybe(words),
    ban: maybe(fc.record({ until: maybe(time) })),
    closesAt: maybe(time),
  }),
  rotation: maybe(
    fc.record({ familyHash: hash, pending: maybe(fc.record({ previousHash: hash, rotatedAt: time })) }),
  ),
  ending: maybe(
    fc.record({
      reason: fc.constantFrom(...endReasons),
      at: time,
      by: maybe(fc.record({ platform, deviceName: maybe(words) })),
    }),
  ),
})
// One account has one id: it stands there once.
const sameAccount = (copy: SessionCopy, id: string): SessionCopy => ({
  ...copy,
  session: { ...copy.session, accountId: id },
  account: { ...copy.account, id },
})
const packed = (copy: SessionCopy) => packCopy(copy) ?? expect.fail('it has no bytes')

test('what is unpacked is what was packed', () => {
  fc.assert(
    fc.property(copies, words, (one, id) => {
      const copy = sameAccount(one, id)
      expect(unpackCopy(copy.session.id, packed(copy))).toEqual(copy)
    }),
  )
})

test('bytes that are cut off, too many, or of another layout, are no copy, and never an error', () => {
  fc.assert(
    fc.property(copies, fc.nat(), (copy, n) => {
      const bytes = packed(copy)
      // Before the ending a copy is whole already: that of a session which has not ended.
      const whole = packed({ ...copy, ending: null }).length
      const cut = n % bytes.length
      fc.pre(cut !== whole)
      expect(unpackCopy('s', bytes.subarray(0, cut))).toBeNull()
      expect(
        unpackCopy('s', Buffer.concat([packed({ ...copy, ending: null }), Buffer.from([255])])),
      ).toBeNull()
      expect(
        unpackCopy('s', Buffer.concat([Buffer.from([(bytes[0] ?? 0) + 1]), bytes.subarray(1)])),
      ).toBeNull()
    }),
  )
  fc.assert(
    fc.property(copies, fc.uint8Array({ maxLength: 200 }), (one, bytes) => {
      const copy = unpackCopy('s', Buffer.concat([packed(one).subarray(0, 1), bytes]))
      expect(copy === null || copy.session.id === 's').toBe(true)
    }),
    { numRuns: 2_000 },
  )
})

test('what this version does not know has no bytes', () => {
  const platform = 'watch' as 'ios'
  expect(packCopy({ ...aCopy, session: { ...aCopy.session, platform } })).toBeNull()
  expect(packCopy({ ...aCopy, session: { ...aCopy.session, createdAt: -1 } })).toBeNull()
})
