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
  type Bucket,
  bucketOf,
  countOne,
  emptyBucket,
  isEmpty,
  prune,
  takeBack,
  textOf,
  waitOf,
} from './bucket.ts'
import {
  deleteCounters,
  insertCounters,
  lockCounters,
  updateCounters,
  waitForNoDisk,
} from './counter-rows.ts'
import { Refusals } from './refusals.ts'
import type { AskedBucket, LimitStore, SpendOptions, Spent, Window } from './store.ts'

/** A pool of its own, so that a flood of attempts takes no connection from allowed requests. */
export const limitConnections = 2
/** Rows in one transaction: this many keep the event loop busy for a millisecond or two. */
const rowsInBatch = 64
const places = { open: 256, reserved: 64 }
const maxWaitMs = 2_000
const lookAtClockEveryMs = 10_000
const tries = 5

type Work =
  | { readonly kind: 'spend'; readonly buckets: readonly AskedBucket[] }
  | { readonly kind: 'give_back'; readonly bucket: AskedBucket; readonly at: number }
  | { readonly kind: 'forget'; readonly key: string }

export interface SqlLimitsOptions {
  /** A pool for the counters alone, with `limitConnections`. `close` ends it. */
  readonly db: Database
  readonly kind: DatabaseKind
  /** For tests. By default, the database's clock is used, so that the servers' clocks do not matter. */
  readonly clock?: Clock | undefined
}

export class SqlLimits implements LimitStore {
  readonly #db: Database
  readonly #kind: DatabaseKind
  readonly #clock: Clock | null
  readonly #refusals: Refusals
  readonly #queue: BatchQueue<Work, readonly Spent[]>
  /** The difference between the database's clock and that of this process, and when it was last read. */
  #aheadMs = 0
  #lookedAt = Number.NEGATIVE_INFINITY
  #prepared: Promise<void> | null = null

  constructor({ db, kind, clock }: SqlLimitsOptions) {
    this.#db = db
    this.#kind = kind
    this.#clock = clock ?? null
    this.#refusals = new Refusals(clock ?? steadyClock)
    this.#queue = new BatchQueue<Work, readonly Spent[]>({
      run: (works) => this.#run(works),
      known: (work) => (work.kind === 'spend' ? this.#refusals.find(work.buckets) : null),
      weightOf: (work) => (work.kind === 'spend' ? work.buckets.length : 1),
      parallel: kind === 'sqlite' ? 1 : limitConnections,
      maxWeight: rowsInBatch,
      places,
      maxWaitMs,
    })
  }

  async consume(key: string, windows: readonly Window[]): Promise<Spent> {
    const [spent] = await this.consumeAll([{ key, windows }])
    if (!spent) throw new TypeError('one bucket has one answer')
    return spent
  }

  async consumeAll(
    buckets: readonly AskedBucket[],
    { reserved = false }: SpendOptions = {},
  ): Promise<readonly Spent[]> {
    if (buckets.length === 0) return []
    const known = this.#refusals.find(buckets)
    if (known) return known
    const spent = await this.#queue.add({ kind: 'spend', buckets }, reserved ? 'reserved' : 'open')
    this.#refusals.note(buckets, spent)
    return spent
  }

  async peek(key: string, windows: readonly Window[]): Promise<number> {
    const [spent] = await this.consumeAll([{ key, windows, looksOnly: true }])
    return spent?.waitMs ?? 0
  }

  async refund(key: string, windows: readonly Window[], at: number): Promise<void> {
    await this.#queue.add({ kind: 'give_back', bucket: { key, windows }, at }, 'settling')
    this.#refusals.forget(key)
  }

  async forget(key: string): Promise<void> {
    await this.#queue.add({ kind: 'forget', key }, 'settling')
    this.#refusals.forget(key)
  }

  async close(): Promise<void> {
    await this.#queue.idle()
    await this.#db.destroy()
  }

  /** @throws AppError `unavailable` where the database fails: whether anything was counted is then unknown */
  async #run(works: readonly Work[]): Promise<readonly (readonly Spent[])[]> {
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
    this.#prepared ??= waitForNoDisk(this.#db)
    try {
      await this.#prepared
    } catch (error) {
      this.#prepared = null
      throw error
    }
  }

  async #count(tx: Database, works: readonly Work[]): Promise<(readonly Spent[])[]> {
    const names = [...new Set(works.flatMap(namesOf))].toSorted()
    const locked = await lockCounters(tx, names)
    const now = await this.#now(tx)
    const stored = new Map(locked.map((row) => [row.name, row.counts]))
    const buckets = new Map<string, Bucket>(
      locked.map(({ name, counts, expires_at }) => [name, bucketOf(counts, expires_at)]),
    )
    const answers = works.map((work) => apply(work, buckets, now))
    await this.#write(tx, { stored, buckets, now })
    return answers
  }

  /** Writes only the rows that have changed: a refused request writes nothing. */
  async #write(
    tx: Database,
    {
      stored,
      buckets,
      now,
    }: {
      readonly stored: ReadonlyMap<string, string>
      readonly buckets: ReadonlyMap<string, Bucket>
      readonly now: number
    },
  ): Promise<void> {
    const gone: string[] = []
    const [fresh, changed] = [[], []] as [Row[], Row[]]
    for (const name of [...new Set([...stored.keys(), ...buckets.keys()])].toSorted()) {
      const [before, bucket] = [stored.get(name), buckets.get(name)]
      if (bucket) prune(bucket, now)
      if (!bucket || isEmpty(bucket)) {
        if (before !== undefined) gone.push(name)
        continue
      }
      const counts = textOf(bucket)
      if (before === undefined) fresh.push({ name, counts, expires_at: bucket.until })
      else if (counts !== before) changed.push({ name, counts, expires_at: bucket.until })
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

interface Row {
  readonly name: string
  readonly counts: string
  readonly expires_at: number
}

function namesOf(work: Work): string[] {
  if (work.kind === 'spend') return work.buckets.map(({ key }) => key)
  return [work.kind === 'give_back' ? work.bucket.key : work.key]
}

/** Applies one work to the buckets. An empty bucket is not in the map. */
function apply(work: Work, buckets: Map<string, Bucket>, now: number): readonly Spent[] {
  switch (work.kind) {
    case 'spend':
      return spendIn(work.buckets, buckets, now)
    case 'give_back': {
      const bucket = buckets.get(work.bucket.key)
      if (bucket) takeBack(bucket, work.bucket.windows, work.at)
      return []
    }
    case 'forget':
      buckets.delete(work.key)
      return []
  }
}

function spendIn(asked: readonly AskedBucket[], buckets: Map<string, Bucket>, now: number): readonly Spent[] {
  const found = asked.map(({ key, windows, looksOnly = false }) => {
    const bucket = buckets.get(key) ?? emptyBucket()
    return { key, windows, looksOnly, bucket, waitMs: waitOf(bucket, windows, now) }
  })
  const isRefused = found.some(({ waitMs }) => waitMs > 0)
  return found.map(({ key, windows, looksOnly, bucket, waitMs }) => {
    if (isRefused || looksOnly) return { waitMs, nextMs: waitMs, at: now }
    countOne(bucket, windows, now)
    buckets.set(key, bucket)
    return { waitMs: 0, nextMs: waitOf(bucket, windows, now), at: now }
  })
}
