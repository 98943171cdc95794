import { expect, test } from 'vitest'
import { aStoredSession } from '../../test/support/session-fixture.ts'
import { ClientSideCache } from './client-side-cache.ts'
import type { CacheEntry } from './session-cache.ts'

type Answer = Omit<CacheEntry, 'isCurrent'>

const id = 'a'
const copy: Answer = { value: aStoredSession, position: 7, bucket: 0 }
const nothing: Answer = { value: null, position: 0, bucket: 0 }
const marked: Answer = { value: 'marked', position: 0, bucket: 0 }

/** An answer that comes when the test says so. */
function deferred() {
  let answer: (value: Answer) => void = () => {}
  const promise = new Promise<Answer>((resolve) => {
    answer = resolve
  })
  return { ask: () => promise, answer }
}

test('what was read once is not asked again', async () => {
  const cache = new ClientSideCache(10, 60_000)
  expect(await cache.read(id, async () => copy)).toMatchObject(copy)
  expect(await cache.read(id, () => expect.fail())).toEqual({
    ...copy,
    isCurrent: true,
    until: expect.any(Number),
  })
})

test('nothing is cached of sessions that do not exist, however many a client names', async () => {
  const cache = new ClientSideCache(10, 60_000)
  await cache.read(id, async () => copy)
  for (let i = 0; i < 1_000; i++)
    expect(await cache.read(`made-up-${i}`, async () => nothing)).toMatchObject({ value: null })
  for (let i = 0; i < 1_000; i++) expect(cache.get(`made-up-${i}`)).toBeUndefined()
  expect(cache.get(id)).toMatchObject({ isCurrent: true })
  expect(await cache.read('made-up-1', async () => copy)).toMatchObject({ isCurrent: true })
})

test('many that ask at once ask once', async () => {
  const cache = new ClientSideCache(10, 60_000)
  const { ask, answer } = deferred()
  let asked = 0
  const counted = () => {
    asked++
    return ask()
  }
  const reads = [cache.read(id, counted), cache.read(id, counted), cache.read(id, counted)]
  answer(copy)
  expect((await Promise.all(reads)).map(({ value }) => value)).toEqual([
    aStoredSession,
    aStoredSession,
    aStoredSession,
  ])
  expect(asked).toBe(1)
})

test('a change that is announced while an answer is on its way keeps that answer out', async () => {
  const cache = new ClientSideCache(10, 60_000)
  const { ask, answer } = deferred()
  const read = cache.read(id, ask)
  cache.invalidate(id)
  // A caller that asks after the announcement of the change must not get an answer from before it.
  expect(await cache.read(id, async () => marked)).toMatchObject(marked)
  answer(copy)
  expect(await read).toEqual({ ...copy, isCurrent: false })
  expect(cache.get(id)).toMatchObject({ value: 'marked', isCurrent: true })
})

test('an announced change forgets one name, and no name at all forgets everything', async () => {
  const cache = new ClientSideCache(10, 60_000)
  const a = await cache.read(id, async () => copy)
  const b = await cache.read('b', async () => copy)
  cache.invalidate(id)
  expect(cache.get(id)).toBeUndefined()
  expect([a.isCurrent, b.isCurrent]).toEqual([false, true])
  expect(cache.get('b')).toBe(b)
  const { ask, answer } = deferred()
  const read = cache.read('c', ask)
  cache.clear()
  answer(copy)
  expect(await read).toMatchObject({ ...copy, isCurrent: false })
  expect(b.isCurrent).toBe(false)
  expect(cache.get('b')).toBeUndefined()
  expect(cache.get('c')).toBeUndefined()
})

test('a failed read rejects for all callers that wait for it, and is not cached', async () => {
  const cache = new ClientSideCache(10, 60_000)
  const fail = async () => {
    throw new Error('gone')
  }
  await expect(Promise.all([cache.read(id, fail), cache.read(id, fail)])).rejects.toThrow('gone')
  expect(await cache.read(id, async () => copy)).toMatchObject(copy)
})

test('it remembers a bounded number, and nothing longer than its life', async () => {
  const bounded = new ClientSideCache(2, 60_000)
  const a = await bounded.read('a', async () => copy)
  for (const id of ['b', 'c']) await bounded.read(id, async () => copy)
  expect(bounded.get('a')).toBeUndefined()
  // A holder of the entry would not learn of a change.
  expect(a.isCurrent).toBe(false)
  expect(bounded.get('c')?.value).toBe(aStoredSession)
  const shortLived = new ClientSideCache(2, 0)
  const short = await shortLived.read(id, async () => copy)
  shortLived.evictExpired()
  expect(short.isCurrent).toBe(false)
  expect(shortLived.get(id)).toBeUndefined()
})
