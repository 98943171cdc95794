import { expect, test } from 'vitest'
import { BoundedMap } from './bounded-map.ts'

test('a further entry takes the place of the one that was set least recently', () => {
  const map = new BoundedMap<number>(2)
  expect([map.set('a', 1), map.set('b', 2), map.set('a', 3)]).toEqual([undefined, undefined, 1])
  expect(map.set('c', 4)).toBe(2)
  expect([...map.entries()]).toEqual([
    ['a', 3],
    ['c', 4],
  ])
})

test('what is deleted makes room', () => {
  const map = new BoundedMap<number>(1)
  map.set('a', 1)
  expect([map.delete('a'), map.delete('a'), map.size]).toEqual([1, undefined, 0])
  expect(map.set('b', 2)).toBeUndefined()
  map.clear()
  expect(map.get('b')).toBeUndefined()
})
