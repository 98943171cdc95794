import { expect, test } from 'vitest'
import { randomText } from '../random-text.ts'
import { keyOfSecret } from '../signing-keys/stored-key.ts'
import { codeOf } from './code-digits.ts'

const key = keyOfSecret('x'.repeat(32))
const about = { phoneNumber: '+8613800005223', purpose: 'sign_in', nonce: randomText(32) } as const

test('a code is six digits, the same each time, and another one for another key, number, purpose or nonce', () => {
  const code = codeOf(key, about)
  expect(code).toMatch(/^\d{6}$/)
  expect(codeOf(key, about)).toBe(code)
  // Two codes are equal by chance once in a million; five pairs are not all equal.
  const others = [
    (nonce: string) => codeOf(keyOfSecret('y'.repeat(32)), { ...about, nonce }),
    (nonce: string) => codeOf(key, { ...about, nonce, phoneNumber: '+8613800005224' }),
    (nonce: string) => codeOf(key, { ...about, nonce, purpose: 'confirm' }),
  ]
  const nonces = Array.from({ length: 5 }, () => randomText(32))
  for (const other of others) {
    expect(nonces.every((nonce) => other(nonce) === codeOf(key, { ...about, nonce }))).toBe(false)
  }
  expect(new Set(nonces.map((nonce) => codeOf(key, { ...about, nonce }))).size).toBeGreaterThan(1)
})

test('every digit is as likely as any other, in every place', () => {
  const rounds = 60_000
  const counts = Array.from({ length: 6 }, () => new Array<number>(10).fill(0))
  for (let i = 0; i < rounds; i++) {
    const code = codeOf(key, { ...about, nonce: String(i) })
    for (const [place, digit] of [...code].entries()) {
      const row = counts[place] ?? expect.fail('six places')
      row[Number(digit)] = (row[Number(digit)] ?? 0) + 1
    }
  }
  for (const row of counts) {
    const expected = rounds / 10
    const chiSquare = row.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
    // 9 degrees of freedom; the nonces are fixed, so this cannot fail by chance from run to run.
    expect(chiSquare).toBeLessThan(30)
  }
})
