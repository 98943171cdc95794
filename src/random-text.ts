// Random text for secrets, nonces and ids.
import { randomBytes } from 'node:crypto'

/** Random bytes as base64url: 22 characters for 16 bytes, 43 for 32. */
export function randomText(byteCount: number): string {
  return randomBytes(byteCount).toString('base64url')
}
