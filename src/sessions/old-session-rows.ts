// Ended and expired sessions in SQL: the latter are written as ended, and both are deleted. No policy here.
import { type ExpressionBuilder, sql } from 'kysely'
import { isSqlite } from '../database/pages.ts'
import type { Database, Tables } from '../database/schema.ts'
import { type SessionCursor, sessionsAfter } from './session-pages.ts'

/** A place in the order of expiry. */
export interface ExpiryCursor {
  readonly expiresAt: number
  readonly id: string
}

/**
 * Up to `limit` sessions without an end that expired before a time, in the order of expiry, behind a cursor.
 */
export async function listExpiredSessions(
  db: Database,
  before: number,
  after: ExpiryCursor | null,
  limit: number,
): Promise<ExpiryCursor[]> {
  // With statistics, SQLite would look for the sessions of one account after the other, and sort them.
  const sessions = isSqlite(db)
    ? sql`hufu_sessions indexed by hufu_sessions_unended`
    : sql.table('hufu_sessions')
  const behind = after
    ? sql`and expires_at >= ${after.expiresAt} and (expires_at > ${after.expiresAt} or id > ${after.id})`
    : sql``
  const { rows } = await sql<{ id: string; expires_at: number }>`select id, expires_at from ${sessions}
    where ended_at is null and expires_at < ${before} ${behind}
    order by expires_at, id limit ${limit}`.execute(db)
  return rows.map(({ id, expires_at }) => ({ id, expiresAt: expires_at }))
}

/**
 * Writes the end of those of the sessions that expired before a time, and returns how many. Since a session
 * was read, a use of it may have been written, which has moved its expiry: then it does not end. Where the
 * account has a pending end, that may be the session's end.
 */
export async function endExpiredSessions(
  db: Database,
  ids: readonly string[],
  before: number,
): Promise<number> {
  if (ids.length === 0) return 0
  const { numUpdatedRows } = await db
    .updateTable('hufu_sessions')
    .set((row) => ({ ended_at: row.ref('expires_at'), end_reason: 'expired' }))
    .where('id', 'in', [...ids])
    .where('ended_at', 'is', null)
    .where('expires_at', '<', before)
    .where(hasNoPendingEnd)
    .executeTakeFirst()
  return Number(numUpdatedRows)
}

function hasNoPendingEnd({ not, exists, selectFrom }: ExpressionBuilder<Tables, 'hufu_sessions'>) {
  return not(
    exists(
      selectFrom('hufu_pending_ends')
        .select('hufu_pending_ends.id')
        .whereRef('hufu_pending_ends.account_id', '=', 'hufu_sessions.account_id'),
    ),
  )
}

/** Deletes up to `limit` sessions that ended before a time, and returns how many. */
export async function deleteSessionsEndedBefore(db: Database, at: number, limit: number): Promise<number> {
  const old = await db
    .selectFrom('hufu_sessions')
    .select('id')
    .where('ended_at', '<', at)
    .orderBy('ended_at')
    .limit(limit)
    .execute()
  return await deleteSessions(
    db,
    old.map(({ id }) => id),
  )
}

/**
 * Deletes up to `limit` sessions of an account, ended or not, behind a cursor, so that no statement passes
 * over the rows that earlier ones have deleted.
 * @returns the cursor for the next call; null: nothing is left
 */
export async function deleteSessionsOf(
  db: Database,
  accountId: string,
  after: SessionCursor | null,
  limit: number,
): Promise<SessionCursor | null> {
  const sessions = db.selectFrom('hufu_sessions').select(['id', 'created_at']).limit(limit)
  const rows = await sessionsAfter(db, sessions, accountId, after).execute()
  await deleteSessions(
    db,
    rows.map(({ id }) => id),
  )
  const last = rows.at(-1)
  return last && rows.length === limit ? { createdAt: last.created_at, id: last.id } : null
}

async function deleteSessions(db: Database, ids: readonly string[]): Promise<number> {
  if (ids.length === 0) return 0
  const { numDeletedRows } = await db
    .deleteFrom('hufu_sessions')
    .where('id', 'in', [...ids])
    .executeTakeFirst()
  return Number(numDeletedRows)
}
