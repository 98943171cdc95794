import { expect, test } from 'vitest'
import { ManualClock } from '../clock.ts'
import { KeyAllowance } from './key-allowance.ts'

test('a key has its lookups of a second, and gets them back as time passes', () => {
  const clock = new ManualClock()
  const allowance = new KeyAllowance(200, clock)
  for (let i = 0; i < 200; i++) allowance.take('a', 1)
  expect(() => allowance.take('a', 1)).toThrow('rate_limited')
  clock.advance(500)
  allowance.take('a', 100)
  expect(() => allowance.take('a', 1)).toThrow('rate_limited')
  clock.advance(3_600_000)
  allowance.take('a', 200)
  expect(() => allowance.take('a', 1)).toThrow('rate_limited')
})

test('no key uses up the lookups of another one', () => {
  const allowance = new KeyAllowance(100, new ManualClock())
  allowance.take('a', 100)
  expect(() => allowance.take('a', 1)).toThrow('rate_limited')
  allowance.take('b', 100)
})

test('lookups that were not made are given back', () => {
  const allowance = new KeyAllowance(100, new ManualClock())
  for (let i = 0; i < 1_000; i++) {
    expect(allowance.tryTake('a', 100)).toBe(true)
    expect(allowance.tryTake('a', 1)).toBe(false)
    allowance.giveBack('a', 100)
  }
  allowance.take('a', 100)
})

test('a refusal always says to wait, also where the lookup comes back while it is answered', () => {
  const times = [0, 999, 1_500]
  const allowance = new KeyAllowance(1, { now: () => times.shift() ?? expect.fail() })
  allowance.take('a', 100)
  expect(() => allowance.take('a', 1)).toThrow(
    expect.objectContaining({ facts: { retryAfterSeconds: 1 } }) as Error,
  )
})

test('a refused batch counts nothing, and its answer says how long to wait', () => {
  const clock = new ManualClock()
  const allowance = new KeyAllowance(10, clock)
  allowance.take('a', 70)
  expect(() => allowance.take('a', 100)).toThrow(
    expect.objectContaining({ facts: { retryAfterSeconds: 7 } }) as Error,
  )
  allowance.take('a', 30)
  clock.advance(10_000)
  allowance.take('a', 100)
})
