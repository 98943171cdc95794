import { hash } from '@node-rs/argon2'
import { expect, test } from 'vitest'
import { AppError } from '../errors.ts'
import { commonPasswords } from './common-passwords.ts'
import { assertAcceptablePassword, assertPossiblePassword, Passwords } from './password.ts'

const phone = '+8613800005223'

test('a password is stored as argon2id with at least 19 MiB and two passes, and verified', async () => {
  const passwords = new Passwords({ parallel: 2, queue: 10 })
  const phc = await passwords.hash('correct horse')
  expect(phc).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
  expect(await passwords.verify(phc, 'correct horse')).toBe(true)
  expect(await passwords.verify(phc, 'correct horsf')).toBe(false)
  expect(passwords.needsRehash(phc)).toBe(false)
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
  const passwords = new Passwords({ parallel: 1, queue: 2 })
  expect(passwords.needsRehash(await hash('x', { memoryCost: 8192, timeCost: 2, parallelism: 1 }))).toBe(true)
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
  ['e\u0301'.repeat(129), 'too_long'],
  ['13800005223', 'is_phone_number'],
  ['+8613800005223', 'is_phone_number'],
  ['138 0000 5223', 'is_phone_number'],
  ['１３８００００５２２３', 'is_phone_number'],
  ['32250000831', 'is_phone_number'],
] as const)('%s is refused: %s', (password, rule) => {
  expect(() => assertAcceptablePassword(password, phone)).toThrow(new AppError('password_refused', { rule }))
})

test('where weak passwords are allowed, one of 1 to 256 characters is possible', () => {
  for (const password of ['1', 'x'.repeat(256)]) expect(() => assertPossiblePassword(password)).not.toThrow()
  for (const [password, rule] of [
    ['', 'too_short'],
    ['x'.repeat(257), 'too_long'],
    ['e\u0301'.repeat(129), 'too_long'],
  ] as const)
    expect(() => assertPossiblePassword(password)).toThrow(new AppError('password_refused', { rule }))
})

/** Other spellings of the same word. */
const spellings: Record<string, (password: string) => string> = {
  'as it is': (password) => password,
  'in capitals': (password) => password.toUpperCase(),
  'in leet': (password) =>
    password.replace(
      /[aeilos]/g,
      (letter) => ({ a: '@', e: '3', i: '1', l: '1', o: '0', s: '$' })[letter] ?? letter,
    ),
  'from behind': (password) => [...password].reverse().join(''),
}

test.each(Object.entries(spellings))('every common password is refused %s', (_name, spell) => {
  expect(commonPasswords().length).toBeGreaterThan(10_000)
  const refused = new AppError('password_refused', { rule: 'is_common' })
  for (const password of commonPasswords())
    expect(() => assertAcceptablePassword(spell(password), phone), spell(password)).toThrow(refused)
})

test('the list has what our length lets through, and nothing twice', () => {
  expect(commonPasswords().filter((password) => [...password].length < 8)).toEqual([])
  expect(new Set(commonPasswords()).size).toBe(commonPasswords().length)
})

test.each([
  ...['woaini1314', 'woaini520', 'woaini123', 'aini1314', 'iloveyou1314', '5211314520', '520520520'],
  ...['zhangwei', 'wangwei123456', 'wangfang1990', '1988liwei', '123456zhang', 'zh4ngw31'],
  ...['66668888', '88888888', '147258369', 'a123456789', 'qq123456', 'abc123456', '123qweasd', '1q2w3e4r'],
])('%s is refused: people in China choose it', (password) => {
  expect(() => assertAcceptablePassword(password, phone)).toThrow(/password_refused/)
})

test.each([
  ...['aaaaaaaa', '        ', '🐯'.repeat(8), 'x'.repeat(256)],
  ...[
    '12345678901',
    '98765432',
    '89012345678901234',
    'qwertyuiop',
    'poiuytrewq',
    '1qaz2wsx3edc',
    'abcdefghij',
  ],
])('%s is refused: one character, or a run of them', (password) => {
  expect(() => assertAcceptablePassword(password, phone)).toThrow(/password_refused/)
})

test.each([
  ...['hufu2026', 'HUFU1234', 'hufuhufu', '虎符12345678', '2026-hufu', 'hufu@2026', '6202ufuh'],
])("%s is refused: the product's name with digits", (password) => {
  expect(() => assertAcceptablePassword(password, phone)).toThrow(/password_refused/)
})

test.each([
  'correct horse',
  'battery staple',
  'zhangwei likes tigers',
  'hufu is a tally',
  '83920174',
  'kfjwnqpa',
  '🐯🐅'.repeat(4),
  'xy'.repeat(128),
  '老虎老虎老虎老虎',
])('%s is accepted: any character, no mixture', (password) => {
  expect(() => assertAcceptablePassword(password, phone)).not.toThrow()
})
