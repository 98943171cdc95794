// Ids that sort by time: UUIDv7 (RFC 9562, section 5.7).
import { randomBytes } from 'node:crypto'

/** The 16 bytes of a UUIDv7 made at `now` (milliseconds since 1970 UTC). */
function uuid7(now: number): Buffer {
  const bytes = randomBytes(16)
  bytes.writeUIntBE(now, 0, 6)
  bytes[6] = 0x70 | (bytes.readUInt8(6) & 0x0f)
  bytes[8] = 0x80 | (bytes.readUInt8(8) & 0x3f)
  return bytes
}

/** An account's id: UUIDv7 text, 36 characters. */
export function newAccountId(now: number): string {
  return uuidText(uuid7(now))
}

/** The 16 bytes from an offset on as the text of a UUID (RFC 9562, section 4). */
export function uuidText(bytes: Buffer, from = 0): string {
  const hex = bytes.toString('hex', from, from + 16)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

/** The 16 bytes of a UUID in lower case (RFC 9562, section 4); null where the text is not a UUID. */
export function uuidBytes(text: string): Buffer | null {
  if (text.length !== 36) return null
  const bytes = Buffer.from(text.replaceAll('-', ''), 'hex')
  return bytes.length === 16 && uuidText(bytes) === text ? bytes : null
}

/**
 * The id of a session, an event or a pending end: UUIDv7 bytes in base64url, 22 characters, because a
 * session's id is part of every token and of every Redis key.
 */
export function newCompactId(now: number): string {
  return uuid7(now).toString('base64url')
}

/** The time when a session's id was made, in milliseconds since 1970 UTC. */
export function timeOfSessionId(id: string): number {
  return Buffer.from(id, 'base64url').readUIntBE(0, 6)
}
