import fc from 'fast-check'
import { expect, test } from 'vitest'
import { withCheck, withConditions, withField } from '../../test/support/entry-bytes.ts'
import { aStoredSession } from '../../test/support/session-fixture.ts'
import { newAccountId, newCompactId } from '../ids.ts'
import { endReasons } from '../sessions/end-reason.ts'
import { platforms } from '../sessions/platform.ts'
import { hashToken } from '../sessions/token.ts'
import type { StoredSession } from './session-cache.ts'
import { decodeSession, encodeSession } from './session-codec.ts'

const anAccountId = newAccountId(1)
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

const cache: fc.Arbitrary<StoredSession> = fc.record({
  tokenHash: hash,
  session: fc.record({
    id: time.map(newCompactId),
    accountId: fc.constant(anAccountId),
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
    id: fc.constant(anAccountId),
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
const encoded = (copy: StoredSession) => encodeSession(copy) ?? expect.fail('it has no bytes')
const id = aStoredSession.session.id

const unknownTag = fc.integer({ min: 64, max: 127 })
const unknownCriticalTag = fc.integer({ min: 192, max: 255 })
const value = fc.uint8Array({ maxLength: 100 })
const place = fc.nat({ max: 16 })

test('what is decoded is what was encoded', () => {
  fc.assert(
    fc.property(cache, (copy) => {
      expect(decodeSession(copy.session.id, encoded(copy))).toEqual(copy)
    }),
  )
})

test('fields with unknown tags are skipped, wherever they are', () => {
  const fields = fc.array(fc.record({ tag: unknownTag, value, place }), { minLength: 1, maxLength: 5 })
  fc.assert(
    fc.property(cache, fields, fc.nat({ max: 3 }), (copy, added, more) => {
      const newer = added.reduce((bytes, one) => withField(bytes, one, one.place), encoded(copy))
      expect(decodeSession(copy.session.id, withConditions(newer, more))).toEqual(copy)
    }),
  )
})

test('an entry with an unknown critical field is not used, wherever the field is', () => {
  fc.assert(
    fc.property(cache, unknownCriticalTag, value, place, (copy, tag, bytes, at) => {
      expect(decodeSession(copy.session.id, withField(encoded(copy), { tag, value: bytes }, at))).toBeNull()
    }),
  )
})

test('an entry is not used whose writer knows fewer critical fields: it may have left one out', () => {
  const entry = encoded(aStoredSession)
  expect(decodeSession(id, withConditions(entry, 0))).toEqual(aStoredSession)
  expect(decodeSession(id, withConditions(entry, 1))).toEqual(aStoredSession)
  expect(decodeSession(id, withConditions(entry, -1))).toBeNull()
})

test('the tags of the fields that bar a session are critical, so a version without one of them asks the database', () => {
  const { session, account } = aStoredSession
  const barred: StoredSession[] = [
    { ...aStoredSession, account: { ...account, ban: { until: null } } },
    { ...aStoredSession, account: { ...account, closesAt: 1 } },
    { ...aStoredSession, ending: { reason: 'kicked', at: 1, by: null } },
    { ...aStoredSession, rotation: { familyHash: hashToken('family'), pending: null } },
  ]
  const tailAt = encoded(aStoredSession).length - 4
  // The same head and number come first, so the next byte is the tag of what is added.
  for (const copy of barred) expect(encoded(copy)[tailAt]).toBeGreaterThanOrEqual(128)
  const plain: StoredSession[] = [
    { ...aStoredSession, account: { ...account, nickname: 'a' } },
    { ...aStoredSession, session: { ...session, deviceId: 'a' } },
    { ...aStoredSession, session: { ...session, ip: 'a' } },
  ]
  for (const copy of plain) expect(encoded(copy)[tailAt]).toBeLessThan(128)
})

test('an account without a number is read as one', () => {
  const account = { ...aStoredSession.account, phoneNumber: null }
  expect(decodeSession(id, encoded({ ...aStoredSession, account }))).toMatchObject({ account })
})

test('bytes that are cut off, too many, changed, or of another layout are no session, and never an error', () => {
  const change = fc.record({ at: fc.nat(), to: fc.integer({ min: 1, max: 255 }) })
  fc.assert(
    fc.property(cache, fc.nat(), change, (copy, n, { at, to }) => {
      const bytes = encoded(copy)
      expect(decodeSession(id, bytes.subarray(0, n % bytes.length))).toBeNull()
      expect(decodeSession(id, bytes.subarray(n % bytes.length || 1))).toBeNull()
      expect(decodeSession(id, Buffer.concat([bytes, Buffer.alloc((n % 9) + 1)]))).toBeNull()
      const changed = Buffer.from(bytes)
      changed[at % bytes.length] = (changed[at % bytes.length] ?? 0) ^ to
      expect(decodeSession(id, changed)).toBeNull()
      const body = Buffer.from(bytes.subarray(0, -4))
      body[0] = (body[0] ?? 0) ^ to
      expect(decodeSession(id, withCheck(body))).toBeNull()
    }),
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      expect(decodeSession(id, Buffer.from(bytes))).toBeNull()
    }),
    { numRuns: 1_000 },
  )
})

test('any bytes with a right check are no error, and a session only where the same one is encoded again', () => {
  const tail = fc.array(
    fc.record({
      tag: fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 128, max: 134 })),
      value: fc.oneof(value, fc.uint8Array({ minLength: 6, maxLength: 7 })),
    }),
    { maxLength: 6 },
  )
  let decoded = 0
  fc.assert(
    fc.property(tail, fc.uint8Array({ maxLength: 4 }), (fields, rest) => {
      const entry = fields.reduce((bytes, field) => withField(bytes, field), encoded(aStoredSession))
      const copy = decodeSession(id, withCheck(Buffer.concat([entry.subarray(0, -4), rest])))
      if (copy === null) return
      decoded++
      expect(decodeSession(id, encoded(copy))).toEqual(copy)
    }),
    { numRuns: 3_000 },
  )
  expect(decoded).toBeGreaterThan(100)
})

test('what the layout has no place for has no bytes', () => {
  const { session } = aStoredSession
  expect(encodeSession(aStoredSession)).not.toBeNull()
  expect(encodeSession({ ...aStoredSession, session: { ...session, platform: 'watch' as 'ios' } })).toBeNull()
  expect(encodeSession({ ...aStoredSession, condition: 'made_up' })).toBeNull()
  expect(encodeSession({ ...aStoredSession, session: { ...session, createdAt: -1 } })).toBeNull()
  expect(encodeSession({ ...aStoredSession, session: { ...session, seenAt: 2 ** 48 } })).toBeNull()
  expect(encodeSession({ ...aStoredSession, session: { ...session, accountId: 'a' } })).toBeNull()
  expect(encodeSession({ ...aStoredSession, tokenHash: 'hash' })).toBeNull()
})

test('a session of an app on a phone takes 157 bytes, where the layout before took 153', () => {
  const now = Date.UTC(2026, 10, 22)
  const copy: StoredSession = {
    ...aStoredSession,
    session: {
      ...aStoredSession.session,
      deviceId: '0f8fad5b-d9cb-469f-a165-70867728950e',
      deviceName: 'iPhone 15 Pro',
      appVersion: '2.1.0',
      ip: '203.0.113.7',
      createdAt: now,
      seenAt: now,
      expiresAt: now + 30 * 86_400_000,
    },
    account: { ...aStoredSession.account, nickname: '测试用户1' },
  }
  expect(encoded(copy).length).toBe(157)
})
