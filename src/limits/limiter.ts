// Asks the table of limits before something is sent or compared, and refuses with `rate_limited`.
import { hash } from 'node:crypto'
import { AppError, isWrongProof } from '../errors.ts'
import { numberCountry } from '../phone/phone.ts'
import type { Action, By, Callers, Check, Counts, Limit, SessionWrite } from './limits.ts'
import type { LimitStore, Spent, Window } from './store.ts'
import { type LimitSubject, subjectOf } from './subjects.ts'

/**
 * Whether a message may go out. `limit_full`: the number, its range of numbers, or the part of the day's messages for such callers is used
 * up for now; the caller gets the same answer as if one were sent. `budget_spent`: all messages of the day are used up.
 */
export type Room = 'room' | 'limit_full' | 'budget_spent'

/** Whom a message would reach: the owner of an account, or a number without one; `nobody`: it is not sent. */
export type Recipient = 'owner' | 'stranger' | 'nobody'

/** A caller who may ask for a code. */
export interface CodeRequest {
  /** Seconds until this caller may ask again for this number, as far as the caller's own requests say. */
  readonly resendInSeconds: number
  /**
   * Counts a message in what all callers share, before it is sent. One to the owner of an account does not count in the limits for
   * numbers without an account; one to nobody (it is not sent, because there is no account) counts nowhere. All cost the same work:
   * they count in counters that nobody reads instead.
   * @throws AppError `unavailable`
   */
  message(to: Recipient): Promise<Room>
  /** For a message that surely was not sent: takes it back from what all callers share. Never fails. */
  messageNotSent(): Promise<void>
  /** For a fault of ours: takes the request back from the caller's own counters. Never fails. */
  notTheCallersFault(): Promise<void>
}

/**
 * How a guess is judged. `reserved`: with a device proof, by counters of its own. `room`: one right guess is enough. `full`: the number,
 * or the installation, has seen too many wrong guesses; a code then has to be right twice, and a password is not compared.
 */
export type Judged = 'reserved' | 'room' | 'full'

/** One guess at a secret, counted in the caller's own counters already. */
export interface Guess {
  /**
   * Counts it in what all callers share, before the comparison; where there is nothing to guess, in a counter that nobody reads, so
   * that it costs the same work. Only the first call counts.
   * @throws AppError `unavailable`
   */
  count(isReal: boolean): Promise<Judged>
  /**
   * For a guess that is not enough by itself: notes whether this caller had this code right, and says whether it had another one right
   * before. It is the same work for a right code, a wrong one, and where no code is out; and again the same when a guess is repeated.
   * @throws AppError `unavailable`
   */
  wasRightAgain(code: string, isRight: boolean): Promise<boolean>
}

/**
 * A try that is counted as a failure already. Where it fails there is nothing to do. The first call to it is the one that
 * counts, and none of them fails: a count too many is better than a sign-in that was right and is refused.
 */
export interface Attempt {
  readonly guess: Guess
  /** It was right: forgets the caller's failures in a row at this number, those of the other method too. */
  succeeded(): Promise<void>
  /** It never came to a comparison: it is no failure. */
  cancel(): Promise<void>
}

/** The session that writes, and its account. */
export interface Writer {
  readonly accountId: string
  readonly sessionId: string
}

interface Bucket {
  readonly action: Action
  readonly by: By
  readonly callers: Callers
  readonly counts: Counts
  /** With `country`: the one that it holds for. */
  readonly country?: string
  readonly windows: readonly Window[]
}

interface Keyed {
  readonly bucket: Bucket
  readonly key: string
}

interface Asked extends Keyed {
  readonly spent: Spent
}

/** Whose counters a caller is counted in. */
type Lane = 'without_proof' | 'with_proof'

/** Counters of all callers. A caller never sees how full they are, except that all messages of the day are sent. */
const shared: readonly By[] = ['number', 'prefix', 'country', 'server']
/** How many neighbours of a caller did what is not told either: the wait is always the same. */
const networkRetrySeconds = 600
/** The longest wait that an answer tells. */
const longestRetrySeconds = 86_400
/** A proof that would have to wait for longer counts as none: its thief must not be able to keep its owner out. */
const longestProofWaitMs = 900_000
const needsNoCounters: readonly SessionWrite[] = ['end_session', 'rotate_token']

/** How long one right code of a caller is remembered while the counters are full: longer than two messages may be apart. */
const rightOnce: readonly Window[] = [{ max: 1, ms: 12 * 3_600_000, backoffMs: [] }]
/** How long `accounts unlock` also lifts the waits of each caller at the number. */
const unlocked: readonly Window[] = [{ max: 1, ms: 900_000, backoffMs: [] }]

export interface LimiterOptions {
  readonly store: LimitStore
  /** limits.ts; empty: no limits at all. */
  readonly limits: readonly Limit[]
}

export class Limiter {
  readonly #store: LimitStore
  /** In the order of the table. */
  readonly #buckets: readonly Bucket[]

  constructor({ store, limits }: LimiterOptions) {
    this.#store = store
    this.#buckets = bucketsOf(limits)
  }

  /**
   * Counts one request for a code in the caller's own counters.
   * @throws AppError `rate_limited`, or `unavailable` where the counters are out of reach: then nothing may be sent
   */
  async askForCode(who: LimitSubject): Promise<CodeRequest> {
    const { counted, lane } = await this.#countOwn('send_code', who)
    const ofCaller = counted.filter(({ bucket }) => bucket.by === 'caller' || bucket.by === 'proof')
    const nextMs = Math.max(0, ...ofCaller.map(({ spent }) => spent.nextMs))
    let message: readonly Asked[] = []
    return {
      resendInSeconds: Math.ceil(nextMs / 1000),
      message: async (to) => {
        const buckets = this.#sharedBuckets('send_code', lane)
        const asked = await this.#consumeAll(buckets, who, lane, (one) =>
          counts(one.bucket, to) ? one : decoyOf(one),
        )
        if (!isRefused(asked)) message = asked
        return roomOf(asked)
      },
      messageNotSent: () => this.#refund(message),
      notTheCallersFault: () => this.#refund(counted),
    }
  }

  /**
   * Counts one try of a method as a failure of the caller, before anything is compared. It knows nothing of accounts: the caller of a
   * number without one is counted and refused like any other.
   * @throws AppError `rate_limited`, or `unavailable` where the counters are out of reach: then nothing may be compared
   */
  async attempt(action: Check, who: LimitSubject): Promise<Attempt> {
    const { counted, lane } = await this.#countOwn(action, who)
    const failures = counted.filter(({ bucket }) => bucket.counts !== 'all')
    const guess = new CountedGuess((isReal) => this.#countGuess(action, who, lane, isReal), this.#store, who)
    let isSettled = false
    const settle = async (work: () => Promise<unknown>): Promise<void> => {
      if (isSettled) return
      isSettled = true
      await work().catch(() => {})
    }
    return {
      guess,
      succeeded: () =>
        settle(() =>
          Promise.all([
            this.#refund([...failures, ...guess.shared]),
            this.#forget(({ by, counts }) => counts === 'in_a_row' && !shared.includes(by), who),
          ]),
        ),
      cancel: () => settle(() => this.#refund([...failures, ...guess.shared])),
    }
  }

  /**
   * Does what compares a secret, as one counted try. A refusal that says the secret was wrong stays counted; whatever else
   * went wrong does not.
   * @throws AppError `rate_limited`, `unavailable`, and whatever `compare` throws
   */
  async withLimit<T>(action: Check, who: LimitSubject, compare: (guess: Guess) => Promise<T>): Promise<T> {
    const attempt = await this.attempt(action, who)
    try {
      const result = await compare(attempt.guess)
      await attempt.succeeded()
      return result
    } catch (error) {
      if (!isWrongProof(error)) await attempt.cancel()
      throw error
    }
  }

  /**
   * Counts a write on behalf of a session, before it is done. Ending sessions and new tokens go on while the counters are out of
   * reach: they help no guesser, and a person who removes a stolen device must not wait for a store of counters.
   * @throws AppError `rate_limited`, or `unavailable` where the counters are out of reach: then it must not be done
   */
  async countWrite(action: SessionWrite, { accountId, sessionId }: Writer): Promise<void> {
    const who = { ...nobody, accountId, sessionId }
    try {
      const asked = await this.#consumeAll(this.#ownBuckets(action, 'without_proof'), who, 'without_proof')
      if (isRefused(asked)) throw refusalOf(asked)
    } catch (error) {
      const isUnavailable = error instanceof AppError && error.code === 'unavailable'
      if (!isUnavailable || !needsNoCounters.includes(action)) throw error
    }
  }

  /**
   * Forgets what was counted against a number for all callers: messages, and guesses by every method. For a quarter of an hour, the
   * waits of each single caller at this number are lifted too.
   * @throws AppError `unavailable`
   */
  async forgetNumber(phoneNumber: string): Promise<void> {
    const who = { ...nobody, phoneNumber }
    await this.#forget(({ by }) => by === 'number', who)
    await this.#store.forget(unlockedKey(who))
    await this.#store.consume(unlockedKey(who), unlocked)
  }

  async close(): Promise<void> {
    await this.#store.close()
  }

  /** Counts in all counters of the caller, or in none of them. */
  async #countOwn(action: Action, who: LimitSubject): Promise<{ counted: readonly Asked[]; lane: Lane }> {
    if (who.proof !== null) {
      const asked = await this.#consumeAll(this.#ownBuckets(action, 'with_proof'), who, 'with_proof')
      if (!isRefused(asked)) return { counted: asked, lane: 'with_proof' }
      if (longestWaitMs(asked) <= longestProofWaitMs) throw refusalOf(asked)
    }
    await this.#assertFewRefused(who)
    const asked = await this.#consumeOwn(action, who)
    if (!isRefused(asked)) return { counted: asked, lane: 'without_proof' }
    await this.#consumeAll(this.#ownBuckets('refused', 'without_proof'), who, 'without_proof')
    throw refusalOf(asked)
  }

  /** An address that was refused very often is refused at once. Asked first, because it is one look at one counter. */
  async #assertFewRefused(who: LimitSubject): Promise<void> {
    for (const { bucket, key } of keyed(this.#ownBuckets('refused', 'without_proof'), who)) {
      const waitMs = await this.#store.peek(key, bucket.windows)
      if (waitMs > 0) throw rateLimited(Math.ceil(waitMs / 1000))
    }
  }

  async #consumeOwn(action: Action, who: LimitSubject): Promise<readonly Asked[]> {
    const buckets = this.#ownBuckets(action, 'without_proof')
    const asked = await this.#consumeAll(buckets, who, 'without_proof')
    const [refusing, ...more] = asked.filter(({ spent }) => spent.waitMs > 0)
    if (refusing?.bucket.by !== 'caller' || more.length > 0) return asked
    if ((await this.#store.peek(unlockedKey(who), unlocked)) === 0) return asked
    await this.#store.forget(refusing.key)
    return await this.#consumeAll(buckets, who, 'without_proof')
  }

  /** Counts a guess for all callers without a proof: at the number, and in the installation. */
  async #countGuess(
    action: Check,
    who: LimitSubject,
    lane: Lane,
    isReal: boolean,
  ): Promise<readonly Asked[] | null> {
    if (lane === 'with_proof') return null
    // A decoy of a guess is as full as its windows say: a full counter is asked and not written, and the time would tell.
    return await this.#consumeAll(this.#sharedBuckets(action, lane), who, lane, (one) =>
      isReal ? one : { ...one, key: decoyKey(one) },
    )
  }

  async #consumeAll(
    buckets: readonly Bucket[],
    who: LimitSubject,
    lane: Lane,
    counterOf: (one: Keyed) => Keyed = (one) => one,
  ): Promise<readonly Asked[]> {
    const asked = keyed(buckets, who).map(counterOf)
    const spent = await this.#store.consumeAll(
      asked.map(({ bucket, key }) => ({ key, windows: bucket.windows })),
      { reserved: lane === 'with_proof' },
    )
    return asked.flatMap((one, i) => {
      const answer = spent[i]
      return answer ? [{ ...one, spent: answer }] : []
    })
  }

  /** Never fails: what is not taken back counts for a while longer. */
  async #refund(counted: readonly Asked[]): Promise<void> {
    await Promise.allSettled(
      counted.map(({ bucket, key, spent }) => this.#store.refund(key, bucket.windows, spent.at)),
    )
  }

  async #forget(which: (bucket: Bucket) => boolean, who: LimitSubject): Promise<void> {
    await Promise.all(keyed(this.#buckets.filter(which), who).map(({ key }) => this.#store.forget(key)))
  }

  #ownBuckets(action: Action, lane: Lane): Bucket[] {
    return this.#bucketsFor(action, lane).filter(({ by }) => !shared.includes(by))
  }

  #sharedBuckets(action: Action, lane: Lane): Bucket[] {
    return this.#bucketsFor(action, lane).filter(({ by }) => shared.includes(by))
  }

  #bucketsFor(action: Action, lane: Lane): Bucket[] {
    return this.#buckets.filter(
      ({ action: counted, callers }) => counted === action && isCountedIn(lane, callers),
    )
  }
}

/** What it counted for all callers is kept, to be taken back where the guess was right. */
class CountedGuess implements Guess {
  readonly #consume: (isReal: boolean) => Promise<readonly Asked[] | null>
  readonly #store: LimitStore
  readonly #rightOnceKey: string
  shared: readonly Asked[] = []
  #judged: Promise<Judged> | null = null

  constructor(
    consume: (isReal: boolean) => Promise<readonly Asked[] | null>,
    store: LimitStore,
    who: LimitSubject,
  ) {
    this.#consume = consume
    this.#store = store
    this.#rightOnceKey = `right_once:${subjectOf('caller', who)}`
  }

  async count(isReal: boolean): Promise<Judged> {
    // A second comparison of the same try (the account was changed meanwhile) is no second guess.
    this.#judged ??= this.#count(isReal)
    return await this.#judged
  }

  async #count(isReal: boolean): Promise<Judged> {
    const asked = await this.#consume(isReal)
    if (asked === null) return 'reserved'
    if (isRefused(asked)) return 'full'
    this.shared = asked
    return 'room'
  }

  async wasRightAgain(code: string, isRight: boolean): Promise<boolean> {
    const guessed = hash('sha256', `${this.#rightOnceKey} ${code}`, 'base64url').slice(0, 22)
    const { waitMs } = await this.#store.consume(`guessed:${guessed}`, rightOnce)
    const isRepeated = waitMs > 0
    // Keys that nobody reads: each has room for the first guess of a code and, beside it, for the first repeat.
    const decoy = `${isRepeated ? 'repeated' : 'not_right'}:${guessed}`
    const noted = await this.#store.consume(isRight && !isRepeated ? this.#rightOnceKey : decoy, rightOnce)
    return isRight && !isRepeated && noted.waitMs > 0
  }
}

const nobody: LimitSubject = { phoneNumber: '', address: null, deviceId: null, accountId: null, proof: null }

/** One bucket for each counter, with all its windows. */
function bucketsOf(limits: readonly Limit[]): Bucket[] {
  const groups = Map.groupBy(
    limits,
    ({ action, by, callers, counts, country = '' }) => `${action}:${by}:${callers}:${counts}:${country}`,
  )
  return [...groups.values()].flatMap((group) => {
    const [first] = group
    const windows = group.map(({ max, perSeconds, backoff = [] }) => ({
      max,
      ms: perSeconds * 1000,
      backoffMs: backoff.map((seconds) => seconds * 1000),
    }))
    return first ? [{ ...first, windows }] : []
  })
}

function keyed(buckets: readonly Bucket[], who: LimitSubject): Keyed[] {
  const { phoneNumber } = who
  const needsCountry = phoneNumber !== null && buckets.some(({ by }) => by === 'country')
  const country = needsCountry ? numberCountry(phoneNumber) : null
  return buckets.flatMap((bucket) => {
    const { action, by, callers, counts } = bucket
    if (by === 'country' && bucket.country !== country) return []
    const subject = subjectOf(by, who)
    return subject === null ? [] : [{ bucket, key: `${action}:${by}:${callers}:${counts}:${subject}` }]
  })
}

function unlockedKey(who: LimitSubject): string {
  return `unlocked:${subjectOf('number', who)}`
}

function isRefused(asked: readonly Asked[]): boolean {
  return asked.some(({ spent }) => spent.waitMs > 0)
}

function counts({ callers }: Bucket, to: Recipient): boolean {
  return to === 'stranger' || (to === 'owner' && callers !== 'without_account')
}

/** The same work in a counter that nobody reads and that is never full. */
function decoyOf(one: Keyed): Keyed {
  const windows = one.bucket.windows.map((window) => ({ ...window, max: 1_000_000_000 }))
  return { bucket: { ...one.bucket, windows }, key: decoyKey(one) }
}

function decoyKey({ key }: Keyed): string {
  return `decoy:${key}`
}

function isCountedIn(lane: Lane, callers: Callers): boolean {
  return callers === 'all' || callers === lane || (lane === 'without_proof' && callers === 'without_account')
}

function roomOf(asked: readonly Asked[]): Room {
  const refusing = asked.filter(({ spent }) => spent.waitMs > 0)
  if (refusing.some(({ bucket }) => bucket.callers === 'all')) return 'budget_spent'
  return refusing.length > 0 ? 'limit_full' : 'room'
}

function longestWaitMs(asked: readonly Asked[]): number {
  return Math.max(0, ...asked.map(({ spent }) => spent.waitMs))
}

/** The caller learns the wait, and not which limit it is. */
function refusalOf(asked: readonly Asked[]): AppError {
  const waits = asked.filter(({ spent }) => spent.waitMs > 0)
  const seconds = waits.map(({ bucket, spent }) =>
    bucket.by === 'network' ? networkRetrySeconds : Math.ceil(spent.waitMs / 1000),
  )
  return rateLimited(Math.max(...seconds))
}

function rateLimited(seconds: number): AppError {
  return new AppError('rate_limited', { retryAfterSeconds: Math.min(longestRetrySeconds, seconds) })
}
