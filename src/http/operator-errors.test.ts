import type { FastifyRequest } from 'fastify'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { AppError } from '../errors.ts'
import { OperatorErrors } from './operator-errors.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'performance'] }))
afterEach(() => void vi.useRealTimers())

const lines: string[] = []
const errors = new OperatorErrors({
  error: ({ id }, { code, cause }, more) =>
    lines.push(`${id} ${code} ${cause instanceof Error ? cause.message : ''} ${more}`),
})

function note(id: string, why: string): void {
  const cause = new Error(why)
  // Nothing but the id of the request is read.
  errors.note({ id } as FastifyRequest, new AppError('unavailable', { retryAfterSeconds: 1 }, { cause }))
}

test('a flood of one error is ten lines a second, and one with the number of the others', () => {
  for (let i = 0; i < 1000; i++) note(`r${i}`, 'too many wait')
  note('other', 'disk full')
  errors.note({ id: 'client' } as FastifyRequest, new AppError('credentials_wrong'))
  expect(lines.splice(0)).toEqual([
    ...Array.from({ length: 10 }, (_, i) => `r${i} unavailable too many wait 0`),
    'other unavailable disk full 0',
  ])
  vi.advanceTimersByTime(1_000)
  expect(lines.splice(0)).toEqual(['r999 unavailable too many wait 989'])
  note('later', 'too many wait')
  vi.advanceTimersByTime(1_000)
  expect(lines.splice(0)).toEqual(['later unavailable too many wait 0'])
})
