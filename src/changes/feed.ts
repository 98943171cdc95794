// The change feed: what was committed about which account, read from the database a few times a second by every process, and
// handed to subscribers. docs/architecture.md says what rests on it.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock } from '../clock.ts'
import type { Database } from '../db/schema.ts'
import { feedKeepMs, feedStartMs, freshMs, positionOpenMs, readFeedEveryMs } from '../timing.ts'
import { type AccountChange, deleteChangesBefore, listChanges, positionBefore } from './change-rows.ts'

export type { AccountChange } from './change-rows.ts'

/** Until the first reading, which may have to wait for the tables. */
const beginEveryMs = 25
const startWithinMs = 1_000
const pageSize = 5_000
/** So many positions may be given out and not committed yet: they are looked for, and their neighbours never removed. */
const openCount = 1_000

/** Runs at once, so it is short; what it throws goes to `onBackgroundError`. */
export type ChangeListener = (change: AccountChange) => void

export interface FeedOptions {
  /** Opens one connection of its own, so that no request delays a reading. */
  readonly open: () => Database
  readonly clock: Clock
  /** Gets what a subscriber throws. */
  readonly onBackgroundError?: (error: unknown) => void
}

/**
 * Positions are given out in the order in which transactions write them, and become visible in the order of their commits. So
 * everything up to `position` has been seen or will never come; what lies behind a position that is still open is seen as
 * soon as it is there, and read again until the open one has come or its time is over.
 */
export class Feed {
  readonly #open: () => Database
  #db: Database | null = null
  readonly #clock: Clock
  readonly #onBackgroundError: (error: unknown) => void
  readonly #listeners = new Set<ChangeListener>()
  /** Seen, but behind a position that is open. */
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
   * Calls a listener once for each change, within 250 ms of its commit while the database answers. The order is that in which
   * changes become visible, which is not that of their positions. A listener that subscribes before `start` also gets the
   * changes of the last 20 minutes.
   * @returns ends the subscription
   */
  subscribe(listener: ChangeListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * Reads once, and from then on four times a second, until `close`. Where the database is away, goes on
   * trying. A second call does nothing.
   */
  async start(): Promise<void> {
    if (this.#db) return
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

  /** Whether it has ever been read. */
  hasBegun(): boolean {
    return this.#floor !== Number.POSITIVE_INFINITY
  }

  /** What is read from the database from now on has all changes up to here in it. */
  get position(): number {
    return this.#position
  }

  /** The position where the first reading began: of earlier changes nothing is known. Infinity: it has never been read. */
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
      if (!this.hasBegun()) await this.#begin(db)
      await this.#read(db)
      this.#freshUntil = began + freshMs
    } catch {
      // Without a reading nothing is fresh: every check then asks the database itself, and fails with its error.
    }
  }

  async #begin(db: Database): Promise<void> {
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

/** Removes up to `limit` changes that no server looks back to at `now`, and returns how many. */
export async function deleteOldChanges(db: Database, now: number, limit: number): Promise<number> {
  return await deleteChangesBefore(db, now - feedKeepMs, { keep: openCount, limit })
}
