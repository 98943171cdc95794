// The secret that proves a session: `hf_` + session id (22) + 256 random bits (43), base64url, 68 characters.
// A successor keeps the id and the first 96 of these bits, its family; the other 160 are its own.
import { createHmac, hash } from 'node:crypto'
import { randomText } from '../random-text.ts'

const shape = /^hf_[A-Za-z0-9_-]{65}$/
/** Where the secret begins, and where its family (16 characters) ends. */
const secretAt = 25
const ownAt = 41
const ownBytes = 20

/** Whether a text can be the id of a session. */
export function isSessionId(text: string): boolean {
  return /^[\w-]{22}$/.test(text)
}

/** A new token for the session with this id. It is shown once and never stored. */
export function issueToken(sessionId: string): string {
  return `hf_${sessionId}${randomText(32)}`
}

/** The session id inside a token, or null where the text cannot be a Hufu token. */
export function sessionIdOf(token: string): string | null {
  return shape.test(token) ? token.slice(3, 25) : null
}

/**
 * The successor of this token: HMAC-SHA-256 (RFC 2104) of the nonce (128 random bits), keyed with this
 * token's secret. The nonce and the stored hashes alone are not enough to compute it; the same token always
 * gets the same successor.
 */
export function successorOf(token: string, nonce: string): string {
  const secret = Buffer.from(token.slice(secretAt), 'base64url')
  const own = createHmac('sha256', secret).update(nonce).digest().subarray(0, ownBytes)
  return token.slice(0, ownAt) + own.toString('base64url')
}

/**
 * What is stored of the part that a token shares with all its successors: SHA-256, base64url, 43 characters.
 */
export function familyHashOf(token: string): string {
  return hash('sha256', token.slice(0, ownAt), 'base64url')
}

/** What is stored of a token: its SHA-256, base64url, 43 characters. */
export function hashToken(token: string): string {
  return hash('sha256', token, 'base64url')
}
