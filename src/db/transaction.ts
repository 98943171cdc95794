// One transaction: READ COMMITTED, with a deadline, tried again where it only lost a race.
import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from '../errors.ts'
import { isLostRace } from './failures.ts'
import type { Database, DatabaseTransaction } from './schema.ts'

/** Far below the 60 s that a mark lives (sessions/copies.ts): nothing may commit under a mark that ran out. */
const deadlineMs = 10_000
const tries = 3

/**
 * Runs `work` in one transaction and commits. READ COMMITTED on every server, because a lock taken first must show
 * what the previous holder wrote; SQLite's transactions are serial anyway.
 * @throws AppError `unavailable` where the work took longer than the deadline; then nothing is committed
 */
export async function inTransaction<T>(
  db: Database,
  work: (tx: DatabaseTransaction) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      const began = performance.now()
      return await db
        .transaction()
        .setIsolationLevel('read committed')
        .execute(async (tx) => {
          const result = await work(tx)
          if (performance.now() - began > deadlineMs)
            throw new AppError('unavailable', { retryAfterSeconds: 1 })
          return result
        })
    } catch (error) {
      if (attempt === tries || !isLostRace(error)) throw error
      await sleep(Math.random() * 50 * attempt)
    }
  }
}
