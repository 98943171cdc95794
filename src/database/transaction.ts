// Runs one transaction: READ COMMITTED, with a deadline, and retried after a lost race against another
// transaction.
import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from '../errors.ts'
import { asTransaction } from '../queue-order.ts'
import { longTransactionMs, transactionMs } from '../timing.ts'
import { isRetryable } from './failures.ts'
import type { Database, DatabaseTransaction } from './schema.ts'

const tries = 3

/** How long the whole transaction may take. */
export interface Deadline {
  ms: number
  /** When the transaction began, on the clock of performance.now(). */
  readonly beganAt: number
}

/** Extends the deadline of a transaction that writes very many rows. */
export function takeLonger(deadline: Deadline): void {
  deadline.ms = longTransactionMs
}

/**
 * Runs `work` in one transaction and commits it. The isolation level is READ COMMITTED on every server,
 * because the reads after a lock must see what its previous holder wrote. SQLite's transactions are serial
 * anyway.
 * @throws AppError `unavailable` where the work took longer than the deadline; then nothing is committed
 */
export async function inTransaction<T>(
  db: Database,
  work: (tx: DatabaseTransaction, deadline: Deadline) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      // The wait for a connection is no part of the transaction.
      const run = async (connection: Database) => {
        const deadline = { ms: transactionMs, beganAt: performance.now() }
        return await connection
          .transaction()
          .setIsolationLevel('read committed')
          .execute(async (tx) => {
            const result = await work(tx, deadline)
            if (performance.now() - deadline.beganAt > deadline.ms)
              throw new AppError('unavailable', { retryAfterSeconds: 1 })
            return result
          })
      }
      return await asTransaction(() => db.connection().execute(run))
    } catch (error) {
      if (attempt === tries || !isRetryable(error)) throw error
      await sleep(Math.random() * 50 * attempt)
    }
  }
}
