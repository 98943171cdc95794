// Ends one session: for its owner, for an operator, and where a token is presented that was retired.

import { noOrigin, type RequestOrigin } from '../events/events.ts'
import { mayLiveOnMs } from '../timing.ts'
import { type AccountWriter, type Decision, lockById } from './account-writer.ts'
import type { Caller } from './caller.ts'
import type { EndReason } from './end-reason.ts'
import { hasTimeLeft } from './session.ts'
import { findSession } from './session-rows.ts'

export interface EndRequest {
  readonly id: string
  readonly accountId: string
  readonly reason: EndReason
  /** The session that requests the end; null: an operator, or the server itself. */
  readonly by: Caller | null
  readonly origin?: RequestOrigin
}

/**
 * Ends a session of this account for a reason. Also where another request ended it first, no server
 * accepts it when this returns.
 * @returns whether it was live until now; null where the account has no such session
 * @throws AppError the 401 of a caller that is no longer live
 */
export async function endSession(
  writer: AccountWriter,
  { id, accountId, reason, by, origin = noOrigin }: EndRequest,
): Promise<boolean | null> {
  const { result } = await writer.write({
    lock: lockById(accountId),
    by,
    origin,
    decide: async (locked, tx, now): Promise<Decision<boolean | null>> => {
      const stored = await (locked ? locked.sessions.find(id) : findSession(tx, id))
      if (stored?.session.accountId !== accountId) return { change: null, result: null }
      const wasLive = stored.ending === null && hasTimeLeft(stored.session, now - mayLiveOnMs)
      const end = { which: wasLive ? [id] : [], reason }
      return { change: { end, refresh: [id] }, result: wasLive }
    },
  })
  return result
}
