// The change feed: which accounts have changed. Every process reads it from the database a few times a second
// and hands each change to its subscribers. docs/coherence.md says what relies on it, and why it is right.
import { setTimeout as sleep } from 'node:timers/promises'
import type { RawBuilder } from 'kysely'
import type { Clock } from '../clock.ts'
import type { Database } from '../database/schema.ts'
import { feedKeepMs, feedStartMs, freshMs, lateMs, readAgainMs, readFeedEveryMs } from '../timing.ts'
import {
  type AccountChange,
  beginHistory,
  deleteChangesBefore,
  type FeedPage,
  type FeedReading,
  findStart,
  type MarkedChange,
  newHistory,
  readChanges,
  type WrittenChange,
} from './change-rows.ts'
import { UnsteppedChanges } from './unstepped-changes.ts'

export type { AccountChange } from './change-rows.ts'

/** The pause between tries of the first reading, which may have to wait until the tables exist. */
const beginEveryMs = 25
const startWithinMs = 1_000
const pageSize = 5_000
/** More changes than a database commits within `lateMs`. The last ones are never deleted. */
const lateCount = 5_000
/** How often a process that starts looks whether the history is one that it may accept. */
const historyTries = 3
/** How many of the last changes are read again for `readAgainMs`. */
const readAgainCount = 200

/** Runs synchronously, so it must be short. What it throws goes to `onBackgroundError`. */
export type ChangeListener = (change: AccountChange) => void

/**
 * Remembers, outside of this process and of the database, that the feed of a history is being read. A process
 * that starts asks it: without a reader, a restore of the database went unnoticed.
 */
export interface HistoryWatch {
  /** Never throws. */
  isWatched(history: string): Promise<boolean>
  /** Called before a history begins, and after each reading. Never throws. */
  watched(history: string): Promise<void>
}

/** Distinguishes the database server that this process uses from others that a connection may lead to. */
export interface ServerProof {
  /** Identifies the server that answers a statement. */
  readonly expression: RawBuilder<string>
  /** Whether a reading that was answered by this server may be trusted. */
  trusts(server: string): boolean
  /** Whether another server may have lost commits that this one had: not so among the nodes of a cluster. */
  mayHaveLost(): boolean
}

export interface FeedOptions {
  /** Opens one connection of its own, so that no request delays a reading. */
  readonly open: () => Database
  readonly clock: Clock
  /** Absent: the connection always leads to the same server. */
  readonly server?: ServerProof
  /** Called with the error of a subscriber. */
  readonly onBackgroundError?: (error: unknown) => void
}

interface Sample {
  /** On the clock of performance.now(). */
  readonly at: number
  readonly step: number
}

interface Recent {
  readonly step: number
  readonly seenAt: number
}

/** The database has lost commits, or may have, or another process has found that out. */
class OtherHistory extends Error {}

/** The connection leads to a server that this process does not use. */
class OtherServer extends Error {}

/**
 * Each change gets a step that is greater than every step which was visible when it was written. So a change
 * whose transaction began after a moment has a greater step than all that were visible at that moment; and as
 * transactions take at most `lateMs` (or write their change once more), a reading finds all changes that it
 * must find if it begins at the greatest step known `lateMs` before the last reading. It finds the others a
 * second time. If one of them is missing, the database has lost commits, and a new history begins: everything
 * that was read before is void.
 */
export class Feed {
  readonly #open: () => Database
  #db: Database | null = null
  #isStarted = false
  readonly #clock: Clock
  readonly #server: ServerProof | null
  readonly #onBackgroundError: (error: unknown) => void
  readonly #listeners = new Set<ChangeListener>()
  readonly #historyListeners = new Set<() => void>()
  #watch: HistoryWatch | null = null
  #history = ''
  /** The server that answered the last reading; null: none did in this history. */
  #readFrom: string | null = null
  /** The changes that the next reading must find again, by their marks. */
  readonly #recent = new Map<string, Recent>()
  /** The steps of committed changes of this process, which the next reading must find, by their marks. */
  readonly #written = new Map<string, number>()
  /** The greatest step that was known at a time: the last one from `lateMs` ago, and all since. */
  #samples: Sample[] = []
  readonly #unstepped = new UnsteppedChanges()
  #from = 0
  #newest = 0
  #position = 0
  #floor = Number.POSITIVE_INFINITY
  #freshUntil = Number.NEGATIVE_INFINITY
  readonly #closing = new AbortController()
  #running: Promise<void> = Promise.resolve()

  constructor({ open, clock, server, onBackgroundError = () => {} }: FeedOptions) {
    this.#open = open
    this.#server = server ?? null
    this.#clock = clock
    this.#onBackgroundError = onBackgroundError
  }

  /**
   * Calls a listener once for each change, within 250 ms of its commit while the database answers. The order
   * is that in which changes become visible, which is not that of their steps. The first listener also gets
   * the changes of the last 20 minutes.
   * @returns ends the subscription
   */
  subscribe(listener: ChangeListener): () => void {
    this.#listeners.add(listener)
    if (this.#isStarted) this.#begin().catch(this.#onBackgroundError)
    return () => this.#listeners.delete(listener)
  }

  /**
   * Calls a listener when another history of the database begins, because the database has lost commits.
   * Nothing that was read or handed on before is true any longer. The changes of the last 20 minutes follow.
   */
  onHistory(listener: () => void): void {
    this.#historyListeners.add(listener)
  }

  /**
   * Keeps what outlives this process. Without it, a process that starts accepts the history that it finds.
   */
  watchBy(watch: HistoryWatch): void {
    this.#watch = watch
  }

  /**
   * Reads once, and then four times a second until `close`. While the database is unreachable, it goes on
   * trying. Without a listener it reads nothing until the first one subscribes.
   */
  async start(): Promise<void> {
    this.#isStarted = true
    if (this.#listeners.size > 0) await this.#begin()
  }

  async #begin(): Promise<void> {
    if (this.#db || this.#closing.signal.aborted) return
    const db = this.#open()
    this.#db = db
    const first = this.#tryRead(db)
    this.#running = first.then(() => this.#readOn(db))
    await Promise.race([first, sleep(startWithinMs, undefined, { ref: false })])
  }

  /**
   * Expects a change that this process has committed in this history: the database may lose it before the
   * next reading, when nothing but this process knows of it.
   */
  expect({ mark, step }: WrittenChange, history: string): void {
    if (this.hasBegun() && history === this.#history) this.#written.set(mark, step)
  }

  /** Whether every change that was committed a second ago is known. */
  isFresh(): boolean {
    return performance.now() < this.#freshUntil
  }

  /** Whether the feed has been read at least once in the present history. */
  hasBegun(): boolean {
    return this.#floor !== Number.POSITIVE_INFINITY
  }

  /** What is read from the database from now on contains all changes up to this step. */
  get position(): number {
    return this.#position
  }

  /**
   * The step where the first reading began; earlier changes are unknown. Infinity: the feed has not been read
   * yet.
   */
  get floor(): number {
    return this.#floor
  }

  /** Identifies the commits that the database has kept; empty: the feed has not been read yet. */
  get history(): string {
    return this.hasBegun() ? this.#history : ''
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#running
    await this.#db?.destroy()
  }

  async #readOn(db: Database): Promise<void> {
    const { signal } = this.#closing
    while (!signal.aborted) {
      await sleep(this.hasBegun() ? readFeedEveryMs : beginEveryMs, undefined, { signal, ref: false }).catch(
        () => {},
      )
      if (!signal.aborted) await this.#tryRead(db)
    }
  }

  async #tryRead(db: Database): Promise<void> {
    try {
      const began = performance.now()
      if (this.hasBegun()) await this.#read(db, began)
      else await this.#readFirst(db, began)
      this.#freshUntil = began + freshMs
      this.#watch?.watched(this.#history).catch(() => {})
    } catch (error) {
      if (error instanceof OtherHistory) this.#forget()
      // Without a reading the feed is not fresh: every check then reads the database itself, and fails with
      // its error.
    }
  }

  async #readFirst(db: Database, began: number): Promise<void> {
    const { from, again } = await findStart(db, this.#clock.now() - feedStartMs, lateCount)
    this.#history = await this.#findHistory(db, from)
    this.#from = from
    this.#samples = [{ at: Number.NEGATIVE_INFINITY, step: again }]
    await this.#read(db, began)
    this.#floor = from
  }

  /** The history of the database, or a new one where no process has watched it. */
  async #findHistory(db: Database, from: number): Promise<string> {
    let own: string | null = null
    // Of several processes that start at once, the first one begins a history, and the others accept it.
    for (let tries = 0; tries < historyTries; tries++) {
      const { history } = await this.#readPage(db, { from, limit: 1 })
      const isAccepted =
        !this.#watch || history === own || (history && (await this.#watch.isWatched(history)))
      if (history !== null && isAccepted) return history
      own = await this.#beginHistory(db, history)
    }
    throw new OtherHistory()
  }

  async #beginHistory(db: Database, after: string | null): Promise<string> {
    const history = newHistory()
    await this.#watch?.watched(history)
    await beginHistory(db, history, after)
    return history
  }

  async #read(db: Database, began: number): Promise<void> {
    // The readings have passed a change whose commit was late. Its writer writes it once more.
    for (const [mark, step] of this.#written) if (step < this.#from) this.#written.delete(mark)
    const expected = new Set([...this.#recent.keys(), ...this.#written.keys()])
    for (let from = this.#from, limit = pageSize; ; ) {
      const page = await this.#readPage(db, { from, limit })
      await this.#assertSameHistory(db, page)
      const { changes, unstepped } = page
      for (const change of changes) {
        expected.delete(change.mark)
        if (!this.#recent.has(change.mark)) this.#note(change)
      }
      const last = changes.at(-1)
      if (!last || changes.length < limit) {
        await this.#unstepped.read(db, unstepped, (change) =>
          this.#tell({ ...change, step: this.#newest + 1 }),
        )
        break
      }
      // The page ends among changes that share a step: they come again with the next one.
      if (last.step === from) limit *= 2
      from = last.step
    }
    if (expected.size > 0) await this.#changeHistory(db)
    this.#settle(began)
  }

  async #readPage(db: Database, reading: Pick<FeedReading, 'from' | 'limit'>): Promise<FeedPage> {
    const proof = this.#server
    const page = await readChanges(db, { ...reading, ...(proof && { server: proof.expression }) })
    if (proof && !proof.trusts(page.server ?? '')) throw new OtherServer()
    return page
  }

  /**
   * Another server than that of the last reading may have lost commits which no process has seen.
   * @throws OtherHistory
   */
  async #assertSameHistory(db: Database, { history, server }: FeedPage): Promise<void> {
    if (history !== this.#history) throw new OtherHistory()
    const isOther = this.#readFrom !== null && this.#readFrom !== server
    this.#readFrom = server
    if (isOther && this.#server?.mayHaveLost()) await this.#changeHistory(db)
  }

  /** @throws OtherHistory always: whatever was read counts no more */
  async #changeHistory(db: Database): Promise<never> {
    await this.#beginHistory(db, this.#history)
    throw new OtherHistory()
  }

  #note(change: MarkedChange): void {
    const { step, mark, accountId, kind } = change
    this.#recent.set(mark, { step, seenAt: performance.now() })
    this.#written.delete(mark)
    this.#newest = Math.max(this.#newest, step)
    this.#tell({ step, accountId, kind })
  }

  #tell(change: AccountChange): void {
    for (const listener of this.#listeners) {
      try {
        listener(change)
      } catch (error) {
        this.#onBackgroundError(error)
      }
    }
  }

  /** Decides where the next reading begins. */
  #settle(began: number): void {
    this.#samples.push({ at: performance.now(), step: this.#newest })
    while ((this.#samples[1]?.at ?? Number.POSITIVE_INFINITY) <= began - lateMs) this.#samples.shift()
    this.#position = this.#samples[0]?.step ?? 0
    const again = [...this.#recent.values()]
      .filter(({ seenAt }) => seenAt > began - readAgainMs)
      .map(({ step }) => step)
      .sort((a, b) => b - a)
    this.#from = Math.min(this.#position, again[Math.min(again.length, readAgainCount) - 1] ?? this.#position)
    for (const [mark, { step }] of this.#recent) if (step < this.#from) this.#recent.delete(mark)
  }

  /** Starts from the beginning, as a new process does. */
  #forget(): void {
    this.#freshUntil = Number.NEGATIVE_INFINITY
    this.#floor = Number.POSITIVE_INFINITY
    this.#position = 0
    this.#newest = 0
    this.#readFrom = null
    this.#recent.clear()
    this.#written.clear()
    this.#unstepped.clear()
    for (const listener of this.#historyListeners) listener()
  }
}

/** Deletes up to `limit` changes that no server needs any more at `now`, and returns how many it deleted. */
export async function deleteOldChanges(db: Database, now: number, limit: number): Promise<number> {
  return await deleteChangesBefore(db, now - feedKeepMs, { keep: lateCount, limit })
}
