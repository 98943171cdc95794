// A sign-in whose answer was lost can be repeated, with a key that the client chose before the first try: the
// client gets the same session and token again. docs/tokens.md says why no request gets a token that was
// used.
import { hash } from 'node:crypto'
import type { Device } from './sessions.ts'

/** For how long after the first try. */
export const repeatableMs = 120_000

/** For how long after the first try a key creates no second session. */
export const keyRememberedMs = 3_600_000

/** What a key looks like: 128 random bits, base64url. */
export const idempotencyKeyPattern = '^[A-Za-z0-9_-]{22}$'

/** All that must be equal in a sign-in and its repeat. */
export interface KeyedSignIn {
  /** 128 random bits, which an attacker cannot guess. */
  readonly key: string
  /** E.164. */
  readonly phoneNumber: string
  /** The name of the sign-in method. */
  readonly method: string
  /** Its address may differ: a phone that lost its network comes back by another one. */
  readonly device: Device
  /**
   * The one-time code; null for a method without one. A password is not in the hash, because an attacker with
   * the database and a key could try passwords against it faster than against argon2. The repeat verifies the
   * password itself, and a changed password ends the session.
   */
  readonly code: string | null
}

/**
 * What is stored of a keyed sign-in: SHA-256, base64url, 43 characters. The key makes it impossible to guess
 * the code or the number from it. The text begins with a bracket, so that it is no token: both kinds of
 * hashes are in one column.
 */
export function fingerprintOf({ key, phoneNumber, method, device, code }: KeyedSignIn): string {
  const { platform, deviceId, deviceName, appVersion } = device
  const parts = ['sign_in', key, phoneNumber, method, platform, deviceId, deviceName, appVersion, code]
  return hash('sha256', JSON.stringify(parts), 'base64url')
}
