import { expect, test } from 'vitest'
import { hashKeyText, issueKeyText, keyPattern, newKeyId, parseKeyText } from './key-text.ts'

test('a new key has 66 characters, names its id, and is parsed', () => {
  const id = newKeyId()
  const text = issueKeyText(id)
  expect(id).toMatch(/^[a-z0-9]{12}$/)
  expect(text).toHaveLength(66)
  expect(text).toMatch(keyPattern)
  expect(parseKeyText(text)).toEqual({ id, hash: hashKeyText(text) })
})

test('two keys with one id have different secrets', () => {
  expect(issueKeyText('abcdefghijkl')).not.toBe(issueKeyText('abcdefghijkl'))
})

test('every character of the alphabet occurs in secrets, about equally often', () => {
  const counts = new Map<string, number>()
  for (let i = 0; i < 500; i++)
    for (const one of issueKeyText('abcdefghijkl').slice(17, 60)) counts.set(one, (counts.get(one) ?? 0) + 1)
  expect(counts.size).toBe(62)
  const expected = (500 * 43) / 62
  for (const count of counts.values()) expect(Math.abs(count - expected)).toBeLessThan(expected / 2)
})

test('a key with another character at any place is refused without a lookup', () => {
  const text = issueKeyText(newKeyId())
  for (let at = 0; at < text.length; at++) {
    const other = text[at] === 'a' ? 'b' : 'a'
    expect(parseKeyText(text.slice(0, at) + other + text.slice(at + 1))).toBe(null)
  }
})

test.each([
  '',
  'hfk_',
  'hf_AaIECteufkixY4SP4NdkBQ',
  `${issueKeyText('abcdefghijkl')}\n`,
  'x'.repeat(1_000_000),
])('what is no key is refused: %.20s', (text) => {
  expect(parseKeyText(text)).toBe(null)
  expect(parseKeyText(issueKeyText('abcdefghijkl').slice(0, -1) + text)).toBe(null)
})

test('a known key: its checksum and its hash never change', () => {
  const text = `hfk_abcdefghijkl_${'0'.repeat(42)}12ig8LB`
  expect(parseKeyText(text)).toEqual({
    id: 'abcdefghijkl',
    hash: 'i4Q6K4In3fy4r5kV_mje0OSlUrM_NuVkMi7IFkt9WRo',
  })
})
