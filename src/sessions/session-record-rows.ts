// All sessions that an account has had, in SQL, with their ends. No policy here.

import type { Database } from '../database/schema.ts'
import type { EndReason } from './end-reason.ts'
import { pendingEndColumns } from './pending-end-rows.ts'
import type { Session } from './session.ts'
import { endOf, sessionColumns, toSession } from './session-columns.ts'
import { sessionsAfter } from './session-pages.ts'

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
  const rows = await sessionsAfter(db, sessions, accountId, after).execute()
  return rows.map((row) => {
    const end = endOf(row)
    return { ...toSession(row), endedAt: end?.at ?? null, endReason: end?.reason ?? null }
  })
}
