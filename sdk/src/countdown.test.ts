// The countdown on the screen where a code is typed in.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { countdown } from './client.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function counting(seconds: number) {
  const told: number[] = []
  const stop = countdown(seconds).run((left) => void told.push(left))
  return { told, stop }
}

test('It tells each second once, the last one is 0, and no timer is left', () => {
  const { told } = counting(3)
  expect(told).toEqual([3])
  vi.advanceTimersByTime(10_000)
  expect(told).toEqual([3, 2, 1, 0])
  expect(vi.getTimerCount()).toBe(0)
})

test('Reading the seconds starts no timer', () => {
  const resendIn = countdown(60)
  vi.setSystemTime(Date.now() + 12_345)
  expect(resendIn.secondsLeft()).toBe(48)
  expect(vi.getTimerCount()).toBe(0)
})

test('A screen that closes stops it', () => {
  const { told, stop } = counting(60)
  vi.advanceTimersByTime(1_000)
  stop()
  stop()
  expect(vi.getTimerCount()).toBe(0)
  vi.advanceTimersByTime(5_000)
  expect(told).toEqual([60, 59])
})

test('After a minute in the background, where no timer runs, it is over', () => {
  const { told } = counting(60)
  vi.setSystemTime(Date.now() + 61_000)
  vi.advanceTimersToNextTimer()
  expect(told).toEqual([60, 0])
})

test('Nothing to wait for is told at once', () => {
  expect(counting(0).told).toEqual([0])
  expect(vi.getTimerCount()).toBe(0)
})

test('A clock that is turned back does not make anybody wait longer than the server said', () => {
  const resendIn = countdown(60)
  vi.setSystemTime(Date.now() - 3_600_000)
  expect(resendIn.secondsLeft()).toBe(60)
})
