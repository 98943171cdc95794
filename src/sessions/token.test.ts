import { expect, test } from 'vitest'
import { newCompactId } from '../ids.ts'
import { randomText } from '../random-text.ts'
import { familyHashOf, hashToken, issueToken, sessionIdOf, successorOf } from './token.ts'

const id = newCompactId(Date.UTC(2026, 10, 22))
const token = issueToken(id)

test('a token names its session, has a prefix for secret scanners and stays under 100 characters', () => {
  expect(token).toMatch(/^hf_[\w-]{65}$/)
  expect(token.length).toBeLessThan(100)
  expect(sessionIdOf(token)).toBe(id)
})

test('two tokens of one session have nothing in common but its id', () => {
  expect(issueToken(id).slice(25)).not.toBe(token.slice(25))
})

test.each([
  ['nothing', ''],
  ['a truncated token', token.slice(0, -1)],
  ['a longer token', `${token}A`],
  ['another prefix', `xx_${token.slice(3)}`],
  ['an upper-cased token', token.toUpperCase()],
  ['a line break at the end', `${token.slice(0, -1)}\n`],
  ['something else', 'd41d8cd98f00b204e9800998ecf8427e'],
])('%s is no token of ours', (_name, text) => {
  expect(sessionIdOf(text)).toBeNull()
})

test('what is stored is the SHA-256 of the whole token', () => {
  // Known answer: printf abc | sha256sum, in base64url.
  expect(hashToken('abc')).toBe('ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0')
})

test('a successor is HMAC-SHA-256 of the nonce under the secret, behind the id and the family', () => {
  // Known answer, from Python's hmac: the secret is the bytes 0 to 31.
  const known = 'hf_AaIEC20HckenT4Gxh7XQvQAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8'
  expect(successorOf(known, 'AAECAwQFBgcICQoLDA0ODw')).toBe(
    'hf_AaIEC20HckenT4Gxh7XQvQAAECAwQFBgcICQoL5maWZ2P0ApHXHR7_pIT3ugBLjLY',
  )
})

test('a successor is a token of the same session and family, and needs the secret and the nonce', () => {
  const nonce = randomText(16)
  const successor = successorOf(token, nonce)
  expect(sessionIdOf(successor)).toBe(id)
  expect(familyHashOf(successor)).toBe(familyHashOf(token))
  expect(familyHashOf(issueToken(id))).not.toBe(familyHashOf(token))
  expect(successorOf(token, nonce)).toBe(successor)
  const own = (one: string) => one.slice(-27)
  expect(own(successorOf(token, randomText(16)))).not.toBe(own(successor))
  expect(own(successorOf(issueToken(id), nonce))).not.toBe(own(successor))
  expect(own(successorOf(successor, nonce))).not.toBe(own(successor))
})
