import { expect, test } from 'vitest'
import { nothingFound } from './copies.ts'
import { MemoryCopies } from './copies-memory.ts'
import { ProvedTokens } from './proved-tokens.ts'
import { aCopy } from './some-copies.ts'

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

test('what was filled is there until anybody commits anything, and whoever held it sees that it is not current', async () => {
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

test('the database is asked once in a turn, and again after a commit of our own', async () => {
  const { database, copies } = open()
  copies.fill(copies.beginRead(), [aCopy])
  copies.refresh()
  copies.refresh()
  expect(database.asked).toBe(1)
  database.version = 2
  await copies.settle()
  copies.refresh()
  expect(database.asked).toBe(2)
  expect(copies.session('s').value).toBeNull()
  await nextTurn()
  copies.refresh()
  expect(database.asked).toBe(3)
})

test('a read that began before a commit fills nothing after it', async () => {
  const { database, copies } = open()
  const ticket = copies.beginRead()
  database.version = 2
  await copies.settle()
  copies.fill(ticket, [aCopy])
  expect(copies.session('s').value).toBeNull()
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
  const live = { is: 'live', session: aCopy.session, account: aCopy.account } as const
  for (const token of ['t1', 't2', 't3']) tokens.add({ token, id: 's', tokenHash: token }, nothingFound, live)
  expect(tokens.get('t1')).toBeUndefined()
  expect(tokens.get('t3')).toMatchObject({ tokenHash: 't3' })
  tokens.delete('t3')
  expect(tokens.get('t3')).toBeUndefined()
})
