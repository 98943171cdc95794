// The secret that proves a session: `hf_` + session id (22) + 256 random bits (43), base64url, 68 characters.
import { hash, randomBytes, timingSafeEqual } from 'node:crypto'

const shape = /^hf_[A-Za-z0-9_-]{65}$/

/** Whether a text can be the id of a session. */
export function isSessionId(text: string): boolean {
  return /^[\w-]{22}$/.test(text)
}

/** A new token for the session with this id. It is shown once and never stored. */
export function issueToken(sessionId: string): string {
  return `hf_${sessionId}${randomBytes(32).toString('base64url')}`
}

/** The session id inside a token, or null where the text cannot be a token of ours. */
export function sessionIdOf(token: string): string | null {
  return shape.test(token) ? token.slice(3, 25) : null
}

/** What is stored of a token: its SHA-256, base64url, 43 characters. */
export function hashToken(token: string): string {
  return hash('sha256', token, 'base64url')
}

/** Compares two stored hashes in constant time. */
export function sameHash(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a, 'latin1'), Buffer.from(b, 'latin1'))
}
