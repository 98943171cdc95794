// A change whose commit was late: other servers may have read past its row in the feed.
import type { Clock } from '../clock.ts'
import type { Database } from '../database/schema.ts'
import { type Deadline, inTransaction } from '../database/transaction.ts'
import { AppError } from '../errors.ts'
import { lateMs } from '../timing.ts'
import { type ChangeSubject, insertChangeOf } from './change-rows.ts'
import type { Feed } from './feed.ts'

/** How often a change whose commit was late is written into the feed once more. */
const announcements = 3

export interface LateChangeParts {
  readonly db: Database
  readonly clock: Clock
  /** Expects the new row, because readings may have passed the first one. */
  readonly feed: Pick<Feed, 'expect'>
  /** The history of the database when the change was written. */
  readonly history: string
}

/**
 * Writes a committed change into the feed once more where its commit took so long that other servers may have
 * read past it. Call it after the commit and before the answer.
 * @param deadline of the transaction that wrote the change
 * @returns the step of the new row; null: the first row was in time
 * @throws AppError `unavailable` where this takes too long as well: the change is made, but not known
 */
export async function announceLate(
  { db, clock, feed, history }: LateChangeParts,
  subject: ChangeSubject,
  { beganAt }: Deadline,
): Promise<number | null> {
  if (performance.now() - beganAt <= lateMs) return null
  for (let tries = 0; tries < announcements; tries++) {
    const { again, deadline } = await inTransaction(db, async (tx, deadline) => ({
      again: await insertChangeOf(tx, subject, clock.now()),
      deadline,
    }))
    if (performance.now() - deadline.beganAt > lateMs) continue
    feed.expect(again, history)
    return again.step
  }
  throw new AppError('unavailable', { retryAfterSeconds: 1 })
}
