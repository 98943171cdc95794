// Pending ends in SQL. No policy here.
import type { ExpressionBuilder } from 'kysely'
import type { Database, SessionsTable, Tables } from '../database/schema.ts'
import type { RequestOrigin } from '../events/events.ts'
import { mayLiveOnMs } from '../timing.ts'
import type { EndReason } from './end-reason.ts'

/** The end of very many sessions that is not yet written to each of them: pending-ends.ts. */
export interface StoredPendingEnd {
  /** UUIDv7 bytes as 22 characters of base64url. */
  readonly id: string
  /** Milliseconds since 1970 UTC. */
  readonly at: number
  readonly reason: EndReason
  /** The session that requested the end; null: an operator, or the server itself. */
  readonly by: string | null
  readonly origin: RequestOrigin
}

/** The pending end of an account; null where there is none. */
export async function findPendingEnd(db: Database, accountId: string): Promise<StoredPendingEnd | null> {
  const row = await db
    .selectFrom('hufu_pending_ends')
    .selectAll()
    .where('account_id', '=', accountId)
    .executeTakeFirst()
  if (!row) return null
  const { id, at, reason, by_session: by, ip, request_id: requestId } = row
  return { id, at, reason, by, origin: { ip, requestId } }
}

/** Up to `limit` accounts that have a pending end, in the order of their ids, behind the account `after`. */
export async function listPendingEnds(db: Database, after: string | null, limit: number): Promise<string[]> {
  const rows = await db
    .selectFrom('hufu_pending_ends')
    .select('account_id')
    .$if(after !== null, (query) => query.where('account_id', '>', String(after)))
    .orderBy('account_id')
    .limit(limit)
    .execute()
  return rows.map(({ account_id }) => account_id)
}

export async function insertPendingEnd(
  tx: Database,
  accountId: string,
  { id, at, reason, by, origin }: StoredPendingEnd,
): Promise<void> {
  const { ip, requestId } = origin
  await tx
    .insertInto('hufu_pending_ends')
    .values({ account_id: accountId, id, at, reason, by_session: by, ip, request_id: requestId })
    .execute()
}

export async function deletePendingEnd(tx: Database, accountId: string): Promise<void> {
  await tx.deleteFrom('hufu_pending_ends').where('account_id', '=', accountId).execute()
}

/**
 * The pending end of an account, as columns of each row: one lookup per statement, whatever the number of
 * rows.
 */
export function pendingEndColumns(eb: ExpressionBuilder<Tables, 'hufu_sessions'>, accountId: string) {
  const column = <C extends 'id' | 'at' | 'reason'>(name: C) =>
    eb
      .selectFrom('hufu_pending_ends')
      .select(`hufu_pending_ends.${name}` as const)
      .where('hufu_pending_ends.account_id', '=', accountId)
  return [
    column('id').as('pending_id'),
    column('at').as('pending_at'),
    column('reason').as('pending_reason'),
  ] as const
}

/** The columns that say whether a pending end ends a session. */
export interface MayBeOver extends Pick<SessionsTable, 'expires_at' | 'survives_end'> {
  /** Of the account's pending end; null: there is none. */
  readonly pending_id: string | null
  readonly pending_at: number | null
}

/**
 * Whether the pending end of its account ended a session that has no end of its own. It does not end a
 * session that had expired before.
 */
export function isOverByPendingEnd({ expires_at, survives_end, pending_id, pending_at }: MayBeOver): boolean {
  if (pending_id === null || pending_at === null || survives_end === pending_id) return false
  return expires_at === null || expires_at > pending_at - mayLiveOnMs
}
