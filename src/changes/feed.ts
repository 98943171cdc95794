// The change feed: which accounts have changed. Every process reads it from the database a few times a second
// and hands each change to its subscribers. docs/architecture.md says what relies on it.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock } from '../clock.ts'
import type { Database } from '../database/schema.ts'
import { feedKeepMs, feedStartMs, freshMs, positionOpenMs, readFeedEveryMs } from '../timing.ts'
import { type AccountChange, deleteChangesBefore, listChanges, positionBefore } from './change-rows.ts'

export type { AccountChange } from './change-rows.ts'

/** The pause between tries of the first reading, which may have to wait until the tables exist. */
const beginEveryMs = 25
const startWithinMs = 1_000
const pageSize = 5_000
/**
 * At most this many positions are given out and not committed yet. The feed looks for them, and the last
 * positions are never deleted.
 */
const openCount = 1_000

/** Runs synchronously, so it must be short. What it throws goes to `onBackgroundError`. */
export type ChangeListener = (change: AccountChange) => void

export interface FeedOptions {
  /** Opens one connection of its own, so that no request delays a reading. */
  readonly open: () => Database
  readonly clock: Clock
  /** Called with the error of a subscriber. */
  readonly onBackgroundError?: (error: unknown) => void
}

/**
 * Positions are given out in the order in which transactions write them, and become visible in the order of
 * their commits. So every change up to `position` has been seen or will never come. A change behind a
 * position that is still open is handed on as soon as it is visible; the feed reads from the open position
 * again until that change is visible or its time is over.
 */
export class Feed {
  readonly #open: () => Database
  #db: Database | null = null
  #isStarted = false
  readonly #clock: Clock
  readonly #onBackgroundError: (error: unknown) => void
  readonly #listeners = new Set<ChangeListener>()
  /** Positions that were seen behind an open one. */
  readonly #ahead = new Set<number>()
  /** When a position was first missed, on the clock of performance.now(). */
  readonly #missedAt = new Map<number, number>()
  #position = 0
  #floor = Number.POSITIVE_INFINITY
  #last = 0
  #freshUntil = Number.NEGATIVE_INFINITY
  readonly #closing = new AbortController()
  #running: Promise<void> = Promise.resolve()

  constructor({ open, clock, onBackgroundError = () => {} }: FeedOptions) {
    this.#open = open
    this.#clock = clock
    this.#onBackgroundError = onBackgroundError
  }

  /**
   * Calls a listener once for each change, within 250 ms of its commit while the database answers. The order
   * is that in which changes become visible, which is not that of their positions. The first listener also
   * gets the changes of the last 20 minutes.
   * @returns ends the subscription
   */
  subscribe(listener: ChangeListener): () => void {
    this.#listeners.add(listener)
    if (this.#isStarted) this.#begin().catch(this.#onBackgroundError)
    return () => this.#listeners.delete(listener)
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

  /** Whether every change that was committed a second ago is known. */
  isFresh(): boolean {
    return performance.now() < this.#freshUntil
  }

  /** Whether the feed has been read at least once. */
  hasBegun(): boolean {
    return this.#floor !== Number.POSITIVE_INFINITY
  }

  /** What is read from the database from now on contains all changes up to this position. */
  get position(): number {
    return this.#position
  }

  /**
   * The position where the first reading began; earlier changes are unknown. Infinity: the feed has not been
   * read yet.
   */
  get floor(): number {
    return this.#floor
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
      if (!this.hasBegun()) await this.#findStart(db)
      await this.#read(db)
      this.#freshUntil = began + freshMs
    } catch {
      // Without a reading the feed is not fresh: every check then reads the database itself, and fails with
      // its error.
    }
  }

  async #findStart(db: Database): Promise<void> {
    this.#position = await positionBefore(db, this.#clock.now() - feedStartMs, openCount)
    this.#last = this.#position
    this.#floor = this.#position
  }

  async #read(db: Database): Promise<void> {
    for (let after = this.#position; ; ) {
      const changes = await listChanges(db, after, pageSize)
      for (const change of changes) if (!this.#ahead.has(change.position)) this.#note(change)
      const last = changes.at(-1)
      if (!last || changes.length < pageSize) break
      after = last.position
    }
    this.#advance()
  }

  #note(change: AccountChange): void {
    const { position } = change
    this.#ahead.add(position)
    for (let missed = Math.max(this.#last + 1, position - openCount); missed < position; missed++) {
      this.#missedAt.set(missed, performance.now())
    }
    this.#missedAt.delete(position)
    this.#last = Math.max(this.#last, position)
    for (const listener of this.#listeners) this.#tell(listener, change)
  }

  #tell(listener: ChangeListener, change: AccountChange): void {
    try {
      listener(change)
    } catch (error) {
      this.#onBackgroundError(error)
    }
  }

  #advance(): void {
    const overBefore = performance.now() - positionOpenMs
    for (let next = this.#position + 1; next <= this.#last; next++) {
      const missedAt = this.#missedAt.get(next)
      if (!this.#ahead.delete(next) && missedAt !== undefined && missedAt > overBefore) return
      this.#missedAt.delete(next)
      this.#position = next
    }
  }
}

/** Deletes up to `limit` changes that no server needs any more at `now`, and returns how many it deleted. */
export async function deleteOldChanges(db: Database, now: number, limit: number): Promise<number> {
  return await deleteChangesBefore(db, now - feedKeepMs, { keep: openCount, limit })
}
