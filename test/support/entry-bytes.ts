// Bytes of cache entries as another version writes them, made out of those of this version.
import { crc32 } from 'node:zlib'

/** Where the tail of an entry begins, and what stands behind it (src/session-cache/session-codec.ts). */
const tailAt = 69
const checkSize = 4

export interface Field {
  readonly tag: number
  readonly value: Uint8Array
}

/**
 * An entry with one more field in its tail, behind `place` of the fields that are there (all of them, where
 * there are fewer).
 */
export function withField(entry: Buffer, { tag, value }: Field, place = Infinity): Buffer {
  const end = entry.length - checkSize
  let at = tailAt
  // Fields in tests are shorter than 128 bytes, so a length takes one.
  for (let i = 0; i < place && at < end; i++) at += 2 + entry.readUInt8(at + 1)
  const field = Buffer.concat([Buffer.of(tag, value.length), value])
  return withCheck(Buffer.concat([entry.subarray(0, at), field, entry.subarray(at, end)]))
}

/** An entry whose writer knows so many critical tags more than that of `entry`. */
export function withConditions(entry: Buffer, more: number): Buffer {
  const body = Buffer.from(entry.subarray(0, -checkSize))
  body.writeUInt8(body.readUInt8(1) + more, 1)
  return withCheck(body)
}

/** The bytes with a right check behind them. */
export function withCheck(body: Uint8Array): Buffer {
  const check = Buffer.alloc(checkSize)
  check.writeUInt32BE(crc32(body))
  return Buffer.concat([body, check])
}
