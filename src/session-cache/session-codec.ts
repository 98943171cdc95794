// The bytes of a session's cache entry in Redis, layout 3. Servers of two versions share these entries during
// a rolling upgrade, so a field can be added without making an entry unreadable to the version before.
//
//   head    layout (1 byte), conditions (1), platform (1), createdAt (6), seenAt (6), expiresAt (6),
//           token hash (32), account id (16)
//   tail    fields in any order: tag (1), length (LEB128), bytes; an absent field takes no space
//   check   CRC-32 of everything before it (4)
//
// How to add a field:
// - A field that a reader may ignore gets a new tag below 128. A version that does not know the tag skips the
//   field.
// - A field without which a session must not be accepted (a ban, a key that the client has to prove) gets a
//   new tag from 128 on: it is critical. A version that does not know the tag does not use the entry and asks
//   the database. It also leaves the field out of the entries that it writes; `conditions` says how many
//   critical tags the writer knows, so a newer version does not use those.
// - A tag stays in the list for ever and is never given to another field.
import { crc32 } from 'node:zlib'
import { uuidBytes } from '../ids.ts'
import type { SignedInAccount } from '../sessions/account.ts'
import type { Ban } from '../sessions/account-state.ts'
import { endReasons } from '../sessions/end-reason.ts'
import { type Platform, platforms } from '../sessions/platform.ts'
import type { Ending, Session } from '../sessions/session.ts'
import type { PendingRotation } from '../sessions/token-status.ts'
import {
  hashBytes,
  hashIn,
  hashSize,
  idBytes,
  idIn,
  lengthAt,
  lengthBytes,
  timeBytes,
  timeIn,
  timeSize,
  uuidSize,
  wordBytes,
  wordIn,
} from './codec-values.ts'
import type { StoredSession } from './session-cache.ts'

/** The first byte of an entry. In the layout before this one it is 2. */
const layout = 3

const firstCriticalTag = 128
const tags = {
  phoneNumber: 1,
  nickname: 2,
  // A device id has one of three tags, because a UUID takes 16 bytes.
  deviceId: 3,
  deviceUuid: 4,
  deviceUpperCaseUuid: 5,
  deviceName: 6,
  appVersion: 7,
  ip: 8,
  endedByPlatform: 9,
  endedByDeviceName: 10,
  /** When the ban ends; no bytes: never. */
  ban: 128,
  closesAt: 129,
  tokenFamily: 130,
  /** The hash of the previous token, and the time of the rotation. */
  pendingRotation: 131,
  /** The reason and the time. */
  ending: 132,
} as const

/** How many critical tags this version knows. */
const conditions = Object.values(tags).filter((tag) => tag >= firstCriticalTag).length

/**
 * What an entry of this version begins with, as a number: layout * 256 + conditions. A newer version has a
 * greater one.
 */
export const entryFormat = layout * 256 + conditions

const platformAt = 2
const createdAtAt = 3
const seenAtAt = createdAtAt + timeSize
const expiresAtAt = seenAtAt + timeSize
const tokenHashAt = expiresAtAt + timeSize
const accountIdAt = tokenHashAt + hashSize
const headSize = accountIdAt + uuidSize
const checkSize = 4

/** The value of expiresAt for a session that never expires. */
const never = 2 ** (8 * timeSize) - 1

/** The fields of the tail; null: the field is absent. */
interface Tail {
  phoneNumber: string | null
  nickname: string | null
  deviceId: string | null
  deviceName: string | null
  appVersion: string | null
  ip: string | null
  ban: Ban | null
  closesAt: number | null
  tokenFamily: string | null
  pending: PendingRotation | null
  ending: Omit<Ending, 'by'> | null
  endedByPlatform: Platform | null
  endedByDeviceName: string | null
}

/** The fields that are UTF-8, readable in redis-cli. */
const textNames: {
  readonly [tag: number]:
    | 'phoneNumber'
    | 'nickname'
    | 'deviceId'
    | 'deviceName'
    | 'appVersion'
    | 'ip'
    | 'endedByDeviceName'
} = {
  [tags.phoneNumber]: 'phoneNumber',
  [tags.nickname]: 'nickname',
  [tags.deviceId]: 'deviceId',
  [tags.deviceName]: 'deviceName',
  [tags.appVersion]: 'appVersion',
  [tags.ip]: 'ip',
  [tags.endedByDeviceName]: 'endedByDeviceName',
}

/**
 * The bytes of a session's cache entry; null where the layout has no place for a value (a platform of a newer
 * version, a time before 1970). The session's id is not in the bytes: it is in the key.
 */
export function encodeSession(stored: StoredSession): Buffer | null {
  return withoutRangeError(() => {
    const bytes = Buffer.concat([...encodeHead(stored), ...encodeTail(stored), Buffer.alloc(checkSize)])
    const end = bytes.length - checkSize
    bytes.writeUInt32BE(crc32(bytes.subarray(0, end)), end)
    return bytes
  })
}

function encodeHead({ tokenHash, session, condition }: StoredSession): Buffer[] {
  // A condition needs a critical tag. Without one, a reader would accept the session's token alone.
  if (condition !== undefined) throw new RangeError('no tag for a condition')
  return [
    Buffer.of(layout, conditions),
    wordBytes(platforms, session.platform),
    timeBytes(session.createdAt),
    timeBytes(session.seenAt),
    timeBytes(session.expiresAt ?? never),
    hashBytes(tokenHash),
    idBytes(session.accountId),
  ]
}

function encodeTail({ session, account, rotation, ending }: StoredSession): Buffer[] {
  const parts: Buffer[] = []
  const put = (tag: number, ...values: Buffer[]) => {
    const length = values.reduce((sum, value) => sum + value.length, 0)
    parts.push(Buffer.of(tag), lengthBytes(length), ...values)
  }
  const putText = (tag: number, text: string | null | undefined) => {
    if (typeof text === 'string') put(tag, Buffer.from(text))
  }
  putText(tags.phoneNumber, account.phoneNumber)
  putText(tags.nickname, account.nickname)
  if (session.deviceId !== null) put(...deviceField(session.deviceId))
  putText(tags.deviceName, session.deviceName)
  putText(tags.appVersion, session.appVersion)
  putText(tags.ip, session.ip)
  const { ban, closesAt } = account
  if (ban) put(tags.ban, ...(ban.until === null ? [] : [timeBytes(ban.until)]))
  if (closesAt !== null) put(tags.closesAt, timeBytes(closesAt))
  const pending = rotation?.pending
  if (rotation) put(tags.tokenFamily, hashBytes(rotation.familyHash))
  if (pending) put(tags.pendingRotation, hashBytes(pending.previousHash), timeBytes(pending.rotatedAt))
  if (ending) put(tags.ending, wordBytes(endReasons, ending.reason), timeBytes(ending.at))
  if (ending?.by) put(tags.endedByPlatform, wordBytes(platforms, ending.by.platform))
  putText(tags.endedByDeviceName, ending?.by?.deviceName)
  return parts
}

function deviceField(id: string): [tag: number, value: Buffer] {
  const uuid = uuidBytes(id)
  if (uuid) return [tags.deviceUuid, uuid]
  const lowerCase = id.toLowerCase()
  const upperCaseUuid = lowerCase.toUpperCase() === id ? uuidBytes(lowerCase) : null
  return upperCaseUuid ? [tags.deviceUpperCaseUuid, upperCaseUuid] : [tags.deviceId, Buffer.from(id)]
}

/**
 * Decodes the cache entry of the session with this id. null: this version must not use the bytes, and the
 * caller must read the database. Never throws.
 */
export function decodeSession(id: string, bytes: Buffer): StoredSession | null {
  const end = bytes.length - checkSize
  if (end < headSize || bytes[0] !== layout || bytes.readUInt8(1) < conditions) return null
  if (crc32(bytes.subarray(0, end)) !== bytes.readUInt32BE(end)) return null
  return withoutRangeError(() => {
    const tail = decodeTail(bytes, end)
    return tail && storedSessionOf(id, bytes, tail)
  })
}

function storedSessionOf(id: string, bytes: Buffer, tail: Tail): StoredSession | null {
  const accountId = idIn(bytes, accountIdAt, headSize)
  const account = accountOf(accountId, tail)
  const { tokenFamily: familyHash, pending, ending, endedByPlatform: platform } = tail
  if (account === null || (pending !== null && familyHash === null)) return null
  const by = platform === null ? null : { platform, deviceName: tail.endedByDeviceName }
  return {
    tokenHash: hashIn(bytes, tokenHashAt, accountIdAt),
    session: sessionOf(id, accountId, bytes, tail),
    account,
    rotation: familyHash === null ? null : { familyHash, pending },
    ending: ending && { reason: ending.reason, at: ending.at, by },
  }
}

function sessionOf(id: string, accountId: string, bytes: Buffer, tail: Tail): Session {
  const { deviceId, deviceName, appVersion, ip } = tail
  const createdAt = timeIn(bytes, createdAtAt, seenAtAt)
  const seenAt = timeIn(bytes, seenAtAt, expiresAtAt)
  const end = timeIn(bytes, expiresAtAt, tokenHashAt)
  return {
    id,
    accountId,
    platform: wordIn(platforms, bytes, platformAt),
    deviceId,
    deviceName,
    appVersion,
    ip,
    createdAt,
    seenAt,
    expiresAt: end === never ? null : end,
  }
}

function accountOf(id: string, { phoneNumber, nickname, ban, closesAt }: Tail): SignedInAccount {
  return { id, phoneNumber, nickname, ban, closesAt }
}

/** The fields between the head and `end`; null where one is critical and unknown. @throws RangeError */
function decodeTail(bytes: Buffer, end: number): Tail | null {
  const tail: Tail = {
    phoneNumber: null,
    nickname: null,
    deviceId: null,
    deviceName: null,
    appVersion: null,
    ip: null,
    ban: null,
    closesAt: null,
    tokenFamily: null,
    pending: null,
    ending: null,
    endedByPlatform: null,
    endedByDeviceName: null,
  }
  for (let at = headSize; at < end; ) {
    const tag = bytes.readUInt8(at)
    const [length, from] = lengthAt(bytes, at + 1)
    at = from + length
    if (at > end) throw new RangeError('a field is cut off')
    const isKnown = decodeText(tail, tag, bytes, from, at) || decodeField(tail, tag, bytes, from, at)
    if (!isKnown && tag >= firstCriticalTag) return null
  }
  return tail
}

/** Sets the field where it is a known text. */
function decodeText(tail: Tail, tag: number, bytes: Buffer, from: number, to: number): boolean {
  const name = textNames[tag]
  if (name === undefined) return false
  tail[name] = bytes.toString('utf8', from, to)
  return true
}

/** Sets any other known field. @throws RangeError where the bytes are not what the field holds */
function decodeField(tail: Tail, tag: number, bytes: Buffer, from: number, to: number): boolean {
  switch (tag) {
    case tags.deviceUuid:
      tail.deviceId = idIn(bytes, from, to)
      return true
    case tags.deviceUpperCaseUuid:
      tail.deviceId = idIn(bytes, from, to).toUpperCase()
      return true
    case tags.ban:
      tail.ban = { until: from === to ? null : timeIn(bytes, from, to) }
      return true
    case tags.closesAt:
      tail.closesAt = timeIn(bytes, from, to)
      return true
    case tags.tokenFamily:
      tail.tokenFamily = hashIn(bytes, from, to)
      return true
    case tags.pendingRotation: {
      const at = from + hashSize
      tail.pending = { previousHash: hashIn(bytes, from, at), rotatedAt: timeIn(bytes, at, to) }
      return true
    }
    case tags.ending:
      tail.ending = { reason: wordIn(endReasons, bytes, from), at: timeIn(bytes, from + 1, to) }
      return true
    case tags.endedByPlatform:
      tail.endedByPlatform = wordIn(platforms, bytes, from, to)
      return true
    default:
      return false
  }
}

function withoutRangeError<T>(work: () => T): T | null {
  try {
    return work()
  } catch (error) {
    if (error instanceof RangeError) return null
    throw error
  }
}
