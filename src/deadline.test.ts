import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { withinMs } from './deadline.ts'

test('work in time gives its result or its error', async () => {
  expect(await withinMs(5_000, Promise.resolve(1), { from: 'it' })).toBe(1)
  await expect(withinMs(5_000, Promise.reject(new Error('no')), { from: 'it' })).rejects.toThrow('no')
})

test('what comes too late is an error, and goes where it is said', async () => {
  const { promise, resolve } = Promise.withResolvers<number>()
  const late: number[] = []
  const waiting = withinMs(1, promise, { from: 'it', late: (result) => late.push(result) })
  await expect(waiting).rejects.toMatchObject({ code: 'DEADLINE', message: 'it did not answer within 1 ms' })
  resolve(2)
  await promise
  expect(late).toEqual([2])
})

test('an answer that arrived while the process was blocked counts', async () => {
  const answer = sleep(1, 3)
  const waiting = withinMs(5, answer, { from: 'it' })
  const until = performance.now() + 20
  while (performance.now() < until);
  expect(await waiting).toBe(3)
})
