import { expect, test } from 'vitest'
import { isWithinRights, judgeKey, type StoredKey } from './service-key.ts'

const now = Date.UTC(2026, 10, 22)
const hash = 'h'.repeat(43)
const previousHash = 'p'.repeat(43)
const from = { address: '10.1.2.3', now }
const plain: StoredKey = {
  id: 'abcdefghijkl',
  name: 'billing',
  scopes: ['introspect'],
  networks: [],
  createdAt: now - 1_000,
  createdBy: null,
  expiresAt: null,
  rotatedAt: null,
  previousUntil: null,
  revokedAt: null,
  lastUsedAt: null,
  secretHash: hash,
  previousHash: null,
}
const present = (text: string) => ({ id: plain.id, hash: text })

test('a key with the right secret is live, and with another one it is unknown', () => {
  expect(judgeKey(plain, present(hash), from)).toBe('live')
  for (const other of [previousHash, '', `${'h'.repeat(42)}i`])
    expect(judgeKey(plain, present(other), from)).toBe('unknown')
})

test('after a rotation both secrets are live until the time of the old one ends', () => {
  const rotated = { ...plain, previousHash, rotatedAt: now, previousUntil: now + 60_000 }
  const at = (text: string, when: number) => judgeKey(rotated, present(text), { ...from, now: when })
  expect(at(previousHash, now + 59_999)).toBe('live')
  expect(at(previousHash, now + 60_000)).toBe('unknown')
  expect(at(hash, now + 60_000)).toBe('live')
})

test('an expired or revoked key says so to its right secret alone', () => {
  const expired = { ...plain, expiresAt: now }
  const revoked = { ...expired, revokedAt: now - 1 }
  expect(judgeKey({ ...plain, expiresAt: now + 1 }, present(hash), from)).toBe('live')
  expect(judgeKey(expired, present(hash), from)).toBe('expired')
  expect(judgeKey(revoked, present(hash), from)).toBe('revoked')
  expect(judgeKey(expired, present(previousHash), from)).toBe('unknown')
  expect(judgeKey(revoked, present(previousHash), from)).toBe('unknown')
})

test('a key with networks is live in these only, and not for an unknown address', () => {
  const inside = { ...plain, networks: ['10.1.0.0/16', '2001:db8::/32'] }
  expect(judgeKey(inside, present(hash), from)).toBe('live')
  expect(judgeKey(inside, present(hash), { ...from, address: '::ffff:10.1.0.9' })).toBe('live')
  expect(judgeKey(inside, present(hash), { ...from, address: '2001:db8::1' })).toBe('live')
  expect(judgeKey(inside, present(hash), { ...from, address: '10.2.0.0' })).toBe('other_network')
  expect(judgeKey(inside, present(hash), { ...from, address: null })).toBe('other_network')
  expect(judgeKey(inside, present(previousHash), { ...from, address: '10.2.0.0' })).toBe('unknown')
})

const maker = {
  scopes: ['introspect', 'introspect:phone'],
  networks: ['10.0.0.0/8'],
  expiresAt: now,
} as const
const child = { scopes: ['introspect'], networks: ['10.1.0.0/16'], expiresAt: now - 1 } as const

test('a key has no more rights than its maker', () => {
  expect(isWithinRights(child, maker)).toBe(true)
  expect(isWithinRights(maker, maker)).toBe(true)
  expect(isWithinRights({ ...child, networks: [], expiresAt: null }, { ...maker, networks: [] })).toBe(false)
})

test.each([
  ['another scope', { ...child, scopes: ['introspect', 'introspect:reason'] as const }],
  ['another network', { ...child, networks: ['10.1.0.0/16', '11.0.0.0/8'] }],
  ['a wider network', { ...child, networks: ['0.0.0.0/0'] }],
  ['any network', { ...child, networks: [] }],
  ['a later end', { ...child, expiresAt: now + 1 }],
  ['no end', { ...child, expiresAt: null }],
])('%s is more than its maker has', (_name, rights) => {
  expect(isWithinRights(rights, maker)).toBe(false)
})
