import { expect, test } from 'vitest'
import { SessionLifetime } from './last-seen.ts'
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
  expect(new SessionLifetime(30 * day, null).endFrom(0, 10 * day)).toBe(40 * day)
  expect(new SessionLifetime(30 * day, 35 * day).endFrom(0, 10 * day)).toBe(35 * day)
  expect(new SessionLifetime(null, 35 * day).endFrom(0, 10 * day)).toBe(35 * day)
  expect(new SessionLifetime(null, null).endFrom(0, 10 * day)).toBeNull()
})

test('an extension is written about once a day, not with every use', () => {
  const life = new SessionLifetime(30 * day, null)
  expect(life.extensionDueAt(session({}))).toBe(day)
})

test('a lifetime of one day is extended before it ends', () => {
  expect(new SessionLifetime(day, null).extensionDueAt(session({ expiresAt: day }))).toBe(day / 2)
})

test('an end is never moved nearer, and the absolute end not at all', () => {
  expect(new SessionLifetime(7 * day, null).extensionDueAt(session({}))).toBe(24 * day)
  expect(new SessionLifetime(30 * day, 30 * day).extensionDueAt(session({}))).toBe(Infinity)
  expect(new SessionLifetime(30 * day, 31 * day).extensionDueAt(session({}))).toBe(day)
})

test('where sessions now live for ever, an old end is taken away at the next use', () => {
  expect(new SessionLifetime(null, null).extensionDueAt(session({}))).toBe(-Infinity)
  expect(new SessionLifetime(null, null).extensionDueAt(session({ expiresAt: null }))).toBe(Infinity)
})
