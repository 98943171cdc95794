// What a transaction can change of an account and its sessions, and the SQL that writes it. account-writer.ts
// runs it.

import type { Database } from '../database/schema.ts'
import { WriteBatch } from '../database/write-batch.ts'
import { type NewEvent, type RequestOrigin, recordEnds, recordEvents } from '../events/events.ts'
import { type AccountChanges, type StoredAccount, toSignedInAccount } from './account.ts'
import {
  deleteDeviceProofsOf,
  deleteDeviceProofsOfSession,
  deleteDeviceProofsWithoutSession,
} from './device-proof-rows.ts'
import { keepDeviceProof } from './device-proofs.ts'
import type { EndReason } from './end-reason.ts'
import { deleteAccount, updateLockedAccount } from './locked-account-rows.ts'
import type { LockedSessions } from './locked-sessions.ts'
import { endAtOnce } from './pending-ends.ts'
import type { Ending, Session, StoredSession } from './session.ts'
import { findSessions, insertSession } from './session-rows.ts'
import { type RepeatableSignIn, replaceUnusedToken } from './sign-in-repeat-rows.ts'
import { retirePreviousToken, rotateToken, type TokenRotation } from './token-rows.ts'
import type { Rotation } from './token-status.ts'

/** What one transaction changes. A part that is absent stays as it is. */
export interface Change {
  /** What changes of the account itself; null: it is removed, with everything that belongs to it. */
  readonly set?: AccountChanges | null
  /** A session that begins. */
  readonly start?: NewSession
  /** Sessions that end. They are recorded as ended by the new session, or else by the caller. */
  readonly end?: SessionsEnd
  /** A change of a session's token. */
  readonly token?: TokenChange
  /** Gives the client of a session a device proof; `presented` is the hash of a valid proof that it sent. */
  readonly deviceProof?: {
    readonly session: Session
    readonly presented: string | null
    readonly text?: string
  }
  /** Sessions whose cache entries are replaced although the sessions do not change. */
  readonly refresh?: readonly string[]
  /** Events in addition to those of the sessions that end. */
  readonly events?: readonly NewEvent[]
}

interface NewSession {
  readonly session: Session
  readonly tokenHash: string
  /** null: the sign-in cannot be repeated. */
  readonly repeatable: RepeatableSignIn | null
}

interface SessionsEnd {
  /** These sessions, or all live sessions of the account but one. */
  readonly which: readonly string[] | { readonly allBut: string | null }
  readonly reason: EndReason
}

type TokenChange =
  /** The token gets a successor. */
  | { readonly is: 'rotated'; readonly to: TokenRotation }
  /** The successor is in use, so the previous token is retired. */
  | { readonly is: 'confirmed'; readonly id: string; readonly tokenHash: string }
  /** A sign-in is repeated, and its unused token is replaced. */
  | { readonly is: 'reissued'; readonly id: string; readonly to: RepeatableSignIn }

/**
 * Above this number, cache entries are not invalidated one by one: servers learn of the change through the
 * feed alone, which takes a second. The sessions do not end one by one either: one row ends all of them
 * (pending-ends.ts).
 */
const invalidatedAtOnce = 1_000
/** Above this number, one statement records all ends. */
const recordedAtOnce = 50
/** Reasons that do not suggest a change of hands: the device proofs stay. */
const keepsDevice: ReadonlySet<EndReason> = new Set(['signed_out', 'replaced'])

/** The sessions that a change affects, read before it is written. */
export interface Affected {
  /** The sessions whose cache entries become outdated. */
  readonly ids: readonly string[]
  /** There are too many to invalidate one by one. */
  readonly isMany: boolean
  /** The sessions that end. */
  readonly ended: readonly string[]
  /**
   * The sessions that stay, where one row ends all others because they are very many (pending-ends.ts); null:
   * this transaction writes each end.
   */
  readonly kept: readonly string[] | null
  /**
   * Whether the change goes into the feed: it makes cache entries or the cached account outdated. A new
   * session alone does not.
   */
  readonly needsFeed: boolean
}

/** Reads which sessions a change affects. */
export async function affectedBy(
  sessions: LockedSessions,
  { set, end, token, refresh = [] }: Change,
): Promise<Affected> {
  const endsAll = end !== undefined && 'allBut' in end.which
  // All ids are needed only where all sessions end. To know that there are many, one more than the limit is
  // enough.
  const limit = endsAll ? null : invalidatedAtOnce + 1
  const live = endsAll || set !== undefined ? await sessions.listIds(limit) : []
  const ended = end ? endedBy(end, live) : []
  const ids = [
    ...new Set([...(set === undefined ? [] : live), ...ended, ...tokenSessions(token), ...refresh]),
  ]
  const needsFeed = set !== undefined || end !== undefined || ids.length > 0
  const affected = { ids, isMany: ids.length > invalidatedAtOnce, ended, needsFeed }
  if (ended.length <= invalidatedAtOnce) return { ...affected, kept: null }
  const all = endsAll ? live : await sessions.listIds(null)
  return { ...affected, kept: keptBeside(ended, all) }
}

/** The live sessions that do not end; null where these are very many too. */
function keptBeside(ended: readonly string[], live: readonly string[]): string[] | null {
  const ends = new Set(ended)
  const kept = live.filter((id) => !ends.has(id))
  return kept.length > invalidatedAtOnce ? null : kept
}

function endedBy({ which }: SessionsEnd, live: readonly string[]): readonly string[] {
  return 'allBut' in which ? live.filter((id) => id !== which.allBut) : which
}

function tokenSessions(token: TokenChange | undefined): string[] {
  if (!token) return []
  return [token.is === 'rotated' ? token.to.id : token.id]
}

export interface Work {
  readonly account: StoredAccount
  readonly change: Change
  readonly now: number
  readonly origin: RequestOrigin
  /** The sessions that end. */
  readonly ended: readonly string[]
  /** `kept` of `Affected`. */
  readonly kept: readonly string[] | null
  /** The session that requested the ends; null: an operator, or the server itself. */
  readonly ender: string | null
}

/** A change that is written, except for its row in the feed. */
export interface Applied {
  readonly account: StoredAccount | null
  /** The cache entry of the session that began; null: none began. */
  readonly entry: StoredSession | null
  readonly deviceProof: string | null
  /** Writes that are still to be sent. */
  readonly writes: WriteBatch
}

/** Writes a change. */
export async function apply(tx: Database, work: Work): Promise<Applied> {
  const { account: before, change, now, origin, kept, ender } = work
  const { start, end, token } = change
  const writes = new WriteBatch(tx)
  // Before the insert of the new session, which must not end.
  if (change.set !== null && end && kept)
    await endAtOnce(tx, before.id, { at: now, reason: end.reason, by: ender, origin, kept })
  const account = await writeAccount(writes.db, work)
  if (start) await insertSession(writes.db, start.session, start.tokenHash, start.repeatable)
  if (token) await writeToken(writes.db, token)
  const deviceProof = account && (await writeDeviceProofs(tx, writes, { before, account, change, now }))
  await record(writes.db, work)
  const entry = start && account ? entryOf(start, account) : null
  return { account, entry, deviceProof, writes }
}

/** Writes the account's row and the ends of its sessions. */
async function writeAccount(
  tx: Database,
  { account, change: { set, end }, now, ended, kept, ender: by }: Work,
): Promise<StoredAccount | null> {
  if (set === null) {
    await deleteAccount(tx, account.id)
    return null
  }
  const ends = end && !kept ? { ids: ended, at: now, reason: end.reason, by } : null
  return await updateLockedAccount(tx, account, { set: set ?? {}, end: ends, now })
}

async function writeToken(tx: Database, token: TokenChange): Promise<void> {
  switch (token.is) {
    case 'rotated':
      return await rotateToken(tx, token.to)
    case 'confirmed':
      return await retirePreviousToken(tx, token)
    case 'reissued':
      return await replaceUnusedToken(tx, token.id, token.to)
  }
}

/** Deletes the device proofs that end with their sessions, and makes one for a client that wants one. */
async function writeDeviceProofs(
  tx: Database,
  writes: WriteBatch,
  parts: {
    readonly before: StoredAccount
    readonly account: StoredAccount
    readonly change: Change
    readonly now: number
  },
): Promise<string | null> {
  const { before, account, now } = parts
  const { end, token, deviceProof: wanted } = parts.change
  if (end && 'allBut' in end.which) {
    // All other holders of a proof lose it. A proof is bound to a number: when the account changes its
    // number, even the proof of the kept session is useless.
    const leavesNumber = account.phoneNumber !== before.phoneNumber
    await deleteDeviceProofsOf(writes.db, account.id, leavesNumber ? null : end.which.allBut)
  } else if (end && !keepsDevice.has(end.reason)) {
    // The device may be in other hands. Its proofs from earlier sign-ins belong to ended sessions;
    // these are in no list, so no client could remove them one by one.
    await writes.send()
    await deleteDeviceProofsWithoutSession(tx, account.id, now)
  }
  if (!wanted) return null
  await writes.send()
  const { session, presented, text } = wanted
  // A client that repeats its sign-in without a proof has not received the first answer, which contained one.
  if (token?.is === 'reissued' && presented === null)
    await deleteDeviceProofsOfSession(tx, account.id, session.id)
  // A proof is bound to a number.
  const { phoneNumber } = account
  return phoneNumber === null
    ? null
    : await keepDeviceProof(tx, presented, { session, phoneNumber, ...(text !== undefined && { text }) })
}

async function record(
  tx: Database,
  { account, change: { end, events = [] }, now, origin, ended, kept, ender: by }: Work,
): Promise<void> {
  if (kept) return await recordEvents(tx, now, origin, events)
  const isFew = ended.length <= recordedAtOnce
  const detail = end && { reason: end.reason, by }
  const ends = isFew && detail ? ended.map((id) => sessionEnded(account.id, id, detail)) : []
  await recordEvents(tx, now, origin, [...events, ...ends])
  if (!isFew && detail) await recordEnds(tx, now, origin, { ids: ended, detail })
}

function sessionEnded(
  accountId: string,
  sessionId: string,
  detail: NonNullable<NewEvent['detail']>,
): NewEvent {
  return { accountId, sessionId, kind: 'session_ended', detail }
}

/**
 * The cache entries of sessions as a change leaves them, where all that they contain was read under the lock;
 * otherwise they are read once more.
 */
export async function entriesAfter(
  tx: Database,
  sessions: LockedSessions,
  {
    work,
    ids,
    account,
  }: { readonly work: Work; readonly ids: readonly string[]; readonly account: StoredAccount },
): Promise<StoredSession[]> {
  const { change, now, ended } = work
  const before = change.token ? null : sessions.known(ids)
  const by = enderOf(work, sessions)
  if (before === null || by === undefined) return await findSessions(tx, ids)
  const ends = new Set(ended)
  const end = change.end && { reason: change.end.reason, at: now, by }
  return before.map((one) => ({
    ...one,
    account: toSignedInAccount(account),
    ending: end && ends.has(one.session.id) ? end : null,
  }))
}

/** The device that ends sessions; null: none does; undefined: it was not read. */
function enderOf({ change: { start }, ender }: Work, sessions: LockedSessions): Ending['by'] | undefined {
  if (ender === null) return null
  const session = start?.session ?? sessions.known([ender])?.[0]?.session
  return session && { platform: session.platform, deviceName: session.deviceName }
}

/** The stored form of a session that begins in this transaction. */
function entryOf({ session, tokenHash, repeatable }: NewSession, account: StoredAccount): StoredSession {
  return {
    session,
    account: toSignedInAccount(account),
    tokenHash,
    ending: null,
    rotation: repeatable && rotationOf(repeatable),
  }
}

/** The first use of this token has to be written, like the first use of a successor. */
function rotationOf({ familyHash, fingerprint, at }: RepeatableSignIn): Rotation {
  return { familyHash, pending: { previousHash: fingerprint, rotatedAt: at } }
}
