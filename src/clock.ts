// Clocks: the system's clock, a steady clock, and one that tests advance.

/** Returns the time in milliseconds since 1970-01-01 UTC. */
export interface Clock {
  now(): number
}

export const systemClock: Clock = { now: () => Date.now() }

/** Runs at a constant pace, also when the system's clock is set: for values that end with the process. */
export const steadyClock: Clock = { now: () => Math.floor(performance.timeOrigin + performance.now()) }

/** A clock that moves only when a test advances it. */
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
 * The start of a day (`2027-01-31`) in UTC, in milliseconds since 1970; null where the calendar has no such
 * day.
 */
export function startOfDay(text: string): number | null {
  const at = /^\d{4}-\d\d-\d\d$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN
  // Date.parse reads the 30th of February as the 2nd of March.
  return !Number.isNaN(at) && new Date(at).toISOString().startsWith(text) ? at : null
}
