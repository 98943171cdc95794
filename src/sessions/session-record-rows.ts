// All sessions that an account has had, in SQL, with their ends. No policy here.
import { valuesOfPage } from '../database/pages.ts'
import type { Database, EndReason } from '../database/schema.ts'
import { pendingEndColumns } from './pending-end-rows.ts'
import type { Session } from './session.ts'
import { endOf, sessionColumns, toSession } from './session-columns.ts'

/** A session with its end, as it is shown to the owner of the account. */
export interface SessionRecord extends Session {
  readonly endedAt: number | null
  readonly endReason: EndReason | null
}

/** Up to `limit` of all sessions that an account has had, oldest first, after the session `after`. */
export async function listSessionRecords(
  db: Database,
  accountId: string,
  after: Pick<SessionRecord, 'createdAt' | 'id'> | null,
  limit: number,
): Promise<SessionRecord[]> {
  const sessions = db
    .selectFrom('hufu_sessions')
    .select(sessionColumns)
    .select(['ended_at', 'end_reason', 'survives_end'])
    .select((eb) => pendingEndColumns(eb, accountId))
    .limit(limit)
  const page = after
    ? sessions
        .where('account_id', 'in', valuesOfPage(db, accountId))
        // This condition starts a range scan of the index on every database.
        .where('created_at', '>=', after.createdAt)
        .where((where) => where.or([where('created_at', '>', after.createdAt), where('id', '>', after.id)]))
        .orderBy('account_id')
    : sessions.where('account_id', '=', accountId)
  const rows = await page.orderBy('created_at').orderBy('id').execute()
  return rows.map((row) => {
    const end = endOf(row)
    return { ...toSession(row), endedAt: end?.at ?? null, endReason: end?.reason ?? null }
  })
}
