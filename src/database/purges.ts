// Removes what has had its time, step by step, and only where the clock can be trusted: what is removed never comes back.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock } from '../clock.ts'
import { isUniqueViolation } from './failures.ts'
import { findPurge, insertPurge, updatePurge } from './purge-rows.ts'
import type { Database, PurgesTable } from './schema.ts'

/** One kind of data that is removed when its time is over. */
export interface PurgeStep {
  /** Up to 32 characters, unique; never changed, because `hufu_purges` keeps it. */
  readonly name: string
  /**
   * Removes up to `limit` rows that are due at `now` (milliseconds since 1970 UTC, the only clock to judge by), and
   * returns how many. It is called again as long as it returns `limit` or more.
   */
  readonly remove: (now: number, limit: number) => Promise<number>
}

/** What became of a step. */
export type PurgeOutcome =
  /** All that was due is gone. */
  | { readonly is: 'done' }
  /** The clock jumped by `offMs` since the last visit (null: this is the first one). */
  | { readonly is: 'waiting'; readonly offMs: number | null; readonly waitMs: number }
  /** Our clock and that of the database are `offMs` apart. */
  | { readonly is: 'clocks_differ'; readonly offMs: number }
  /** Another process is at it. */
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
  /** Goes on at the same pace when the machine's clock is set. */
  readonly steady: Clock
  /** Reads the clock of the database, which is the one that purges go by. */
  readonly databaseNow: () => Promise<number>
  readonly steps: readonly PurgeStep[]
}

/** Our clock and that of the database may be so far apart. */
const apartMs = 60_000
/** A clock that is further from where it should be has jumped, or nobody ran for that long. */
const jumpMs = 86_400_000
/** After a jump a step waits for so long, by a clock that nobody sets: time for a person to see the warning. */
const waitAfterJumpMs = 86_400_000
const batchSize = 500

export class Purges {
  readonly #options: PurgesOptions
  /** When this process last visited a step, by the steady clock. */
  readonly #visitedAt = new Map<string, number>()

  constructor(options: PurgesOptions) {
    this.#options = options
  }

  /**
   * Runs every step that may run now; a step that fails stops no other one.
   * @param isClockRight a person says that the time is right: no step waits
   * @throws the driver's error where the database does not even tell its time
   */
  async run({ isClockRight = false } = {}): Promise<PurgeReport[]> {
    const { clock, databaseNow, steps } = this.#options
    const before = clock.now()
    const now = await databaseNow()
    // The answer was under way between two looks at our clock.
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

  /** Whether the step may run (`done`), and writes that it was visited. */
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
  /** Since the last visit of this process, by the steady clock. */
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
 * How long a step has to wait. The clock should be where the last visit left it, and as much later as this process knows
 * to have passed; other processes may have visited the step in between.
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

/** In batches, with a pause as long as each one took: requests come first. */
async function removeAll(step: PurgeStep, now: number, progress: { removed: number }): Promise<void> {
  for (;;) {
    const began = performance.now()
    const count = await step.remove(now, batchSize)
    progress.removed += count
    if (count < batchSize) return
    await sleep(performance.now() - began)
  }
}
