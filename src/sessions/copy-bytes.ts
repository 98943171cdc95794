// A copy as bytes. A million sessions are a million of these in the memory of Redis: as JSON they took three times as much.
// Texts that people know (number, names, address) stay readable in redis-cli.
import { type EndReason, endReasons, type Platform, platforms } from '../db/schema.ts'
import { uuidText } from '../ids.ts'
import type { Ban } from './account-state.ts'
import type { SessionCopy } from './copies.ts'
import type { Ending, Session, SignedInAccount } from './session.ts'
import type { PendingRotation, Rotation } from './token-standing.ts'

/** First byte of the layout below; another one is another layout, and no copy to us. */
const layout = 2

/** What a text is, and how it is packed: each way gives back the very same text. */
const ways = [
  { shape: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, size: 16, pack: unhex, unpack: uuidText },
  {
    shape: /^[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$/,
    size: 16,
    pack: unhex,
    unpack: (bytes: Buffer) => uuidText(bytes).toUpperCase(),
  },
  {
    // 43 characters carry 2 bits more than 32 bytes: in the last one they are zero.
    shape: /^[\w-]{42}[AEIMQUYcgkosw048]$/,
    size: 32,
    pack: (text: string) => Buffer.from(text, 'base64url'),
    unpack: (bytes: Buffer) => bytes.toString('base64url'),
  },
] as const

/** The head of a text: null, one of the ways, or the length of its UTF-8 behind these. */
const plainFrom = ways.length + 1

/**
 * The bytes of a copy; null where it says what this version does not know (a platform that a newer one has written). A
 * session's id is not in them: it is the name under which they stand.
 */
export function packCopy(copy: SessionCopy): Buffer | null {
  return inRange(() => packed(copy))
}

function packed({ tokenHash, session, account, ending, rotation }: SessionCopy): Buffer {
  const out = new Packer()
  out.number(layout)
  out.text(tokenHash)
  out.text(session.accountId)
  out.number(platforms.indexOf(session.platform))
  out.text(session.deviceId)
  out.text(session.deviceName)
  out.text(session.appVersion)
  out.text(session.ip)
  out.number(session.createdAt)
  out.number(session.seenAt)
  out.optional(session.expiresAt)
  out.text(account.phoneNumber)
  out.text(account.nickname)
  out.number(account.ban === null ? 0 : account.ban.until === null ? 1 : 2)
  if (account.ban !== null && account.ban.until !== null) out.number(account.ban.until)
  out.optional(account.closesAt)
  out.text(rotation?.familyHash ?? null)
  out.text(rotation?.pending?.previousHash ?? null)
  out.number(rotation?.pending?.rotatedAt ?? 0)
  if (ending) packEnding(out, ending)
  return out.bytes()
}

function packEnding(out: Packer, { reason, at, by }: Ending): void {
  out.number(endReasons.indexOf(reason))
  out.number(at)
  out.optional(by && platforms.indexOf(by.platform))
  out.text(by?.deviceName ?? null)
}

/** The copy of the session with this id, or null where the bytes are not one. */
export function unpackCopy(id: string, bytes: Buffer): SessionCopy | null {
  return inRange(() => unpacked(id, new Unpacker(bytes)))
}

function unpacked(id: string, from: Unpacker): SessionCopy | null {
  if (from.number() !== layout) return null
  const tokenHash = from.someText()
  const session = unpackSession(id, from)
  const account = unpackAccount(session.accountId, from)
  const rotation = unpackRotation(from)
  const ending = from.isAtEnd() ? null : unpackEnding(from)
  return from.isAtEnd() ? { tokenHash, session, account, rotation, ending } : null
}

function inRange<T>(work: () => T): T | null {
  try {
    return work()
  } catch (error) {
    if (error instanceof RangeError) return null
    throw error
  }
}

function unpackSession(id: string, from: Unpacker): Session {
  return {
    id,
    accountId: from.someText(),
    platform: oneOf<Platform>(platforms, from.number()),
    deviceId: from.text(),
    deviceName: from.text(),
    appVersion: from.text(),
    ip: from.text(),
    createdAt: from.number(),
    seenAt: from.number(),
    expiresAt: from.optional(),
  }
}

function unpackAccount(id: string, from: Unpacker): SignedInAccount {
  return {
    id,
    phoneNumber: from.someText(),
    nickname: from.text(),
    ban: unpackBan(from),
    closesAt: from.optional(),
  }
}

/** 0: no ban, 1: one for ever, 2: one until the time behind it. */
function unpackBan(from: Unpacker): Ban | null {
  const kind = from.number()
  if (kind > 2) throw new RangeError('not one of ours')
  return kind === 0 ? null : { until: kind === 1 ? null : from.number() }
}

function unpackRotation(from: Unpacker): Rotation | null {
  const familyHash = from.text()
  const previousHash = from.text()
  const rotatedAt = from.number()
  const pending: PendingRotation | null = previousHash === null ? null : { previousHash, rotatedAt }
  return familyHash === null ? null : { familyHash, pending }
}

function unpackEnding(from: Unpacker): Ending {
  const reason = oneOf<EndReason>(endReasons, from.number())
  const at = from.number()
  const platform = from.optional()
  const deviceName = from.text()
  return { reason, at, by: platform === null ? null : { platform: oneOf(platforms, platform), deviceName } }
}

function oneOf<T>(list: readonly T[], index: number): T {
  const value = list[index]
  if (value === undefined) throw new RangeError('not one of ours')
  return value
}

/** Numbers are LEB128: seven bits in a byte, the lowest first, the eighth says that more follow. */
class Packer {
  readonly #parts: Buffer[] = []

  /** @param value a whole number, 0 to 2^53 */
  number(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} has no place in a copy`)
    const bytes: number[] = []
    let rest = value
    for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push(128 + (rest % 128))
    bytes.push(rest)
    this.#parts.push(Buffer.from(bytes))
  }

  optional(value: number | null): void {
    this.number(value === null ? 0 : value + 1)
  }

  text(text: string | null): void {
    if (text === null) this.number(0)
    else this.#someText(text)
  }

  #someText(text: string): void {
    const way = ways.findIndex(({ shape }) => shape.test(text))
    const bytes = ways[way]?.pack(text) ?? Buffer.from(text)
    this.number(way >= 0 ? way + 1 : plainFrom + bytes.length)
    this.#parts.push(bytes)
  }

  bytes(): Buffer {
    return Buffer.concat(this.#parts)
  }
}

/** Reads what a Packer wrote. @throws RangeError where the bytes cannot be that */
class Unpacker {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  isAtEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  number(): number {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = this.#bytes.readUInt8(this.#at++)
      value += (byte % 128) * scale
      if (!Number.isSafeInteger(value)) throw new RangeError('too large a number')
      if (byte < 128) return value
    }
  }

  optional(): number | null {
    const value = this.number()
    return value === 0 ? null : value - 1
  }

  text(): string | null {
    const head = this.number()
    if (head === 0) return null
    const way = ways[head - 1]
    if (way) return way.unpack(this.#take(way.size))
    return this.#take(head - plainFrom).toString()
  }

  someText(): string {
    const text = this.text()
    if (text === null) throw new RangeError('a text is missing')
    return text
  }

  #take(size: number): Buffer {
    const end = this.#at + size
    if (end > this.#bytes.length) throw new RangeError('cut off')
    const taken = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return taken
  }
}

function unhex(text: string): Buffer {
  return Buffer.from(text.replaceAll('-', ''), 'hex')
}
