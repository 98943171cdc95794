// What becomes of old sessions: an expired one is written as ended, and an ended one is kept for
// some time, so that its token is answered with the reason, and then deleted.
import type { Database } from '../database/schema.ts'
import { nextTurn, restSince } from '../database/turns.ts'
import { expiredForGoodMs } from '../timing.ts'
import { listUnended } from './live-session-rows.ts'
import {
  deleteSessionsEndedBefore,
  deleteSessionsOf,
  type ExpiryCursor,
  endExpiredSessions,
  listExpiredSessions,
} from './old-session-rows.ts'
import type { SessionCursor } from './session-pages.ts'

/** On SQLite nothing else runs while a batch is written: about two milliseconds. */
const batchSize = 50

export interface OldSessions {
  /** Milliseconds since 1970 UTC. */
  readonly now: number
  /** How long a session is kept after its end, in milliseconds, a day at least; null: for ever. */
  readonly keepMs: number | null
  readonly limit: number
}

/**
 * Writes the end of every session that expired more than an hour ago, and deletes up to `limit` sessions that
 * ended more than `keepMs` ago. Neither changes the answer to a token but one: the token of a deleted session
 * is unknown.
 * @returns how many it deleted
 */
export async function removeOldSessions(db: Database, { now, keepMs, limit }: OldSessions): Promise<number> {
  await endExpired(db, now - expiredForGoodMs)
  if (keepMs === null) return 0
  for (let deleted = 0; ; ) {
    const began = performance.now()
    const size = Math.min(batchSize, limit - deleted)
    const count = await deleteSessionsEndedBefore(db, now - keepMs, size)
    deleted += count
    if (count < size || deleted >= limit) return deleted
    await restSince(began)
  }
}

/**
 * Every list of live sessions reads the account's sessions without an end, so a session that stayed without
 * one would cost each of them a row.
 */
async function endExpired(db: Database, before: number): Promise<void> {
  for (let after: ExpiryCursor | null = null; ; ) {
    await nextTurn()
    const began = performance.now()
    const page: ExpiryCursor[] = await listExpiredSessions(db, before, after, batchSize)
    await endExpiredSessions(
      db,
      page.map(({ id }) => id),
      before,
    )
    after = page.at(-1) ?? null
    if (page.length < batchSize) return
    await restSince(began)
  }
}

/** The same for the sessions of one account: the change that ends the others then has few to read. */
export async function endExpiredOf(db: Database, accountId: string, now: number): Promise<void> {
  for (let after: SessionCursor | null = null; ; ) {
    await nextTurn()
    const began = performance.now()
    const page = await listUnended(db, accountId, { after, limit: batchSize })
    await endExpiredSessions(db, page.ids, now - expiredForGoodMs)
    if (page.next === null) return
    after = page.next
    await restSince(began)
  }
}

/** Deletes all sessions of an account that is being removed, in batches with pauses. */
export async function deleteAllSessionsOf(db: Database, accountId: string): Promise<void> {
  for (let after: SessionCursor | null = null; ; ) {
    await nextTurn()
    const began = performance.now()
    after = await deleteSessionsOf(db, accountId, after, batchSize)
    if (after === null) return
    await restSince(began)
  }
}
