// What time it is: the real clock, one that nobody sets, and the one that tests advance.

/** Tells the time in milliseconds since 1970-01-01 UTC. */
export interface Clock {
  now(): number
}

export const systemClock: Clock = { now: () => Date.now() }

/**
 * Runs at a constant pace, also when the clock of the machine is set: for values that end with the process.
 */
export const steadyClock: Clock = { now: () => Math.floor(performance.timeOrigin + performance.now()) }

/** A clock that stands still until it is told to go on; for tests. */
export class ManualClock implements Clock {
  #now: number

  constructor(now = Date.UTC(2026, 0, 1)) {
    this.#now = now
  }

  now(): number {
    return this.#now
  }

  advance(ms: number): void {
    this.#now += ms
  }
}

/**
 * When a day (`2027-01-31`) begins in UTC, in milliseconds since 1970; null where the calendar has no such
 * day.
 */
export function startOfDay(text: string): number | null {
  const at = /^\d{4}-\d\d-\d\d$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN
  // Date.parse takes the 30th of February for the 2nd of March.
  return !Number.isNaN(at) && new Date(at).toISOString().startsWith(text) ? at : null
}
