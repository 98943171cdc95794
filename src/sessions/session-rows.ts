// Sessions in SQL: found by their ids, inserted, ended and deleted. No policy here.
import type { InferResult } from 'kysely'
import type { PrepareRead } from '../database/open.ts'
import type { Database } from '../database/schema.ts'
import { nextTurn } from '../database/turns.ts'
import { type MaybePromise, mapMaybe } from '../maybe-promise.ts'
import { accountFactsOf } from './account-columns.ts'
import type { EndReason } from './end-reason.ts'
import type { Session, StoredSession } from './session.ts'
import { endOf, sessionColumns, tokenColumns, toRotation, toSession } from './session-columns.ts'
import type { RepeatableSignIn } from './sign-in-repeat-rows.ts'

function selectSessions(db: Database) {
  return db
    .selectFrom('hufu_sessions')
    .innerJoin('hufu_accounts', 'hufu_accounts.id', 'hufu_sessions.account_id')
    .leftJoin('hufu_pending_ends as pending', 'pending.account_id', 'hufu_sessions.account_id')
    .leftJoin('hufu_sessions as ender', (join) =>
      join.on('ender.id', '=', (eb) =>
        eb.fn.coalesce('hufu_sessions.ended_by_session', 'pending.by_session'),
      ),
    )
    .select(sessionColumns)
    .select(tokenColumns)
    .select(['hufu_sessions.ended_at', 'hufu_sessions.end_reason', 'hufu_sessions.survives_end'])
    .select(['pending.id as pending_id', 'pending.at as pending_at', 'pending.reason as pending_reason'])
    .select(['ender.platform as ender_platform', 'ender.device_name as ender_device_name'])
    .select(['hufu_accounts.phone_number', 'hufu_accounts.nickname'])
    .select(['hufu_accounts.banned_at', 'hufu_accounts.banned_until', 'hufu_accounts.closes_at'])
}

function selectSession(db: Database, id: string) {
  return selectSessions(db).where('hufu_sessions.id', '=', id)
}

type StoredSessionRow = InferResult<ReturnType<typeof selectSessions>>[number]

function toStoredSession(row: StoredSessionRow): StoredSession {
  const end = endOf(row)
  const by = row.ender_platform && { platform: row.ender_platform, deviceName: row.ender_device_name }
  return {
    session: toSession(row),
    tokenHash: row.token_hash,
    rotation: toRotation(row),
    ending: end && { ...end, by },
    account: {
      id: row.account_id,
      phoneNumber: row.phone_number,
      nickname: row.nickname,
      ...accountFactsOf(row),
    },
  }
}

/** A session with its account and, where it has ended, how; null where there is none. */
export async function findSession(db: Database, id: string): Promise<StoredSession | null> {
  const row = await selectSession(db, id).executeTakeFirst()
  return row ? toStoredSession(row) : null
}

/**
 * The same as `findSession`, compiled once: without a cache entry it runs for every request, and compiling
 * costs more than the query.
 */
export function prepareFindSession(
  db: Database,
  prepare: PrepareRead,
): (id: string) => MaybePromise<StoredSession | null> {
  const read = prepare<StoredSessionRow>(selectSession(db, '').compile())
  const first = ([row]: StoredSessionRow[]) => (row ? toStoredSession(row) : null)
  return (id) => mapMaybe(read([id]), first)
}

/** The sessions with these ids that exist, live or not, in no order. */
export async function findSessions(tx: Database, ids: readonly string[]): Promise<StoredSession[]> {
  const found: StoredSession[] = []
  for (const batch of batches(ids)) {
    const rows = await selectSessions(tx).where('hufu_sessions.id', 'in', batch).execute()
    found.push(...rows.map(toStoredSession))
  }
  return found
}

/** Writes a new session. */
export async function insertSession(
  tx: Database,
  session: Session,
  tokenHash: string,
  repeatable: RepeatableSignIn | null = null,
): Promise<void> {
  await tx
    .insertInto('hufu_sessions')
    .values((eb) => ({
      id: session.id,
      account_id: session.accountId,
      token_hash: tokenHash,
      token_family_hash: repeatable?.familyHash ?? null,
      previous_token_hash: repeatable?.fingerprint ?? null,
      rotation_nonce: repeatable?.nonce ?? null,
      rotated_at: repeatable?.at ?? null,
      sign_in_fingerprint: repeatable?.fingerprint ?? null,
      platform: session.platform,
      device_id: session.deviceId,
      device_name: session.deviceName,
      app_version: session.appVersion,
      ip: session.ip,
      created_at: session.createdAt,
      seen_at: session.seenAt,
      expires_at: session.expiresAt,
      ended_at: null,
      end_reason: null,
      ended_by_session: null,
      survives_end: eb
        .selectFrom('hufu_pending_ends')
        .select('hufu_pending_ends.id')
        .where('hufu_pending_ends.account_id', '=', session.accountId),
    }))
    .execute()
}

/** Lets sessions survive a pending end of their account. */
export async function spareSessions(tx: Database, ids: readonly string[], pendingId: string): Promise<void> {
  for (const batch of batches(ids))
    await tx.updateTable('hufu_sessions').set({ survives_end: pendingId }).where('id', 'in', batch).execute()
}

export interface EndOfSessions {
  readonly ids: readonly string[]
  readonly at: number
  readonly reason: EndReason
  readonly by: string | null
}

/** Ends the sessions that have not ended yet, in batches, and returns how many it ended. */
export async function endSessions(tx: Database, end: EndOfSessions): Promise<number> {
  let ended = 0
  for (const batch of batches(end.ids)) {
    const result = await tx
      .updateTable('hufu_sessions')
      .set({ ended_at: end.at, end_reason: end.reason, ended_by_session: end.by })
      .where('id', 'in', batch)
      .where('ended_at', 'is', null)
      .executeTakeFirst()
    ended += Number(result.numUpdatedRows)
    if (end.ids.length > batch.length) await nextTurn()
  }
  return ended
}

/** The most rows that a statement names, so that its parameters, memory and time are bounded. */
export const namedAtOnce = 250

function batches(ids: readonly string[]): string[][] {
  const count = Math.ceil(ids.length / namedAtOnce)
  return Array.from({ length: count }, (_, i) => ids.slice(i * namedAtOnce, (i + 1) * namedAtOnce))
}
