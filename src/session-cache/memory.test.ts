import { expect, test, vi } from 'vitest'
import { aStoredSession } from '../../test/support/session-fixture.ts'
import { longTransactionMs } from '../timing.ts'
import { MemorySessionCache } from './memory.ts'

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** Copies on a database whose version a test can change. */
function open() {
  const database = { version: 1, asked: 0, isBroken: false }
  const cache = new MemorySessionCache(() => {
    database.asked++
    if (database.isBroken) throw new Error('disk I/O error')
    return database.version
  })
  return { database, cache }
}

test('an entry stays until another process commits anything, and a caller that holds it sees that it is not current', async () => {
  const { database, cache } = open()
  cache.fill(cache.beginRead(), [aStoredSession])
  const held = cache.session('s')
  expect(held.value).toBe(aStoredSession)
  expect(cache.isValid(held)).toBe(true)
  await nextTurn()
  database.version = 2
  cache.dropStale()
  expect(cache.session('s').value).toBeNull()
  expect(cache.isValid(held)).toBe(false)
})

test('the database is asked once in a turn', async () => {
  const { database, cache } = open()
  cache.fill(cache.beginRead(), [aStoredSession])
  cache.dropStale()
  expect(database.asked).toBe(1)
  await nextTurn()
  cache.dropStale()
  expect(database.asked).toBe(2)
})

test('a read that began before another process committed fills nothing after it', async () => {
  const { database, cache } = open()
  const ticket = cache.beginRead()
  await nextTurn()
  database.version = 2
  cache.fill(ticket, [aStoredSession])
  expect(cache.session('s').value).toBeNull()
})

test('what is marked is forgotten, and not filled until it is settled; what is not marked stays', async () => {
  const { cache } = open()
  const other = { ...aStoredSession, session: { ...aStoredSession.session, id: 'other' } }
  cache.fill(cache.beginRead(), [aStoredSession, other])
  const held = cache.session('s')
  const mark = await cache.mark(['s'])
  expect(cache.isValid(held)).toBe(false)
  cache.fill(cache.beginRead(), [aStoredSession])
  expect(cache.session('s').value).toBeNull()
  await mark.settle([], 0)
  cache.fill(cache.beginRead(), [aStoredSession])
  expect(cache.session('s').value).toBe(aStoredSession)
  expect(cache.session('other').value).toBe(other)
})

test('a read that began before a mark fills nothing, even when all is settled', async () => {
  const { cache } = open()
  const ticket = cache.beginRead()
  await (await cache.mark(['s'])).settle([], 0)
  cache.fill(ticket, [aStoredSession])
  expect(cache.session('s').value).toBeNull()
})

test('what a transaction marked that failed is released by the next one; that of the one before does not settle it', async () => {
  const { cache } = open()
  const failed = await cache.mark(['s'])
  const next = await cache.mark(['other'])
  cache.fill(cache.beginRead(), [aStoredSession])
  expect(cache.session('s').value).toBe(aStoredSession)
  await failed.settle([], 0)
  const other = { ...aStoredSession, session: { ...aStoredSession.session, id: 'other' } }
  cache.fill(cache.beginRead(), [other])
  expect(cache.session('other').value).toBeNull()
  await next.settle([], 0)
  cache.fill(cache.beginRead(), [other])
  expect(cache.session('other').value).toBe(other)
})

test('an entry expires after some minutes, so that its last use is not far behind', async () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  try {
    const { cache } = open()
    cache.fill(cache.beginRead(), [aStoredSession])
    vi.advanceTimersByTime(179_000)
    await nextTurn()
    cache.dropStale()
    expect(cache.session('s').value).toBe(aStoredSession)
    vi.advanceTimersByTime(2_000)
    await nextTurn()
    cache.dropStale()
    expect(cache.session('s').value).toBeNull()
  } finally {
    vi.useRealTimers()
  }
})

test('where the database has no version, no entry is valid', async () => {
  const { database, cache } = open()
  cache.fill(cache.beginRead(), [aStoredSession])
  const held = cache.session('s')
  database.isBroken = true
  for (let turn = 0; turn < 2; turn++) {
    await nextTurn()
    cache.dropStale()
    cache.fill(cache.beginRead(), [aStoredSession])
    expect(cache.isValid(held)).toBe(false)
  }
  await nextTurn()
  cache.dropStale()
  expect(cache.session('s').value).toBeNull()
})

test('while the longest transaction on very many sessions runs, nothing is filled', async () => {
  const { cache } = open()
  let now = performance.now()
  vi.spyOn(performance, 'now').mockImplementation(() => now)
  const mark = await cache.mark('many')
  now += longTransactionMs
  cache.fill(cache.beginRead(), [aStoredSession])
  expect(cache.session('s').value).toBeNull()
  await mark.settle([], 0)
  cache.fill(cache.beginRead(), [aStoredSession])
  expect(cache.session('s').value).toBe(aStoredSession)
  vi.restoreAllMocks()
})
