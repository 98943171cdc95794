// When sessions were last used, and when they expire, in SQL. No policy here.
import { sql } from 'kysely'
import type { Database } from '../database/schema.ts'

/**
 * Writes that these live sessions were used at `now`, unless the last note is less than `atMostEveryMs` old.
 */
export async function updateSeen(
  db: Database,
  ids: readonly string[],
  now: number,
  atMostEveryMs: number,
): Promise<void> {
  await db
    .updateTable('hufu_sessions')
    .set({ seen_at: now })
    .where('id', 'in', [...ids])
    .where('ended_at', 'is', null)
    .where('seen_at', '<=', now - atMostEveryMs)
    .execute()
}

export interface Extension {
  readonly ids: readonly string[]
  /** When the sessions were used; sessions that had expired by then stay expired. */
  readonly usedAt: number
  /** The new end; null: never. */
  readonly expiresAt: number | null
  /** A session ends at most this long after it began; null: no such limit. */
  readonly maxLifeMs: number | null
  /** Only expiry times that are at least this far behind the new one are moved. */
  readonly behindMs: number
}

/** Moves the expiry of live sessions to a later time, never to an earlier one. */
export async function extendSessions(db: Database, extension: Extension): Promise<void> {
  const { ids, usedAt, expiresAt, maxLifeMs, behindMs } = extension
  const latest = sql<number | null>`created_at + ${maxLifeMs}`
  const end =
    maxLifeMs === null
      ? sql<number | null>`${expiresAt}`
      : expiresAt === null
        ? latest
        : sql<number>`case when ${latest} < ${expiresAt} then ${latest} else ${expiresAt} end`
  await db
    .updateTable('hufu_sessions')
    .set({ expires_at: end })
    .where('id', 'in', [...ids])
    .where('ended_at', 'is', null)
    .where('expires_at', '>', usedAt)
    .where((where) =>
      expiresAt === null && maxLifeMs === null
        ? sql<boolean>`1 = 1`
        : where(sql<number>`expires_at + ${behindMs}`, '<=', end),
    )
    .execute()
}
