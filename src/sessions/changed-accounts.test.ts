import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { ChangedAccounts } from './changed-accounts.ts'

test('the last change of an account stands, whatever comes after it', () => {
  const changed = new ChangedAccounts()
  const slot = changed.slotOf('a')
  expect(changed.lastOf(slot)).toBe(0)
  changed.note('a', 7)
  changed.note('a', 5)
  expect(changed.lastOf(slot)).toBe(7)
  changed.note('a', 9)
  expect(changed.lastOf(slot)).toBe(9)
  expect(changed.lastOf(changed.slotOf('b'))).toBe(0)
})

test('accounts that share a slot count as changed together', () => {
  const changed = new ChangedAccounts(1)
  changed.note('a', 7)
  expect(changed.lastOf(changed.slotOf('b'))).toBe(7)
})

test('accounts are spread over all slots', () => {
  const changed = new ChangedAccounts(64)
  const used = new Set(Array.from({ length: 6_400 }, () => changed.slotOf(randomUUID())))
  expect(used.size).toBe(64)
})
