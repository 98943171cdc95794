import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import type { ChangeListener } from './feed.ts'
import { LastChanges } from './last-changes.ts'

function lastChanges({ floor = 0, buckets }: { floor?: number; buckets?: number } = {}) {
  let listener: ChangeListener = () => expect.fail('nothing is subscribed')
  const subscribe = (to: ChangeListener) => {
    listener = to
    return () => {}
  }
  let forget = () => {}
  const onHistory = (listener: () => void) => {
    forget = listener
  }
  const changes = new LastChanges({ floor, subscribe, onHistory }, buckets)
  const change = (accountId: string, step: number, kind = 'account') => listener({ accountId, step, kind })
  const isCurrent = (accountId: string, position: number) =>
    changes.isCurrent(changes.bucketOf(accountId), position)
  return { changes, change, isCurrent, forget: () => forget() }
}

test('what was read before the last change of an account is not current, whatever comes after that change', () => {
  const { change, isCurrent } = lastChanges()
  expect(isCurrent('a', 0)).toBe(true)
  change('a', 7)
  change('a', 5)
  expect(isCurrent('a', 6)).toBe(false)
  expect(isCurrent('a', 7)).toBe(true)
  change('a', 9)
  expect(isCurrent('a', 8)).toBe(false)
  expect(isCurrent('b', 0)).toBe(true)
})

test('changes of another kind leave cached sessions current', () => {
  const { change, isCurrent } = lastChanges()
  change('a', 7, 'of a later version')
  expect(isCurrent('a', 6)).toBe(true)
})

test('nothing is current that was read before the feed began', () => {
  const { isCurrent } = lastChanges({ floor: 5 })
  expect(isCurrent('a', 4)).toBe(false)
  expect(isCurrent('a', 5)).toBe(true)
})

test('accounts that share a bucket count as changed together', () => {
  const { change, isCurrent } = lastChanges({ buckets: 1 })
  change('a', 7)
  expect(isCurrent('b', 6)).toBe(false)
})

test('accounts are spread over all buckets', () => {
  const { changes } = lastChanges({ buckets: 64 })
  const used = new Set(Array.from({ length: 6_400 }, () => changes.bucketOf(randomUUID())))
  expect(used.size).toBe(64)
})

test('in another history no change has happened yet', () => {
  const { change, isCurrent, forget } = lastChanges()
  change('a', 7)
  forget()
  expect(isCurrent('a', 6)).toBe(true)
  change('a', 3)
  expect(isCurrent('a', 2)).toBe(false)
})
