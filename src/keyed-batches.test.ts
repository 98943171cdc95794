import { expect, test } from 'vitest'
import { KeyedBatches } from './keyed-batches.ts'

test('what comes while a batch of its key runs goes into the next one; other keys do not wait', async () => {
  const batches: (readonly string[])[] = []
  const gate = Promise.withResolvers<void>()
  const work = new KeyedBatches<string>(async (items) => {
    batches.push(items)
    if (items.includes('a 1')) await gate.promise
  })
  const added = ['a 1', 'a 2', 'a 3'].map((item) => work.add('a', item))
  await work.add('b', 'b')
  expect(batches).toEqual([['a 1'], ['b']])
  gate.resolve()
  await Promise.all(added)
  expect(batches).toEqual([['a 1'], ['b'], ['a 2', 'a 3']])
  await work.add('a', 'a 4')
  expect(batches.at(-1)).toEqual(['a 4'])
})

test('a batch has at most 100 items, and a failed one fails its own items alone', async () => {
  const sizes: number[] = []
  const work = new KeyedBatches<number>(async (items) => {
    sizes.push(items.length)
    if (items.includes(1)) throw new Error('failed')
  })
  const results = await Promise.allSettled(Array.from({ length: 251 }, (_, i) => work.add('a', i)))
  expect(sizes).toEqual([1, 100, 100, 50])
  expect(results.map(({ status }) => status === 'rejected')).toEqual(
    Array.from({ length: 251 }, (_, i) => i >= 1 && i <= 100),
  )
})
