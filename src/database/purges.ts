// Deletes expired data, step by step, and only while the clock can be trusted: a deletion cannot be undone.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock } from '../clock.ts'
import { isUniqueViolation } from './failures.ts'
import { findPurge, insertPurge, updatePurge } from './purge-rows.ts'
import type { Database, PurgesTable } from './schema.ts'

/** One kind of data that is deleted when it expires. */
export interface PurgeStep {
  /** Up to 32 characters, unique; never changed, because `hufu_purges` keeps it. */
  readonly name: string
  /**
   * Deletes up to `limit` rows that are due at `now` (milliseconds since 1970 UTC, the only clock to use),
   * and returns how many. It is called again as long as it returns `limit` or more.
   */
  readonly remove: (now: number, limit: number) => Promise<number>
}

/** The outcome of a step. */
export type PurgeOutcome =
  /** All due rows are deleted. */
  | { readonly is: 'done' }
  /** The clock jumped by `offMs` since the last visit (null: this is the first one). */
  | { readonly is: 'waiting'; readonly offMs: number | null; readonly waitMs: number }
  /** This process's clock and the database's differ by `offMs`. */
  | { readonly is: 'clocks_differ'; readonly offMs: number }
  /** Another process runs the step. */
  | { readonly is: 'elsewhere' }
  | { readonly is: 'failed'; readonly error: unknown }

export interface PurgeReport {
  readonly step: string
  readonly outcome: PurgeOutcome
  readonly removed: number
}

export interface PurgesOptions {
  readonly db: Database
  readonly clock: Clock
  /** Runs at a constant pace, also when the system's clock is set. */
  readonly steady: Clock
  /** Reads the database's clock, which decides what has expired. */
  readonly databaseNow: () => Promise<number>
  readonly steps: readonly PurgeStep[]
}

/** The largest accepted difference between this process's clock and the database's. */
const apartMs = 60_000
/** A clock that is further from its expected time has jumped, or no process has run for that long. */
const jumpMs = 86_400_000
/** After a jump a step waits for so long, by the steady clock, so that an operator can see the warning. */
const waitAfterJumpMs = 86_400_000
const batchSize = 500

export class Purges {
  readonly #options: PurgesOptions
  /** This process's last visit of each step, by the steady clock. */
  readonly #visitedAt = new Map<string, number>()

  constructor(options: PurgesOptions) {
    this.#options = options
  }

  /**
   * Runs every step that may run now. A failing step does not stop the others.
   * @param isClockRight an operator confirms the time: no step waits
   * @throws the driver's error where the database's clock cannot be read
   */
  async run({ isClockRight = false } = {}): Promise<PurgeReport[]> {
    const { clock, databaseNow, steps } = this.#options
    const before = clock.now()
    const now = await databaseNow()
    // The database's time lies between these two readings of this process's clock.
    const offMs = now < before ? now - before : Math.max(0, now - clock.now())
    if (Math.abs(offMs) > apartMs && !isClockRight) {
      return steps.map(({ name }) => ({ step: name, outcome: { is: 'clocks_differ', offMs }, removed: 0 }))
    }
    const reports: PurgeReport[] = []
    for (const step of steps) reports.push(await this.#visit(step, now, isClockRight))
    return reports
  }

  async #visit(step: PurgeStep, now: number, isClockRight: boolean): Promise<PurgeReport> {
    const progress = { removed: 0 }
    const report = (outcome: PurgeOutcome) => ({ step: step.name, outcome, removed: progress.removed })
    try {
      const outcome = await this.#judge(step.name, now, isClockRight)
      if (outcome.is === 'done') await removeAll(step, now, progress)
      return report(outcome)
    } catch (error) {
      return report({ is: 'failed', error })
    }
  }

  /** Whether the step may run (`done`). Writes the visit. */
  async #judge(name: string, now: number, isClockRight: boolean): Promise<PurgeOutcome> {
    const { db, steady } = this.#options
    const row = await findPurge(db, name)
    const steadyNow = steady.now()
    const elapsedMs = steadyNow - (this.#visitedAt.get(name) ?? steadyNow)
    const { next, outcome } = judge(name, row, { now, elapsedMs, isClockRight })
    const isOurs = row === null ? await inserted(db, next) : await updatePurge(db, row, next)
    this.#visitedAt.set(name, steadyNow)
    return isOurs ? outcome : { is: 'elsewhere' }
  }
}

interface Visit {
  readonly now: number
  /** The time since this process's last visit, by the steady clock. */
  readonly elapsedMs: number
  readonly isClockRight: boolean
}

function judge(
  name: string,
  row: PurgesTable | null,
  visit: Visit,
): { next: PurgesTable; outcome: PurgeOutcome } {
  const { now, isClockRight } = visit
  const { waitMs, offMs } = isClockRight ? { waitMs: 0, offMs: null } : waitAt(row, visit)
  const ran_at = waitMs === 0 ? now : (row?.ran_at ?? null)
  const outcome: PurgeOutcome = waitMs === 0 ? { is: 'done' } : { is: 'waiting', offMs, waitMs }
  return { next: { name, seen_at: now, wait_ms: waitMs, ran_at }, outcome }
}

/**
 * How long a step must wait. The expected time is that of the last visit plus the time that this process has
 * measured since; other processes may have visited the step in between.
 */
function waitAt(
  row: PurgesTable | null,
  { now, elapsedMs }: Visit,
): { waitMs: number; offMs: number | null } {
  if (row === null) return { waitMs: waitAfterJumpMs, offMs: null }
  const sinceSeen = now - row.seen_at
  if (sinceSeen < -jumpMs) return { waitMs: waitAfterJumpMs, offMs: sinceSeen }
  if (sinceSeen > elapsedMs + jumpMs) return { waitMs: waitAfterJumpMs, offMs: sinceSeen - elapsedMs }
  const passedMs = Math.max(0, Math.min(elapsedMs, sinceSeen))
  return { waitMs: Math.max(0, row.wait_ms - passedMs), offMs: 0 }
}

async function inserted(db: Database, row: PurgesTable): Promise<boolean> {
  try {
    await insertPurge(db, row)
    return true
  } catch (error) {
    if (isUniqueViolation(error)) return false
    throw error
  }
}

/** Deletes in batches, with a pause as long as each batch took, so that requests come first. */
async function removeAll(step: PurgeStep, now: number, progress: { removed: number }): Promise<void> {
  for (;;) {
    const began = performance.now()
    const count = await step.remove(now, batchSize)
    progress.removed += count
    if (count < batchSize) return
    await sleep(performance.now() - began)
  }
}
