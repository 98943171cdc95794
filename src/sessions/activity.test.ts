import { expect, test } from 'vitest'
import { Life } from './activity.ts'
import type { Session } from './session.ts'

const day = 86_400_000

function session(change: Partial<Session>): Session {
  const nothing = { deviceId: null, deviceName: null, appVersion: null, ip: null }
  return {
    id: 'a',
    accountId: 'b',
    platform: 'ios',
    ...nothing,
    createdAt: 0,
    seenAt: 0,
    expiresAt: 30 * day,
    ...change,
  }
}

test('a life slides with use, at most to the absolute end', () => {
  expect(new Life(30 * day, null).endFrom(0, 10 * day)).toBe(40 * day)
  expect(new Life(30 * day, 35 * day).endFrom(0, 10 * day)).toBe(35 * day)
  expect(new Life(null, 35 * day).endFrom(0, 10 * day)).toBe(35 * day)
  expect(new Life(null, null).endFrom(0, 10 * day)).toBeNull()
})

test('an extension is written about once a day, not with every use', () => {
  const life = new Life(30 * day, null)
  expect(life.isExtensionDue(session({}), day - 1)).toBe(false)
  expect(life.isExtensionDue(session({}), day)).toBe(true)
})

test('a life of one day is extended before it is over', () => {
  expect(new Life(day, null).isExtensionDue(session({ expiresAt: day }), day / 2)).toBe(true)
})

test('an end is never moved nearer, and the absolute end not at all', () => {
  expect(new Life(7 * day, null).isExtensionDue(session({}), day)).toBe(false)
  expect(new Life(30 * day, 30 * day).isExtensionDue(session({}), 20 * day)).toBe(false)
})

test('where sessions now live for ever, an old end is taken away at the next use', () => {
  expect(new Life(null, null).isExtensionDue(session({}), 1)).toBe(true)
  expect(new Life(null, null).isExtensionDue(session({ expiresAt: null }), 1)).toBe(false)
})
