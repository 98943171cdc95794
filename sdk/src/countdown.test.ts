// The countdown on the screen for entering a code.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { countdown } from './client.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function counting(seconds: number) {
  const told: number[] = []
  const stop = countdown(seconds).run((left) => void told.push(left))
  return { told, stop }
}

test('A countdown reports each second once and ends with 0 and no timer', () => {
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

test('A screen that closes stops the countdown', () => {
  const { told, stop } = counting(60)
  vi.advanceTimersByTime(1_000)
  stop()
  stop()
  expect(vi.getTimerCount()).toBe(0)
  vi.advanceTimersByTime(5_000)
  expect(told).toEqual([60, 59])
})

test('After a minute in the background, where no timer runs, the countdown has ended', () => {
  const { told } = counting(60)
  vi.setSystemTime(Date.now() + 61_000)
  vi.advanceTimersToNextTimer()
  expect(told).toEqual([60, 0])
})

test('A countdown of zero seconds ends at once', () => {
  expect(counting(0).told).toEqual([0])
  expect(vi.getTimerCount()).toBe(0)
})

test('A clock that is set back does not extend the wait beyond the server’s time', () => {
  const resendIn = countdown(60)
  vi.setSystemTime(Date.now() - 3_600_000)
  expect(resendIn.secondsLeft()).toBe(60)
})
