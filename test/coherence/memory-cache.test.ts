// The memory of a server on SQLite: valid until another process commits, or until one of its own transactions
// marks the entry.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { noOrigin } from '../../src/events/events.ts'
import { databases } from '../support/databases.ts'
import {
  addAccount,
  type Domain,
  openDomain,
  otherPhone,
  signIn,
  writeUsesEveryMs,
} from '../support/in-process-server.ts'

const [sqlite] = databases
const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve))

let one: Domain
let other: Domain
let drop: () => Promise<void>

beforeEach(async () => {
  if (sqlite?.name !== 'sqlite') throw new Error('SQLite is the first of the databases')
  const fresh = await sqlite.create()
  drop = fresh.drop
  one = await openDomain({ databaseUrl: fresh.url, redisUrl: null })
  other = await openDomain({ databaseUrl: fresh.url, redisUrl: null, clock: one.clock })
})

afterEach(async () => {
  await one.close()
  await other.close()
  await drop()
})

/** Signs in on the first server, which then accepts the token without reading the database. */
async function newTerminal() {
  const accountId = await addAccount(other.db)
  await nextTurn()
  const { token, session } = await signIn(one, accountId)
  await learn(token)
  return { accountId, token, id: session.id }
}

/** The first check reads the database, the second one finds its result in memory. */
async function learn(token: string): Promise<void> {
  for (let i = 0; i < 2; i++) expect(await one.verification.verify(token)).toMatchObject({ is: 'live' })
}

/** Whether the first server answers from memory. */
const remembers = (token: string) => one.verification.verifyFromMemory(token) !== null

test('its own commits that end nothing keep everything in memory', async () => {
  const { accountId, token, id } = await newTerminal()
  const seenAt = async () => (await one.sessions.list(accountId)).find((one) => one.id === id)?.seenAt ?? NaN
  expect(remembers(token)).toBe(true)
  await signIn(one, accountId, { ...otherPhone, platform: 'android' })
  await nextTurn()
  expect(remembers(token)).toBe(true)
  const before = await seenAt()
  one.clock.advance(writeUsesEveryMs)
  expect(await one.verification.verify(token)).toMatchObject({ is: 'live' })
  await one.verification.close()
  await nextTurn()
  expect(await seenAt()).toBe(before + writeUsesEveryMs)
  expect(remembers(token)).toBe(true)
})

test('its own commits that end a session keep what they do not touch', async () => {
  const [ended, stays] = [await newTerminal(), await newTerminal()]
  // Another process wrote the account of the second one.
  await learn(ended.token)
  await one.sessions.end({ ...ended, reason: 'signed_out', by: null, origin: noOrigin })
  expect(remembers(ended.token)).toBe(false)
  expect(await one.verification.verify(ended.token)).toMatchObject({ is: 'ended' })
  expect(remembers(stays.token)).toBe(true)
})

test('a commit of another process is visible in the next turn of the event loop', async () => {
  const { token, id, accountId } = await newTerminal()
  await other.sessions.end({ id, accountId, reason: 'signed_out', by: null, origin: noOrigin })
  await nextTurn()
  expect(remembers(token)).toBe(false)
  expect(await one.verification.verify(token)).toMatchObject({ is: 'ended' })
})

test('during a transaction of its own it sees nothing of it, and afterwards everything', async () => {
  const { token, id, accountId } = await newTerminal()
  const bystander = await newTerminal()
  await learn(token)
  let release = () => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  const decide = vi.fn(async () => {
    await held
    return { end: { which: { allBut: null }, reason: 'signed_out' } } as const
  })
  const changing = one.writer.update({ accountId, by: null, origin: noOrigin, decide })
  await vi.waitFor(() => expect(decide).toHaveBeenCalled())
  await nextTurn()
  expect(remembers(token)).toBe(true)
  expect(remembers(bystander.token)).toBe(true)
  release()
  await changing
  expect(await one.verification.verify(token)).toMatchObject({ is: 'ended' })
  expect((await one.sessions.list(accountId)).map((session) => session.id)).not.toContain(id)
  expect(remembers(bystander.token)).toBe(true)
})
