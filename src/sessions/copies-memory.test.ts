import { expect, test, vi } from 'vitest'
import { aCopy } from '../../test/a-copy.ts'
import { longTransactionMs } from '../timing.ts'
import { nothingFound } from './copies.ts'
import { MemoryCopies } from './copies-memory.ts'
import { ProvedTokens } from './proved-tokens.ts'
import { isBearer, liveOf } from './session.ts'

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** Copies on a database whose version a test can change. */
function open() {
  const database = { version: 1, asked: 0, isBroken: false }
  const copies = new MemoryCopies(() => {
    database.asked++
    if (database.isBroken) throw new Error('disk I/O error')
    return database.version
  })
  return { database, copies }
}

test('what was filled is there until another process commits anything, and whoever held it sees that it is not current', async () => {
  const { database, copies } = open()
  copies.fill(copies.beginRead(), [aCopy])
  const held = copies.session('s')
  expect(held.value).toBe(aCopy)
  expect(copies.believes(held)).toBe(true)
  await nextTurn()
  database.version = 2
  copies.refresh()
  expect(copies.session('s').value).toBeNull()
  expect(copies.believes(held)).toBe(false)
})

test('the database is asked once in a turn', async () => {
  const { database, copies } = open()
  copies.fill(copies.beginRead(), [aCopy])
  copies.refresh()
  expect(database.asked).toBe(1)
  await nextTurn()
  copies.refresh()
  expect(database.asked).toBe(2)
})

test('a read that began before another process committed fills nothing after it', async () => {
  const { database, copies } = open()
  const ticket = copies.beginRead()
  await nextTurn()
  database.version = 2
  copies.fill(ticket, [aCopy])
  expect(copies.session('s').value).toBeNull()
})

test('what is marked is forgotten, and not filled until it is settled; what is not marked stays', async () => {
  const { copies } = open()
  const other = { ...aCopy, session: { ...aCopy.session, id: 'other' } }
  copies.fill(copies.beginRead(), [aCopy, other])
  const held = copies.session('s')
  const mark = await copies.mark(['s'])
  expect(copies.believes(held)).toBe(false)
  copies.fill(copies.beginRead(), [aCopy])
  expect(copies.session('s').value).toBeNull()
  await copies.settle(mark)
  copies.fill(copies.beginRead(), [aCopy])
  expect(copies.session('s').value).toBe(aCopy)
  expect(copies.session('other').value).toBe(other)
})

test('a read that began before a mark fills nothing, even when all is settled', async () => {
  const { copies } = open()
  const ticket = copies.beginRead()
  await copies.settle(await copies.mark(['s']))
  copies.fill(ticket, [aCopy])
  expect(copies.session('s').value).toBeNull()
})

test('what a transaction marked that failed is released by the next one; that of the one before does not settle it', async () => {
  const { copies } = open()
  const failed = await copies.mark(['s'])
  const next = await copies.mark(['other'])
  copies.fill(copies.beginRead(), [aCopy])
  expect(copies.session('s').value).toBe(aCopy)
  await copies.settle(failed)
  const other = { ...aCopy, session: { ...aCopy.session, id: 'other' } }
  copies.fill(copies.beginRead(), [other])
  expect(copies.session('other').value).toBeNull()
  await copies.settle(next)
  copies.fill(copies.beginRead(), [other])
  expect(copies.session('other').value).toBe(other)
})

test('a copy lives for some minutes, so that what it says of the last use is not far behind', async () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  try {
    const { copies } = open()
    copies.fill(copies.beginRead(), [aCopy])
    vi.advanceTimersByTime(179_000)
    await nextTurn()
    copies.refresh()
    expect(copies.session('s').value).toBe(aCopy)
    vi.advanceTimersByTime(2_000)
    await nextTurn()
    copies.refresh()
    expect(copies.session('s').value).toBeNull()
  } finally {
    vi.useRealTimers()
  }
})

test('where the database cannot tell, nothing is believed', async () => {
  const { database, copies } = open()
  copies.fill(copies.beginRead(), [aCopy])
  const held = copies.session('s')
  database.isBroken = true
  for (let turn = 0; turn < 2; turn++) {
    await nextTurn()
    copies.refresh()
    copies.fill(copies.beginRead(), [aCopy])
    expect(copies.believes(held)).toBe(false)
  }
  await nextTurn()
  copies.refresh()
  expect(copies.session('s').value).toBeNull()
})

test('tokens that were good are remembered up to a bound, the oldest goes first', () => {
  const tokens = new ProvedTokens(2)
  const live = liveOf(aCopy)
  if (!isBearer(live)) throw new Error('it has no condition')
  for (const token of ['t1', 't2', 't3']) tokens.add({ token, id: 's', tokenHash: token }, nothingFound, live)
  expect(tokens.get('t1')).toBeUndefined()
  expect(tokens.get('t3')).toMatchObject({ tokenHash: 't3' })
  tokens.delete('t3')
  expect(tokens.get('t3')).toBeUndefined()
})

test('while the longest transaction on very many sessions runs, nothing is filled', async () => {
  const { copies } = open()
  let now = performance.now()
  vi.spyOn(performance, 'now').mockImplementation(() => now)
  const mark = await copies.mark('many')
  now += longTransactionMs
  copies.fill(copies.beginRead(), [aCopy])
  expect(copies.session('s').value).toBeNull()
  await copies.settle(mark)
  copies.fill(copies.beginRead(), [aCopy])
  expect(copies.session('s').value).toBe(aCopy)
  vi.restoreAllMocks()
})
