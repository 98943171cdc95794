// The limits of everything that costs money or helps to guess a secret, in one table. docs/limits.md shows
// it, and a test compares the two.

import { type Allowance, type Allowances, defaultAllowances, networkFactor } from './allowances.ts'

/** What is counted. */
export type Action = 'refused' | 'send_code' | Check['action'] | SessionWrite
/**
 * The check of a secret that can be guessed. The sign-in method that checks it declares it, and the table has
 * the same kinds of counters for each.
 */
export interface Check {
  readonly action: `check_${string}`
  /** Wrong guesses in a row of one caller at one number, and wrong guesses at one number. */
  readonly perDay: { readonly caller: number; readonly number: number }
  /** Wrong guesses of the whole installation in a day. Absent: they have no limit of their own. */
  readonly perDayOfServer?: (smsDailyBudget: number) => number
  /**
   * The comparison has a queue of its own, such as the one for password hashes. Absent: the limiter bounds
   * the number of attempts that are in progress.
   */
  readonly hasOwnQueue?: true
}

/** Writes of a signed-in client that require no further credential. */
export type SessionWrite = 'change_profile' | 'export_account' | 'rotate_token' | 'end_session'

/**
 * What a counter counts by. The caller's own counters: `proof` the device proof (or the session of the
 * account whose number it is), `caller` the address together with the number, `device` the address together
 * with the id that the app gives, `account` and `session` of a signed-in client, `address` an IPv4 address or
 * an IPv6 /64, `network` the /24 or /48 around it. Counters that all callers share: `number` the phone
 * number, `prefix` its country and first 7 national digits, `country` its country alone, `server` the whole
 * installation.
 */
export type CountedBy =
  | 'proof'
  | 'caller'
  | 'device'
  | 'account'
  | 'session'
  | 'address'
  | 'network'
  | 'number'
  | 'prefix'
  | 'country'
  | 'server'

/**
 * `all` attempts; only the `wrong` ones; or the wrong ones `in_a_row`, which a success of the same caller by
 * any method forgets. An attempt is counted before the comparison and refunded where it was correct, so that
 * parallel attempts cannot exceed the limit.
 */
export type Counts = 'all' | 'wrong' | 'in_a_row'

/**
 * Which callers a limit counts: all of them, those with or those without a good device proof for the number,
 * or those without one that ask for a message to a number `without_account`.
 */
export type Callers = 'all' | 'without_proof' | 'without_account' | 'with_proof'

/** At most `max` in any `perSeconds`. */
export interface Limit {
  readonly action: Action
  readonly by: CountedBy
  readonly callers: Callers
  readonly counts: Counts
  readonly max: number
  readonly perSeconds: number
  /** The country that a limit by `country` applies to (ISO 3166-1). */
  readonly country?: string
  /** Seconds from the first, second, … attempt in this window to the next; the last value repeats. */
  readonly backoff?: readonly number[]
}

const minutes = 60
const hours = 3_600
const days = 86_400

type Windows = readonly (readonly [max: number, perSeconds: number, backoff?: readonly number[]])[]

/** Seconds between one caller's requests for codes for one number. */
const betweenSends = [60, 120, 300, 900]
/** Requests for codes for one number by one caller, or with one device proof. */
const sendsOfOne: Windows = [
  [3, 10 * minutes],
  [5, hours, betweenSends],
  [10, days],
]
/**
 * Seconds between messages to one number for all callers without a device proof. The wait grows with the
 * messages of the last day, so that an attacker cannot use up a day's messages in an hour: a message is
 * possible at least every four hours, and it reaches the owner's phone.
 */
const betweenMessages = [60, 120, 900, 3_600, 14_400]
/**
 * Attempts with one device proof. Right ones have no other limit, and each writes a session and its events. A
 * person does not sign in every 36 seconds for an hour, and neither does a developer with an app in the hand.
 */
const attemptsWithProof: Windows = [
  [100, hours],
  [500, days],
]
/**
 * Attempts at one number from one address, with any of its device proofs: a client that shows none gets a new
 * one at each sign-in, with counters of its own. Enough for three installations.
 */
const attemptsWithProofs: Windows = [
  [300, hours],
  [1_000, days],
]
/** Five wrong attempts cause no wait; then the wait doubles, up to 15 minutes. */
const betweenFailures = [0, 0, 0, 0, 30, 60, 120, 240, 480, 900]
/** All sessions of an account have three times the allowance of one. */
const sessionsOfAccount = 3

type RuleOf = Pick<Limit, 'action' | 'by' | 'callers' | 'counts'>

/** One rule: the limits of one counter, with all its windows. */
function rule(action: Action, by: CountedBy, callers: Callers, counts: Counts, ...windows: Windows): Limit[] {
  const about: RuleOf = { action, by, callers, counts }
  return windows.map(([max, perSeconds, backoff]) => ({
    ...about,
    max,
    perSeconds,
    ...(backoff && { backoff }),
  }))
}

/** Limits of an address, and larger limits with the same windows for its network. */
function byAddress(action: Action, windows: Allowance, factor: number): Limit[] {
  const wider = windows.map(([max, perSeconds]) => [max * factor, perSeconds] as const)
  return [
    ...rule(action, 'address', 'without_proof', 'all', ...windows),
    ...rule(action, 'network', 'without_proof', 'all', ...wider),
  ]
}

/** Limits of one caller's consecutive wrong guesses at one number, by one method. */
function byCaller({ action, perDay }: Check): Limit[] {
  return rule(action, 'caller', 'without_proof', 'in_a_row', [perDay.caller, days, betweenFailures])
}

/**
 * A stolen proof allows no more guesses than the number allows to all callers without a proof. When `all` is
 * reached, the proof is treated as missing.
 */
function byProof({ action }: Check): Limit[] {
  return [
    ...rule(action, 'proof', 'with_proof', 'in_a_row', [20, days, betweenFailures]),
    ...rule(action, 'proof', 'with_proof', 'wrong', [realGuessesPerMonth, 30 * days]),
    ...rule(action, 'proof', 'with_proof', 'all', ...attemptsWithProof),
    ...rule(action, 'caller', 'with_proof', 'all', ...attemptsWithProofs),
  ]
}

/**
 * Limits by session, so that the holder of a stolen token uses up only that session's allowance; and larger
 * ones for all sessions of the account, which bound the cost of an account with many sessions. Not for ending
 * sessions: no session may keep another one from that.
 */
function bySession(action: SessionWrite, windows: Allowance): Limit[] {
  const wider = windows.map(([max, perSeconds]) => [max * sessionsOfAccount, perSeconds] as const)
  return [
    ...rule(action, 'session', 'all', 'all', ...windows),
    ...rule(action, 'account', 'all', 'all', ...wider),
  ]
}

/** Wrong guesses at one number by one method, of all callers without a device proof: 365 a year. */
const realGuessesPerMonth = 30

function byNumber({ action, perDay }: Check): Limit[] {
  const windows: Windows = [
    [perDay.number, days],
    [realGuessesPerMonth, 30 * days],
  ]
  return rule(action, 'number', 'without_proof', 'wrong', ...windows)
}

/**
 * Shares of the installation's messages of a day. Messages to numbers without an account may use three
 * quarters, so that a sweep through ranges of numbers leaves some for people with an account, and the last
 * eighth is reserved for callers with a device proof.
 */
const withoutAccount = 3 / 4
const withoutProof = 7 / 8

export interface LimitsOptions {
  /** What can be guessed: `signInChecks` of authentication/methods/methods.ts. */
  readonly checks: readonly Check[]
  readonly smsDailyBudget: number
  /**
   * The messages of a day for each country (ISO 3166-1) that gets codes. Empty: only the daily budget
   * applies.
   */
  readonly smsCountries?: ReadonlyMap<string, number>
  /** Absent: those of the table in docs/limits.md. */
  readonly allowances?: Allowances
  /** How many times the allowance of an address its network has. */
  readonly networkFactor?: number
}

/** The shares of a day's budget that only some callers may use. */
function budgetShares(by: 'server' | 'country', budget: number): Limit[] {
  return [
    ...rule('send_code', by, 'without_account', 'all', [Math.ceil(budget * withoutAccount), days]),
    ...rule('send_code', by, 'without_proof', 'all', [Math.ceil(budget * withoutProof), days]),
  ]
}

/**
 * A country has the same shares as the installation; a country that may use all messages of the day needs no
 * counters.
 */
function byCountry({ smsDailyBudget, smsCountries = new Map() }: LimitsOptions): Limit[] {
  return [...smsCountries]
    .filter(([, max]) => max < smsDailyBudget)
    .flatMap(([country, max]) =>
      [...rule('send_code', 'country', 'all', 'all', [max, days]), ...budgetShares('country', max)].map(
        (limit) => ({ ...limit, country }),
      ),
    )
}

/** The table, from the narrowest counter of an action to the widest. docs/limits.md explains it. */
export function limitsWith(options: LimitsOptions): readonly Limit[] {
  const allowances = options.allowances ?? defaultAllowances
  const factor = options.networkFactor ?? networkFactor.byDefault
  return [
    ...rule('refused', 'address', 'without_proof', 'all', ...allowances.refusedPerAddress),
    ...sends(options, allowances, factor),
    ...options.checks.flatMap((check) => [
      ...guesses(check, allowances, factor),
      ...guessesOfServer(check, options),
    ]),
    ...writes(allowances),
  ]
}

function sends(options: LimitsOptions, allowances: Allowances, factor: number): Limit[] {
  const { smsDailyBudget } = options
  const number: Windows = allowances.codesPerNumber.map((window) => [...window, betweenMessages])
  return [
    ...rule('send_code', 'proof', 'with_proof', 'all', ...sendsOfOne),
    ...rule('send_code', 'caller', 'without_proof', 'all', ...sendsOfOne),
    ...rule('send_code', 'device', 'without_proof', 'all', ...allowances.codesPerDevice),
    ...byAddress('send_code', allowances.codesPerAddress, factor),
    // First, because it is the only shared limit that a caller learns of.
    ...rule('send_code', 'server', 'all', 'all', [smsDailyBudget, days]),
    ...byCountry(options),
    ...rule('send_code', 'number', 'without_proof', 'all', ...number),
    ...rule('send_code', 'prefix', 'without_account', 'all', ...allowances.codesPerPrefix),
    ...budgetShares('server', smsDailyBudget),
  ]
}

function guesses(check: Check, allowances: Allowances, factor: number): Limit[] {
  const { action } = check
  return [
    ...byProof(check),
    ...byCaller(check),
    ...rule(action, 'device', 'without_proof', 'all', ...allowances.signInsPerDevice),
    // A client with a token could try codes for one new number after another. By session, because the holder
    // of a stolen token must not keep the owner from changing the password.
    ...rule(action, 'session', 'all', 'all', [30, hours], [100, days]),
    // All phones of a city may share one address of their carrier.
    ...byAddress(action, allowances.signInsPerAddress, factor),
    ...byNumber(check),
  ]
}

/** Wrong guesses of the whole installation. */
function guessesOfServer({ action, perDayOfServer }: Check, { smsDailyBudget }: LimitsOptions): Limit[] {
  if (!perDayOfServer) return []
  const perDay = perDayOfServer(smsDailyBudget)
  const windows: Windows = [
    [Math.floor(perDay / 4), hours],
    [perDay, days],
  ]
  return rule(action, 'server', 'without_proof', 'wrong', ...windows)
}

/**
 * Writes that need no credential. These limits bound the load that one account causes; normal use stays far
 * below them.
 */
function writes(allowances: Allowances): Limit[] {
  return [
    ...bySession('change_profile', allowances.profileChangesPerSession),
    ...bySession('export_account', allowances.exportsPerSession),
    // By session alone: no other session may keep the owner from ending it.
    ...rule('rotate_token', 'session', 'all', 'all', ...allowances.rotationsPerSession),
    ...rule('end_session', 'session', 'all', 'all', ...allowances.endedSessionsPerSession),
  ]
}
