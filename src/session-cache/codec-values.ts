// Encodes and decodes the values of a cache entry (session-codec.ts). Each function throws a RangeError where
// a value cannot be encoded, and where bytes are not what the opposite function writes.
import { uuidBytes, uuidText } from '../ids.ts'

export const timeSize = 6
export const hashSize = 32
export const uuidSize = 16

/** A whole number of milliseconds since 1970 UTC, big-endian. */
export function timeBytes(time: number): Buffer {
  const bytes = Buffer.allocUnsafe(timeSize)
  bytes.writeUIntBE(time, 0, timeSize)
  return bytes
}

export function timeIn(bytes: Buffer, from: number, to: number): number {
  return bytes.readUIntBE(sized(timeSize, from, to), timeSize)
}

/** A SHA-256 that is given as base64url. */
export function hashBytes(text: string): Buffer {
  const bytes = Buffer.from(text, 'base64url')
  if (bytes.length !== hashSize || bytes.toString('base64url') !== text) throw new RangeError('no hash')
  return bytes
}

export function hashIn(bytes: Buffer, from: number, to: number): string {
  return bytes.toString('base64url', sized(hashSize, from, to), to)
}

/** A UUID in lower case. */
export function idBytes(text: string): Buffer {
  const bytes = uuidBytes(text)
  if (bytes === null) throw new RangeError('no UUID')
  return bytes
}

export function idIn(bytes: Buffer, from: number, to: number): string {
  return uuidText(bytes, sized(uuidSize, from, to))
}

/** A word of a closed list: one byte, its place in the list. */
export function wordBytes<T>(list: readonly T[], word: T): Buffer {
  const index = list.indexOf(word)
  if (index < 0) throw new RangeError('not in the list')
  return Buffer.of(index)
}

export function wordIn<T>(list: readonly T[], bytes: Buffer, from: number, to = from + 1): T {
  const word = list[bytes.readUInt8(sized(1, from, to))]
  if (word === undefined) throw new RangeError('not in the list')
  return word
}

/** LEB128: seven bits in a byte, the lowest first; the eighth says that more bytes follow. */
export function lengthBytes(length: number): Buffer {
  const bytes: number[] = []
  let rest = length
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push(128 + (rest % 128))
  return Buffer.of(...bytes, rest)
}

/** @returns the length, and the offset after it */
export function lengthAt(bytes: Buffer, from: number): readonly [length: number, at: number] {
  let length = 0
  for (let at = from, scale = 1; ; scale *= 128) {
    const byte = bytes.readUInt8(at++)
    length += (byte % 128) * scale
    if (byte < 128) return [length, at]
  }
}

function sized(size: number, from: number, to: number): number {
  if (to - from !== size) throw new RangeError(`${to - from} bytes in the place of ${size}`)
  return from
}
