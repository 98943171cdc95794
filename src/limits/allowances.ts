// The numbers of the table of limits that an operator may set: their windows, defaults and bounds.

/** At most `max` in any `perSeconds`, for each window of one counter. */
export type Allowance = readonly (readonly [max: number, perSeconds: number])[]

export interface AdjustableAllowance {
  readonly byDefault: Allowance
  /** The lowest counts, with the same windows. */
  readonly atLeast: Allowance
  /** The highest count in any window. */
  readonly atMost: number
}

const minutes = 60
const hours = 3_600
const days = 86_400

interface Numbers {
  readonly byDefault: readonly number[]
  readonly atLeast: readonly number[]
  readonly atMost: number
}

/** @param windows seconds; the counts are in their order */
function adjustable(
  windows: readonly number[],
  { byDefault, atLeast, atMost }: Numbers,
): AdjustableAllowance {
  const inWindows = (counts: readonly number[]): Allowance =>
    windows.map((perSeconds, i) => [counts[i] ?? 0, perSeconds])
  return { byDefault: inWindows(byDefault), atLeast: inWindows(atLeast), atMost }
}

const tenMinutes = 10 * minutes
const million = 1_000_000

/**
 * The windows are fixed, because servers with different settings share their counters, which are stored by
 * window. Within these bounds, docs/limits.md stays true: an owner can sign in, and guesses are as rare. The
 * limits of wrong guesses cannot be set.
 */
export const adjustableAllowances = {
  // With less, a few impatient people would lock out everyone else at their address.
  refusedPerAddress: adjustable([tenMinutes], { byDefault: [120], atLeast: [20], atMost: million }),
  // With less, one person could not request as many codes as the limits of one caller allow.
  codesPerAddress: adjustable([tenMinutes, hours, days], {
    byDefault: [5, 20, 60],
    atLeast: [3, 5, 10],
    atMost: million,
  }),
  codesPerDevice: adjustable([hours, days], { byDefault: [5, 10], atLeast: [5, 10], atMost: 10_000 }),
  // With less, attackers could lock an owner out for longer than a day; more has no effect, because of the
  // waits between messages.
  codesPerNumber: adjustable([days], { byDefault: [10], atLeast: [5], atMost: 10 }),
  codesPerPrefix: adjustable([tenMinutes], { byDefault: [20], atLeast: [5], atMost: million }),
  signInsPerAddress: adjustable([tenMinutes, days], {
    byDefault: [100, 1_000],
    atLeast: [20, 50],
    atMost: 100_000,
  }),
  signInsPerDevice: adjustable([hours, days], { byDefault: [30, 100], atLeast: [20, 50], atMost: 10_000 }),
  profileChangesPerSession: adjustable([tenMinutes, days], {
    byDefault: [30, 200],
    atLeast: [1, 1],
    atMost: 10_000,
  }),
  exportsPerSession: adjustable([hours, days], { byDefault: [5, 20], atLeast: [1, 1], atMost: 1_000 }),
  rotationsPerSession: adjustable([tenMinutes, days], {
    byDefault: [30, 300],
    atLeast: [5, 20],
    atMost: 10_000,
  }),
  // With less, an owner could not remove the sessions of a thief one by one.
  endedSessionsPerSession: adjustable([tenMinutes, days], {
    byDefault: [100, 1_000],
    atLeast: [20, 100],
    atMost: 100_000,
  }),
} as const

export type AllowanceName = keyof typeof adjustableAllowances
export type Allowances = Readonly<Record<AllowanceName, Allowance>>

export const allowanceNames = Object.keys(adjustableAllowances) as readonly AllowanceName[]

/** An allowance for each name. */
export function allowancesOf(
  allowanceOf: (about: AdjustableAllowance, name: AllowanceName) => Allowance,
): Allowances {
  const entries = allowanceNames.map((name) => [name, allowanceOf(adjustableAllowances[name], name)])
  // The entries have every name, from the list above.
  return Object.fromEntries(entries) as Allowances
}

export const defaultAllowances = allowancesOf(({ byDefault }) => byDefault)

/** How many times the allowance of an address its network has. A /24 has 256 addresses. */
export const networkFactor = { byDefault: 5, from: 1, to: 256 } as const

/** `5/10m,20/1h,60/1d` */
export function allowanceText(allowance: Allowance): string {
  return allowance.map(([max, perSeconds]) => `${max}/${windowText(perSeconds)}`).join(',')
}

/** The length of a window: `10m`, `1h`, `1d`. */
export function windowText(perSeconds: number): string {
  if (perSeconds % days === 0) return `${perSeconds / days}d`
  return perSeconds % hours === 0 ? `${perSeconds / hours}h` : `${perSeconds / minutes}m`
}
