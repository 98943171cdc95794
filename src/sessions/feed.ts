// Which accounts have changed, read from the truth a few times a second: whatever Redis says, a copy from before that is
// believed no more. docs/architecture.md tells what follows from it.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock } from '../clock.ts'
import type { Database } from '../db/schema.ts'
import { type AccountChanged, deleteChangesBefore, listChanges, positionBefore } from './change-rows.ts'
import { ChangedAccounts } from './changed-accounts.ts'

/** For so long after the beginning of a reading, a process knows enough to believe a copy. The bound of docs/guarantees. */
export const freshMs = 1_000
const readEveryMs = 250
/** Until the first reading, which may have to wait for the tables. */
const beginEveryMs = 25
const startWithinMs = 1_000
const pageSize = 5_000
/** Longer than a copy lives, and than servers' clocks differ: what was changed before has no copy from before it. */
const startMs = 20 * 60_000
/** So many positions may be given out and not committed yet: they are looked for, and their neighbours never removed. */
const openCount = 1_000
/** A position that was given out is committed within this time or never: db/transaction.ts gives up far earlier. */
const openMs = 60_000
const keepMs = 3_600_000

export interface FeedOptions {
  /** Of its own, with one connection that nobody else waits for. `close` ends it. */
  readonly db: Database
  readonly clock: Clock
}

/**
 * Positions are given out in the order in which transactions write them, and become visible in the order of their commits. So
 * everything up to `position` has been seen or will never come; what lies behind a position that is still open is seen as
 * soon as it is there, and read again until the open one has come or its time is over.
 */
export class Feed {
  readonly #db: Database
  readonly #clock: Clock
  readonly #changed = new ChangedAccounts()
  /** Seen, but behind a position that is open. */
  readonly #ahead = new Set<number>()
  /** When a position was first missed, on the clock of performance.now(). */
  readonly #missedAt = new Map<number, number>()
  #position = 0
  /** Where the first reading began: of what was changed before, nothing is known. */
  #floor = Number.POSITIVE_INFINITY
  #last = 0
  #freshUntil = Number.NEGATIVE_INFINITY
  readonly #closing = new AbortController()
  #running: Promise<void> = Promise.resolve()

  constructor({ db, clock }: FeedOptions) {
    this.#db = db
    this.#clock = clock
  }

  /** Reads once, and from then on four times a second, until `close`. Where the database is away, goes on trying. */
  async start(): Promise<void> {
    const first = this.#tryRead()
    this.#running = first.then(() => this.#readOn())
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

  /** What is read from the truth from now on has all changes up to here in it. */
  get position(): number {
    return this.#position
  }

  /** Where an account stands in what is remembered here, for `isCurrent`. */
  slotOf(accountId: string): number {
    return this.#changed.slotOf(accountId)
  }

  /** Whether what was read at a position still says what the truth said of the accounts in a slot when this was last read. */
  isCurrent(slot: number, position: number): boolean {
    return position >= this.#floor && position >= this.#changed.lastOf(slot)
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#running
    await this.#db.destroy()
  }

  async #readOn(): Promise<void> {
    const { signal } = this.#closing
    while (!signal.aborted) {
      await sleep(this.hasBegun() ? readEveryMs : beginEveryMs, undefined, { signal, ref: false }).catch(
        () => {},
      )
      if (!signal.aborted) await this.#tryRead()
    }
  }

  async #tryRead(): Promise<void> {
    try {
      const began = performance.now()
      if (!this.hasBegun()) await this.#begin()
      await this.#read()
      this.#freshUntil = began + freshMs
    } catch {
      // What it is good for tells by itself: nothing is fresh, so every check asks the truth, which says what is wrong.
    }
  }

  async #begin(): Promise<void> {
    this.#position = await positionBefore(this.#db, this.#clock.now() - startMs, openCount)
    this.#last = this.#position
    this.#floor = this.#position
  }

  async #read(): Promise<void> {
    for (let after = this.#position; ; ) {
      const changes = await listChanges(this.#db, after, pageSize)
      for (const change of changes) if (!this.#ahead.has(change.position)) this.#note(change)
      const last = changes.at(-1)
      if (!last || changes.length < pageSize) break
      after = last.position
    }
    this.#advance()
  }

  #note({ accountId, position }: AccountChanged): void {
    this.#ahead.add(position)
    for (let missed = Math.max(this.#last + 1, position - openCount); missed < position; missed++) {
      this.#missedAt.set(missed, performance.now())
    }
    this.#missedAt.delete(position)
    this.#last = Math.max(this.#last, position)
    this.#changed.note(accountId, position)
  }

  #advance(): void {
    const overBefore = performance.now() - openMs
    for (let next = this.#position + 1; next <= this.#last; next++) {
      const missedAt = this.#missedAt.get(next)
      if (!this.#ahead.delete(next) && missedAt !== undefined && missedAt > overBefore) return
      this.#missedAt.delete(next)
      this.#position = next
    }
  }
}

/** Removes up to `limit` changes that no server looks back to at `now`, and returns how many. */
export async function forgetOldChanges(db: Database, now: number, limit: number): Promise<number> {
  return await deleteChangesBefore(db, now - keepMs, { keep: openCount, limit })
}
