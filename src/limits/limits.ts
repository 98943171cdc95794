// How often anybody may do what costs money or helps to guess: one table. docs/limits.md shows it, a test compares the two.

/** What is counted. The two checks are the methods of signing in; each has counters of its own for a number. */
export const actions = [
  'send_code',
  'check_code',
  'check_password',
  'change_profile',
  'export_account',
  'rotate_token',
  'end_session',
] as const
export type Action = (typeof actions)[number]
export type Check = 'check_code' | 'check_password'
/** What a signed-in client writes without proving anything again. */
export type SessionWrite = 'change_profile' | 'export_account' | 'rotate_token' | 'end_session'

/**
 * Whose counter it is: `address` an IPv4 address or an IPv6 /64, `network` the /24 or /48 around it, `device` the device
 * id that the app gives, `account` who is signed in and asks, `session` the session that asks, `number` the phone number, `prefix` its country and first 7 national digits, `server` everybody.
 */
export type By = 'address' | 'network' | 'device' | 'account' | 'session' | 'number' | 'prefix' | 'server'

/**
 * `all` tries; only the `wrong` ones; or the wrong ones `in_a_row`, which a success by any method forgets. Each is counted
 * before it is compared, and a right one is taken back, so that parallel tries cannot slip through.
 */
export type Counts = 'all' | 'wrong' | 'in_a_row'

/** At most `max` in any `perSeconds`. */
export interface Limit {
  readonly action: Action
  readonly by: By
  readonly counts: Counts
  readonly max: number
  readonly perSeconds: number
  /** Seconds until the next one after the first, second, … in this window; the last goes on. */
  readonly coolDown?: readonly number[]
}

const minutes = 60
const hours = 3_600
const days = 86_400

/** Between codes to one number. */
const betweenSends = [60, 120, 300, 900]
/** Five wrong ones are free; then the delay doubles, up to a quarter of an hour. */
const betweenFailures = [0, 0, 0, 0, 30, 60, 120, 240, 480, 900]
/** A neighbourhood has five times the room of one address. */
const neighbours = 5

/** Several windows of one counter. */
function limit(action: Action, by: By, counts: Counts, ...windows: (readonly [number, number])[]): Limit[] {
  return windows.map(([max, perSeconds]) => ({ action, by, counts, max, perSeconds }))
}

/** The same windows for an address and, wider, for the network around it. */
function byAddress(action: Action, ...windows: (readonly [number, number])[]): Limit[] {
  const wider = windows.map(([max, perSeconds]) => [max * neighbours, perSeconds] as const)
  return [...limit(action, 'address', 'all', ...windows), ...limit(action, 'network', 'all', ...wider)]
}

/** The ceiling of NIST SP 800-63B-4, section 3.2.2: 100 failures in a row and this method is off for this number. */
function inARow(action: Check): Limit {
  return {
    action,
    by: 'number',
    counts: 'in_a_row',
    max: 100,
    perSeconds: 365 * days,
    coolDown: betweenFailures,
  }
}

/**
 * The table, in the order in which it is asked: the caller's own counters first, so that a caller who is stopped there uses
 * up nothing of the number; what everybody shares last.
 */
export function limitsWith({ smsDailyBudget }: { readonly smsDailyBudget: number }): readonly Limit[] {
  return [
    ...byAddress('send_code', [5, 10 * minutes], [20, hours], [60, days]),
    ...limit('send_code', 'device', 'all', [5, hours], [10, days]),
    ...limit('send_code', 'number', 'all', [3, 10 * minutes]),
    { action: 'send_code', by: 'number', counts: 'all', max: 5, perSeconds: hours, coolDown: betweenSends },
    ...limit('send_code', 'number', 'all', [10, days]),
    ...limit('send_code', 'prefix', 'all', [20, 10 * minutes]),
    ...limit('send_code', 'server', 'all', [smsDailyBudget, days]),

    // A whole city of phones may share the address of a carrier.
    ...byAddress('check_code', [100, 10 * minutes], [1_000, days]),
    ...limit('check_code', 'device', 'all', [30, hours], [100, days]),
    // Whoever holds a token may try codes for one new number after the other.
    ...limit('check_code', 'account', 'all', [30, hours], [100, days]),
    inARow('check_code'),
    ...limit('check_code', 'number', 'wrong', [10, hours], [50, days]),
    // Ten thousand numbers with fifty guesses a day each would be one account lost every second day.
    ...limit('check_code', 'server', 'wrong', [2_000, hours], [10_000, days]),

    ...byAddress('check_password', [100, 10 * minutes], [1_000, days]),
    ...limit('check_password', 'device', 'all', [30, hours], [100, days]),
    ...limit('check_password', 'account', 'all', [30, hours], [100, days]),
    inARow('check_password'),
    ...limit('check_password', 'number', 'all', [30, 10 * minutes], [300, days]),

    // Writes that need no proof. They bound what one account costs the others; no app that people use comes near.
    ...limit('change_profile', 'account', 'all', [30, 10 * minutes], [200, days]),
    ...limit('export_account', 'account', 'all', [5, hours], [20, days]),
    // By session: the holder of a stolen token must not use up what the owner needs to remove that session.
    ...limit('rotate_token', 'session', 'all', [30, 10 * minutes], [300, days]),
    ...limit('end_session', 'session', 'all', [100, 10 * minutes], [1_000, days]),
  ]
}
