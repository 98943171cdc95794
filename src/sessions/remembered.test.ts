import { expect, test } from 'vitest'
import { type Found, Remembered } from './remembered.ts'

const id = 'a'
const copy = { is: 'a copy' }

/** An answer that comes when the test says so. */
function deferred() {
  let answer: (value: Found) => void = () => {}
  const promise = new Promise<Found>((resolve) => {
    answer = resolve
  })
  return { ask: () => promise, answer }
}

test('what was read once is not asked again, and neither is what was not there', async () => {
  const remembered = new Remembered(10, 60_000)
  expect(await remembered.read(id, async () => copy)).toBe(copy)
  expect(await remembered.read(id, () => expect.fail())).toBe(copy)
  expect(await remembered.read('b', async () => null)).toBeNull()
  expect(await remembered.read('b', () => expect.fail())).toBeNull()
})

test('many that ask at once ask once', async () => {
  const remembered = new Remembered(10, 60_000)
  const { ask, answer } = deferred()
  let asked = 0
  const counted = () => {
    asked++
    return ask()
  }
  const reads = [remembered.read(id, counted), remembered.read(id, counted), remembered.read(id, counted)]
  answer(copy)
  expect(await Promise.all(reads)).toEqual([copy, copy, copy])
  expect(asked).toBe(1)
})

test('a change that is announced while an answer is on its way keeps that answer out', async () => {
  const remembered = new Remembered(10, 60_000)
  const { ask, answer } = deferred()
  const read = remembered.read(id, ask)
  remembered.forget(id)
  // Who asks after the change was announced must not get an answer that may be from before it.
  expect(await remembered.read(id, async () => 'marked')).toBe('marked')
  answer(copy)
  expect(await read).toBe(copy)
  expect(remembered.get(id)).toBe('marked')
})

test('an announced change forgets one name, and no name at all forgets everything', async () => {
  const remembered = new Remembered(10, 60_000)
  await remembered.read(id, async () => copy)
  await remembered.read('b', async () => copy)
  remembered.forget(id)
  expect(remembered.get(id)).toBeUndefined()
  expect(remembered.get('b')).toBe(copy)
  const { ask, answer } = deferred()
  const read = remembered.read('c', ask)
  remembered.forget(null)
  answer(copy)
  await read
  expect(remembered.get('b')).toBeUndefined()
  expect(remembered.get('c')).toBeUndefined()
})

test('a failed read is told to everybody who waits for it, and is not remembered', async () => {
  const remembered = new Remembered(10, 60_000)
  const fail = async () => {
    throw new Error('gone')
  }
  await expect(Promise.all([remembered.read(id, fail), remembered.read(id, fail)])).rejects.toThrow('gone')
  expect(await remembered.read(id, async () => copy)).toBe(copy)
})

test('it remembers a bounded number, and nothing longer than its life', async () => {
  const bounded = new Remembered(2, 60_000)
  for (const id of ['a', 'b', 'c']) await bounded.read(id, async () => copy)
  expect(bounded.get('a')).toBeUndefined()
  expect(bounded.get('c')).toBe(copy)
  const shortLived = new Remembered(2, 0)
  await shortLived.read(id, async () => copy)
  expect(shortLived.get(id)).toBeUndefined()
})
