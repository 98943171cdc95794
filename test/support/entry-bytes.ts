// Cache entries in the layouts of other versions, made from those of this version.
import { crc32 } from 'node:zlib'

/** The offset of an entry's tail, and its content (src/session-cache/session-codec.ts). */
const tailAt = 69
const checkSize = 4

export interface Field {
  readonly tag: number
  readonly value: Uint8Array
}

/**
 * An entry with one more field in its tail, after `place` of the existing fields (after all of them, if there
 * are fewer).
 */
export function withField(entry: Buffer, { tag, value }: Field, place = Infinity): Buffer {
  const end = entry.length - checkSize
  let at = tailAt
  // Fields in tests are shorter than 128 bytes, so a length takes one.
  for (let i = 0; i < place && at < end; i++) at += 2 + entry.readUInt8(at + 1)
  const field = Buffer.concat([Buffer.of(tag, value.length), value])
  return withCheck(Buffer.concat([entry.subarray(0, at), field, entry.subarray(at, end)]))
}

/** An entry of a writer that knows this many more critical tags than that of `entry`. */
export function withConditions(entry: Buffer, more: number): Buffer {
  const body = Buffer.from(entry.subarray(0, -checkSize))
  body.writeUInt8(body.readUInt8(1) + more, 1)
  return withCheck(body)
}

/** The bytes followed by their checksum. */
export function withCheck(body: Uint8Array): Buffer {
  const check = Buffer.alloc(checkSize)
  check.writeUInt32BE(crc32(body))
  return Buffer.concat([body, check])
}
