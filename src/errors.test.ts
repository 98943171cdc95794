import { expect, test } from 'vitest'
import { AppError, type ErrorCode } from './errors.ts'

// The type checker is what is tested: without an error on the next line, `@ts-expect-error` is one itself.
test('an error without the fact that its code needs does not compile', () => {
  // @ts-expect-error a ban has an end, or null
  expect(new AppError('account_banned').facts).toEqual({})
  // @ts-expect-error an empty object has no end of the ban either
  expect(new AppError('account_banned', {}).code).toBe('account_banned')
  // @ts-expect-error a 405 has Allow
  expect(new AppError('method_not_allowed').facts).toEqual({})
  // @ts-expect-error a 429 has Retry-After
  expect(new AppError('rate_limited', { wrong: 'password' }).code).toBe('rate_limited')
})

test('with it, and of codes that need none or are known later, it does', () => {
  expect(new AppError('account_banned', { bannedUntil: null }).facts).toEqual({ bannedUntil: null })
  expect(new AppError('not_found').facts).toEqual({})
  const cause = new Error('why')
  const codes: readonly ErrorCode[] = ['not_found', 'account_banned']
  for (const code of codes) expect(new AppError(code, {}, { cause })).toMatchObject({ code, cause })
})
