// The end of very many sessions of an account, decided in one short transaction by a row that every reader of
// a session also reads. Afterwards the end is written into the sessions in batches, which changes no answer
// any more.
import type { Database } from '../database/schema.ts'
import { inTransaction } from '../database/transaction.ts'
import { restSince } from '../database/turns.ts'
import { recordEnds } from '../events/events.ts'
import { newCompactId } from '../ids.ts'
import { inClass } from '../queue-order.ts'
import { listUnended } from './live-session-rows.ts'
import { lockAccountRow } from './locked-account-rows.ts'
import {
  deletePendingEnd,
  findPendingEnd,
  insertPendingEnd,
  listPendingEnds,
  type StoredPendingEnd,
} from './pending-end-rows.ts'
import type { SessionCursor } from './session-pages.ts'
import { endSessions, spareSessions } from './session-rows.ts'

export interface NewPendingEnd extends Omit<StoredPendingEnd, 'id'> {
  /** Sessions that stay. */
  readonly kept: readonly string[]
}

/**
 * The number of sessions in one transaction: on SQLite it blocks everything else for less than a millisecond.
 */
const batchSize = 40
const defaultListedAtOnce = 1_000

/**
 * Ends all live sessions of an account but those that stay, under the account's lock: they end with the
 * commit. Sessions that begin from here on, in this transaction or later, are not touched. Of an earlier end
 * that is still pending, what is not written yet gets the reason of this one.
 */
export async function endAtOnce(tx: Database, accountId: string, end: NewPendingEnd): Promise<void> {
  const { kept, ...rest } = end
  const id = newCompactId(rest.at)
  await deletePendingEnd(tx, accountId)
  await insertPendingEnd(tx, accountId, { id, ...rest })
  await spareSessions(tx, kept, id)
}

export interface PendingEndsOptions {
  readonly db: Database
  /** Called with the error that prevented an end from being written. `resume` continues it. */
  readonly onBackgroundError: (error: unknown) => void
  /** For tests: the number of pending ends that are listed at once. */
  readonly listedAtOnce?: number
}

/**
 * Writes pending ends, one account after the other, with a pause after each batch that is twice as long as
 * the batch took.
 */
export class PendingEnds {
  readonly #db: Database
  readonly #onBackgroundError: (error: unknown) => void
  readonly #listedAtOnce: number
  #queue: Promise<void> = Promise.resolve()
  #isClosing = false

  constructor({ db, onBackgroundError, listedAtOnce = defaultListedAtOnce }: PendingEndsOptions) {
    this.#db = db
    this.#listedAtOnce = listedAtOnce
    this.#onBackgroundError = onBackgroundError
  }

  /** Begins to write the pending end of an account, in the background. */
  begin(accountId: string): void {
    this.#queue = this.#queue
      .then(async () => void (await this.write(accountId)))
      .catch(this.#onBackgroundError)
  }

  /**
   * Writes every pending end, also those of processes that died. An end that cannot be written does not stop
   * the others. Never throws.
   */
  async resume(): Promise<void> {
    try {
      for (let after: string | null = null; ; ) {
        const page: string[] = await listPendingEnds(this.#db, after, this.#listedAtOnce)
        for (const accountId of page) this.begin(accountId)
        await this.written()
        after = page.at(-1) ?? null
        if (page.length < this.#listedAtOnce || this.#isClosing) return
      }
    } catch (error) {
      this.#onBackgroundError(error)
    }
    await this.written()
  }

  /** When everything that this process has begun is written, or could not be. */
  async written(): Promise<void> {
    await this.#queue
  }

  /**
   * Writes the pending end of an account, if it has one.
   * @returns whether nothing is left of it; false: this process is closing
   */
  async write(accountId: string): Promise<boolean> {
    let after: SessionCursor | null = null
    while (!this.#isClosing) {
      const began = performance.now()
      const from: SessionCursor | null = after
      // Work of the server itself: the request that began it may be in a less important class.
      after = await inClass('known', () => inTransaction(this.#db, (tx) => writeBatch(tx, accountId, from)))
      if (after === null) return true
      await restSince(began)
    }
    return false
  }

  /** Stops after the current batch. The pending end has ended the remaining sessions. */
  async close(): Promise<void> {
    this.#isClosing = true
    await this.#queue
  }
}

/**
 * Under the account's lock, so that two processes at it write each session once. On a Galera cluster, where
 * the lock holds for one node only, both change the same sessions or the same pending end, and the later one
 * starts again.
 * @returns where to go on; null: nothing is left
 */
async function writeBatch(
  tx: Database,
  accountId: string,
  after: SessionCursor | null,
): Promise<SessionCursor | null> {
  await lockAccountRow(tx, accountId)
  const end = await findPendingEnd(tx, accountId)
  if (!end) return null
  const { over, next } = await listUnended(tx, accountId, { after, limit: batchSize })
  const { at, reason, by, origin } = end
  await endSessions(tx, { ids: over, at, reason, by })
  await recordEnds(tx, at, origin, { ids: over, detail: { reason, by } })
  if (next === null) await deletePendingEnd(tx, accountId)
  return next
}
