// Pending ends in SQL. No policy here.
import type { ExpressionBuilder } from 'kysely'
import type { Database, PendingEndsTable, SessionsTable, Tables } from '../database/schema.ts'
import { mayLiveOnMs } from '../timing.ts'

/** The pending end of an account; null where there is none. */
export async function findPendingEnd(db: Database, accountId: string): Promise<PendingEndsTable | null> {
  const row = await db
    .selectFrom('hufu_pending_ends')
    .selectAll()
    .where('account_id', '=', accountId)
    .executeTakeFirst()
  return row ?? null
}

/** Up to `limit` accounts that have a pending end. */
export async function listPendingEnds(db: Database, limit: number): Promise<string[]> {
  const rows = await db.selectFrom('hufu_pending_ends').select('account_id').limit(limit).execute()
  return rows.map(({ account_id }) => account_id)
}

export async function insertPendingEnd(tx: Database, row: PendingEndsTable): Promise<void> {
  await tx.insertInto('hufu_pending_ends').values(row).execute()
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

/** What tells whether a pending end ends a session. */
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
