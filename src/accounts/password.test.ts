import { hash } from '@node-rs/argon2'
import { expect, test } from 'vitest'
import { AppError } from '../errors.ts'
import { assertAcceptablePassword, needsRehash, Passwords } from './password.ts'

const phone = '+8613800005223'

test('a password is stored as argon2id with at least 19 MiB and two passes, and verified', async () => {
  const passwords = new Passwords({ parallel: 2, queue: 10 })
  const phc = await passwords.hash('correct horse')
  expect(phc).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
  expect(await passwords.verify(phc, 'correct horse')).toBe(true)
  expect(await passwords.verify(phc, 'correct horsf')).toBe(false)
  expect(needsRehash(phc)).toBe(false)
})

test('every character counts, and one password is one text whatever keyboard it was typed on', async () => {
  const passwords = new Passwords({ parallel: 2, queue: 10 })
  const long = await passwords.hash(`${'x'.repeat(100)}1`)
  expect(await passwords.verify(long, `${'x'.repeat(100)}2`)).toBe(false)
  const composed = await passwords.hash('caf\u00e9 caf\u00e9')
  expect(await passwords.verify(composed, 'cafe\u0301 cafe\u0301')).toBe(true)
})

test('no stored password is no, after the same kind of work', async () => {
  const passwords = new Passwords({ parallel: 1, queue: 10 })
  const verified = passwords.verify(null, 'anything')
  await new Promise((resolve) => setImmediate(resolve))
  expect(await verified).toBe(false)
})

test('a hash with other parameters is to be made again', async () => {
  expect(needsRehash(await hash('x', { memoryCost: 8192, timeCost: 2, parallelism: 1 }))).toBe(true)
})

test('what does not fit into the pool and its queue is refused at once, with a time to come back', async () => {
  const passwords = new Passwords({ parallel: 1, queue: 2 })
  const tasks = await Promise.allSettled(Array.from({ length: 6 }, () => passwords.hash('correct horse')))
  const refused = tasks.filter((task) => task.status === 'rejected').map(({ reason }) => reason)
  expect(refused).toHaveLength(3)
  for (const reason of refused) {
    expect(reason).toBeInstanceOf(AppError)
    expect(reason).toMatchObject({ code: 'overloaded' })
    expect(reason.facts.retryAfterSeconds).toBeGreaterThanOrEqual(1)
  }
  expect(passwords.load).toBe(0)
  expect(await passwords.hash('correct horse')).toMatch(/^\$argon2id/)
})

test.each([
  ['1234567', 'too_short'],
  ['🐯'.repeat(7), 'too_short'],
  ['x'.repeat(257), 'too_long'],
  ['13800005223', 'is_phone_number'],
  ['+8613800005223', 'is_phone_number'],
] as const)('%s is refused: %s', (password, rule) => {
  expect(() => assertAcceptablePassword(password, phone)).toThrow(new AppError('password_refused', { rule }))
})

test.each([
  '🐯'.repeat(8),
  '        ',
  'aaaaaaaa',
  'x'.repeat(256),
  '老虎老虎老虎老虎',
])('%s is accepted: any character, no mixture', (password) => {
  expect(() => assertAcceptablePassword(password, phone)).not.toThrow()
})
