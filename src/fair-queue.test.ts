import { describe, expect, test } from 'vitest'
import { FairQueue } from './fair-queue.ts'
import { asTransaction, inClass, type QueueClass, queueClasses } from './queue-order.ts'

/** Adds `count` items of a class, named after it and numbered from `from`. @returns what removes each */
function add(queue: FairQueue<string>, queueClass: QueueClass, count: number, from = 0): (() => void)[] {
  const items = Array.from({ length: count }, (_, i) => `${queueClass} ${from + i}`)
  return inClass(queueClass, () => items.map((item) => queue.add(item)))
}

function addTransaction(queue: FairQueue<string>, queueClass: QueueClass, item: string): void {
  inClass(queueClass, () => asTransaction(() => queue.add(item)))
}

function take(queue: FairQueue<string>, count: number): (string | undefined)[] {
  return Array.from({ length: count }, () => queue.next())
}

/** How many items of each class there are, the most important class first. */
function countsOf(items: readonly (string | undefined)[]): number[] {
  return queueClasses.map((one) => items.filter((item) => item?.startsWith(`${one} `)).length)
}

describe('the turns', () => {
  test('of classes that all wait are 6, 3, 2 and 1 of twelve, and none has three in a row', () => {
    const queue = new FairQueue<string>()
    for (const queueClass of queueClasses) add(queue, queueClass, 24)
    for (let round = 0; round < 2; round++) {
      const items = take(queue, 12)
      expect(countsOf(items)).toEqual([6, 3, 2, 1])
      const classes = items.map((item) => item?.split(' ')[0])
      expect(classes.join(' ')).not.toMatch(/(\w+) \1 \1/)
    }
  })

  test('that a class does not need are those of the others, by their shares', () => {
    const queue = new FairQueue<string>()
    add(queue, 'counted', 12)
    add(queue, 'reading', 12)
    expect(countsOf(take(queue, 8))).toEqual([0, 6, 0, 2])
    const alone = new FairQueue<string>()
    add(alone, 'reading', 3)
    expect(take(alone, 4)).toEqual(['reading 0', 'reading 1', 'reading 2', undefined])
  })

  test('are not saved up by a class in which nothing waits', () => {
    const queue = new FairQueue<string>()
    add(queue, 'reading', 100)
    take(queue, 50)
    for (const queueClass of queueClasses.slice(0, 3)) add(queue, queueClass, 12)
    expect(countsOf(take(queue, 12))).toEqual([6, 3, 2, 1])
  })

  test('within a class go in the order of arrival, transactions too', () => {
    const queue = new FairQueue<string>()
    add(queue, 'known', 2)
    addTransaction(queue, 'known', 'a transaction')
    add(queue, 'known', 1, 2)
    expect(take(queue, 4)).toEqual(['known 0', 'known 1', 'a transaction', 'known 2'])
  })

  test('are those of the class in which the work was added, wherever they are taken', () => {
    const queue = new FairQueue<string>()
    queue.add('known by default')
    add(queue, 'reading', 1)
    expect(inClass('reading', () => queue.next())).toBe('known by default')
  })
})

test('work that leaves is counted once, from the middle too, and also after its turn', () => {
  const queue = new FairQueue<string>()
  const [, second, third] = add(queue, 'counted', 4)
  expect(queue.size).toBe(4)
  second?.()
  second?.()
  expect(queue.size).toBe(3)
  expect(take(queue, 2)).toEqual(['counted 0', 'counted 2'])
  third?.()
  expect(queue.size).toBe(1)
  expect([queue.next(), queue.next(), queue.size]).toEqual(['counted 3', undefined, 0])
})

describe('room is made', () => {
  /** What makes room for work of a class, and whether the queue had said so. */
  function makeRoom(queue: FairQueue<string>, queueClass: QueueClass, isTransaction = false) {
    const make = () => {
      const { size } = queue
      const canMakeRoom = queue.canMakeRoom()
      // The question alone removes nothing.
      expect(queue.size).toBe(size)
      const removed = queue.makeRoom()
      expect(canMakeRoom).toBe(removed !== undefined)
      expect(queue.size).toBe(removed === undefined ? size : size - 1)
      return removed
    }
    return inClass(queueClass, () => (isTransaction ? asTransaction(make) : make()))
  }

  test('by the newest work of the class that exceeds its share the most', () => {
    const queue = new FairQueue<string>()
    // 2, 3 and 2.5 times their shares; the longest line exceeds its share the least.
    add(queue, 'known', 12)
    add(queue, 'counted', 9)
    add(queue, 'changing', 5)
    expect(makeRoom(queue, 'reading')).toBe('counted 8')
    expect(makeRoom(queue, 'reading')).toBe('counted 7')
    expect(makeRoom(queue, 'reading')).toBe('changing 4')
    expect(makeRoom(queue, 'reading')).toBe('counted 6')
    // Those that stay keep their order.
    expect(take(queue, 24).filter((item) => item?.startsWith('counted'))).toEqual(
      Array.from({ length: 6 }, (_, i) => `counted ${i}`),
    )
  })

  test('by no other class where the present one exceeds its share the most, the new work included', () => {
    const queue = new FairQueue<string>()
    add(queue, 'known', 6)
    add(queue, 'reading', 1)
    expect(makeRoom(queue, 'reading')).toBeUndefined()
    expect(makeRoom(queue, 'known')).toBeUndefined()
    expect(makeRoom(queue, 'counted')).toBe('known 5')
  })

  test('by a read of its own class for a transaction, the newest one, and by no transaction', () => {
    const queue = new FairQueue<string>()
    add(queue, 'counted', 2)
    addTransaction(queue, 'counted', 'a transaction')
    expect(makeRoom(queue, 'counted')).toBeUndefined()
    expect(makeRoom(queue, 'counted', true)).toBe('counted 1')
    expect(makeRoom(queue, 'counted', true)).toBe('counted 0')
    expect(makeRoom(queue, 'counted', true)).toBeUndefined()
  })

  test('by the reads of another class before its transactions, and then by the newest of these', () => {
    const queue = new FairQueue<string>()
    addTransaction(queue, 'changing', 'transaction 0')
    add(queue, 'changing', 1)
    for (const i of [1, 2, 3]) addTransaction(queue, 'changing', `transaction ${i}`)
    expect(makeRoom(queue, 'known')).toBe('changing 0')
    expect(makeRoom(queue, 'known', true)).toBe('transaction 3')
  })

  test('by nothing in an empty queue', () => {
    expect(makeRoom(new FairQueue<string>(), 'known', true)).toBeUndefined()
  })
})
