// Counters in the database, for all processes on it. Requests that wait together are counted in one
// transaction, which locks its rows in a fixed order: nothing is counted twice and no count is lost, whatever
// fails.
import { type Clock, steadyClock } from '../clock.ts'
import { databaseNow } from '../database/database-clock.ts'
import { asUnavailable, isRetryable, isUniqueViolation } from '../database/failures.ts'
import type { DatabaseKind } from '../database/open.ts'
import type { Database } from '../database/schema.ts'
import { inTransaction } from '../database/transaction.ts'
import { BatchQueue } from './batch-queue.ts'
import {
  type Counter,
  consumeOne,
  counterOf,
  emptyCounter,
  isEmpty,
  prune,
  refundOne,
  textOf,
  waitOf,
} from './counter.ts'
import {
  deleteCounters,
  disableDiskSync,
  insertCounters,
  lockCounters,
  type StoredCounter,
  updateCounters,
} from './counter-rows.ts'
import { RefusalCache } from './refusal-cache.ts'
import type { ConsumeOptions, ConsumeResult, CounterRequest, LimitStore, Window } from './store.ts'

/** A pool of its own, so that a flood of attempts takes no connection from allowed requests. */
export const limitConnections = 2
/** Rows in one transaction: this many keep the event loop busy for a millisecond or two. */
const rowsInBatch = 64
const maxWaiting = { open: 256, reserved: 64 }
const maxWaitMs = 2_000
const lookAtClockEveryMs = 10_000
const tries = 5

type Work =
  | { readonly kind: 'consume'; readonly counters: readonly CounterRequest[] }
  | { readonly kind: 'refund'; readonly counter: CounterRequest; readonly at: number }
  | { readonly kind: 'reset'; readonly key: string }

export interface SqlLimitStoreOptions {
  /** A pool for the counters alone, with `limitConnections`. `close` ends it. */
  readonly db: Database
  readonly kind: DatabaseKind
  /** For tests. By default, the database's clock is used, so that the servers' clocks do not matter. */
  readonly clock?: Clock | undefined
}

export class SqlLimitStore implements LimitStore {
  readonly #db: Database
  readonly #kind: DatabaseKind
  readonly #clock: Clock | null
  readonly #refusals: RefusalCache
  readonly #queue: BatchQueue<Work, readonly ConsumeResult[]>
  /** The difference between the database's clock and that of this process, and when it was last read. */
  #aheadMs = 0
  #lookedAt = Number.NEGATIVE_INFINITY
  #prepared: Promise<void> | null = null

  constructor({ db, kind, clock }: SqlLimitStoreOptions) {
    this.#db = db
    this.#kind = kind
    this.#clock = clock ?? null
    this.#refusals = new RefusalCache(clock ?? steadyClock)
    this.#queue = new BatchQueue<Work, readonly ConsumeResult[]>({
      run: (works) => this.#run(works),
      answerWithoutRun: (work) => (work.kind === 'consume' ? this.#refusals.find(work.counters) : null),
      weightOf: (work) => (work.kind === 'consume' ? work.counters.length : 1),
      parallel: kind === 'sqlite' ? 1 : limitConnections,
      maxWeight: rowsInBatch,
      maxWaiting,
      maxWaitMs,
    })
  }

  async consume(key: string, windows: readonly Window[]): Promise<ConsumeResult> {
    const [result] = await this.consumeAll([{ key, windows }])
    if (!result) throw new TypeError('one counter has one answer')
    return result
  }

  async consumeAll(
    counters: readonly CounterRequest[],
    { reserved = false }: ConsumeOptions = {},
  ): Promise<readonly ConsumeResult[]> {
    if (counters.length === 0) return []
    const known = this.#refusals.find(counters)
    if (known) return known
    const results = await this.#queue.add({ kind: 'consume', counters }, reserved ? 'reserved' : 'open')
    this.#refusals.note(counters, results)
    return results
  }

  async peek(key: string, windows: readonly Window[]): Promise<number> {
    const [result] = await this.consumeAll([{ key, windows, peeks: true }])
    return result?.waitMs ?? 0
  }

  async refund(key: string, windows: readonly Window[], at: number): Promise<void> {
    await this.#queue.add({ kind: 'refund', counter: { key, windows }, at }, 'settling')
    this.#refusals.delete(key)
  }

  async reset(key: string): Promise<void> {
    await this.#queue.add({ kind: 'reset', key }, 'settling')
    this.#refusals.delete(key)
  }

  async close(): Promise<void> {
    await this.#queue.idle()
    await this.#db.destroy()
  }

  /** @throws AppError `unavailable` where the database fails: whether anything was counted is then unknown */
  async #run(works: readonly Work[]): Promise<readonly (readonly ConsumeResult[])[]> {
    try {
      await this.#prepare()
      for (let attempt = 1; ; attempt++) {
        try {
          return await inTransaction(this.#db, (tx) => this.#count(tx, works))
        } catch (error) {
          // Another process has inserted the same row meanwhile. The next attempt can lock it.
          if (attempt === tries || !(isUniqueViolation(error) || isRetryable(error))) throw error
        }
      }
    } catch (error) {
      throw asUnavailable(error)
    }
  }

  async #prepare(): Promise<void> {
    if (this.#kind !== 'sqlite') return
    this.#prepared ??= disableDiskSync(this.#db)
    try {
      await this.#prepared
    } catch (error) {
      this.#prepared = null
      throw error
    }
  }

  async #count(tx: Database, works: readonly Work[]): Promise<(readonly ConsumeResult[])[]> {
    const names = [...new Set(works.flatMap(namesOf))].toSorted()
    const locked = await lockCounters(tx, names)
    const now = await this.#now(tx)
    const stored = new Map(locked.map(({ name, counts }) => [name, counts]))
    const counters = new Map<string, Counter>(
      locked.map(({ name, counts, expiresAt }) => [name, counterOf(counts, expiresAt)]),
    )
    const answers = works.map((work) => apply(work, counters, now))
    await this.#write(tx, { stored, counters, now })
    return answers
  }

  /** Writes only the rows that have changed: a refused request writes nothing. */
  async #write(
    tx: Database,
    {
      stored,
      counters,
      now,
    }: {
      readonly stored: ReadonlyMap<string, string>
      readonly counters: ReadonlyMap<string, Counter>
      readonly now: number
    },
  ): Promise<void> {
    const gone: string[] = []
    const fresh: StoredCounter[] = []
    const changed: StoredCounter[] = []
    for (const name of [...new Set([...stored.keys(), ...counters.keys()])].toSorted()) {
      const [before, counter] = [stored.get(name), counters.get(name)]
      if (counter) prune(counter, now)
      if (!counter || isEmpty(counter)) {
        if (before !== undefined) gone.push(name)
        continue
      }
      const counts = textOf(counter)
      if (before === undefined) fresh.push({ name, counts, expiresAt: counter.until })
      else if (counts !== before) changed.push({ name, counts, expiresAt: counter.until })
    }
    await updateCounters(tx, this.#kind, changed)
    await deleteCounters(tx, gone)
    await insertCounters(tx, fresh)
  }

  /**
   * The database's time. It is read every 10 s; in between, a clock that no setting of the system's time
   * affects goes on from it.
   */
  async #now(tx: Database): Promise<number> {
    if (this.#clock) return this.#clock.now()
    const began = performance.now()
    if (began > this.#lookedAt + lookAtClockEveryMs) {
      const theirs = await databaseNow(tx, this.#kind)
      const ended = performance.now()
      this.#aheadMs = theirs - (steadyClock.now() - (ended - began) / 2)
      this.#lookedAt = ended
    }
    return Math.floor(steadyClock.now() + this.#aheadMs)
  }
}

function namesOf(work: Work): string[] {
  if (work.kind === 'consume') return work.counters.map(({ key }) => key)
  return [work.kind === 'refund' ? work.counter.key : work.key]
}

/** Applies one work to the counters. An empty counter is not in the map. */
function apply(work: Work, counters: Map<string, Counter>, now: number): readonly ConsumeResult[] {
  switch (work.kind) {
    case 'consume':
      return consumeIn(work.counters, counters, now)
    case 'refund': {
      const counter = counters.get(work.counter.key)
      if (counter) refundOne(counter, work.counter.windows, work.at)
      return []
    }
    case 'reset':
      counters.delete(work.key)
      return []
  }
}

function consumeIn(
  asked: readonly CounterRequest[],
  counters: Map<string, Counter>,
  now: number,
): readonly ConsumeResult[] {
  const found = asked.map(({ key, windows, peeks = false }) => {
    const counter = counters.get(key) ?? emptyCounter()
    return { key, windows, peeks, counter, waitMs: waitOf(counter, windows, now) }
  })
  const isRefused = found.some(({ waitMs }) => waitMs > 0)
  return found.map(({ key, windows, peeks, counter, waitMs }) => {
    if (isRefused || peeks) return { waitMs, nextMs: waitMs, at: now }
    consumeOne(counter, windows, now)
    counters.set(key, counter)
    return { waitMs: 0, nextMs: waitOf(counter, windows, now), at: now }
  })
}
