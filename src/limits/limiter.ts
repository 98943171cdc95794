// Applies the table of limits before a message is sent or a secret is compared, and refuses with
// `rate_limited`.
import { hash } from 'node:crypto'
import { AppError, isWrongProof } from '../errors.ts'
import { numberCountry } from '../phone/phone.ts'
import { atLeastInClass, type QueueClass } from '../queue-order.ts'
import type { Action, By, Callers, Check, Counts, Limit, SessionWrite } from './limits.ts'
import type { LimitStore, Spent, Window } from './store.ts'
import { type LimitSubject, subjectOf } from './subjects.ts'

/**
 * Whether a message may be sent. `limit_full`: the limit of the number, of its prefix, or of such callers'
 * share of the day's messages is reached; the caller gets the same response as if a message were sent.
 * `budget_spent`: all messages of the day are used up.
 */
type Room = 'room' | 'limit_full' | 'budget_spent'

/**
 * The recipient of a message: the owner of an account, or a number without one; `none`: the message is not
 * sent.
 */
type Recipient = 'owner' | 'stranger' | 'none'

/** A request for a code that the caller's own limits allow. */
export interface CodeRequest {
  /** Seconds until the caller's own limits allow the next request for this number. */
  readonly resendInSeconds: number
  /**
   * Counts a message in the counters that all callers share, before it is sent. A message to the owner of an
   * account does not count in the limits for numbers without an account; a message without a recipient (it is
   * not sent, because there is no account) counts nowhere. All cost the same work: what does not count is
   * written to decoy counters, which no limit reads.
   * @throws AppError `unavailable`
   */
  message(to: Recipient): Promise<Room>
  /**
   * For a message that was certainly not sent: removes it from the counters that all callers share. Never
   * fails.
   */
  messageNotSent(): Promise<void>
  /** For an error of the server: removes the request from the caller's own counters. Never fails. */
  notTheCallersFault(): Promise<void>
}

/**
 * How a guess is judged. `reserved`: the caller has a device proof, which has counters of its own. `room`:
 * one correct guess is enough. `full`: the number, or the installation, has had too many wrong guesses; a
 * code must then be correct twice, and a password is not compared.
 */
type Judged = 'reserved' | 'room' | 'full'

/** One guess at a secret, which the caller's own counters have counted. */
export interface Guess {
  /**
   * Counts the guess in the counters that all callers share, before the comparison. Where there is nothing to
   * guess, it counts in a decoy counter, so that it costs the same work. Only the first call counts.
   * @throws AppError `unavailable`
   */
  count(isReal: boolean): Promise<Judged>
  /**
   * For a guess that is not enough by itself: notes whether this caller's code was correct, and returns
   * whether the caller had another correct code before. The work is the same for a correct code, for a wrong
   * one, where no code was sent, and when a guess is repeated.
   * @throws AppError `unavailable`
   */
  wasRightAgain(code: string, isRight: boolean): Promise<boolean>
  /**
   * Set after the comparison, before anything else that may fail: a wrong guess stays counted, even where its
   * event cannot be written.
   */
  isWrong: boolean
}

/**
 * An attempt that is counted as a failure from the start. When it fails, no call is needed. Only the first
 * call has an effect, and no call fails: one count too many is better than refusing a correct sign-in.
 */
export interface Attempt {
  readonly guess: Guess
  /** A caller with a device proof goes before those without one wherever its work waits. */
  readonly queueClass: QueueClass
  /** The guess was correct: forgets the caller's consecutive failures at this number, by either method. */
  succeeded(): Promise<void>
  /** Nothing was compared, so the attempt is not a failure. */
  cancel(): Promise<void>
}

/** The session on whose behalf a write is done, and its account. */
export interface Writer {
  readonly accountId: string
  readonly sessionId: string
}

interface Bucket {
  readonly action: Action
  readonly by: By
  readonly callers: Callers
  readonly counts: Counts
  /** The country that a limit by `country` applies to. */
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

/** The group of counters that count a caller. */
type Lane = 'without_proof' | 'with_proof'

/**
 * Counters of all callers. A caller never learns how full they are, except that all messages of the day are
 * sent.
 */
const shared: readonly By[] = ['number', 'prefix', 'country', 'server']
/** The wait is always the same, so that it does not reveal what other callers in the network did. */
const networkRetrySeconds = 600
/** The longest wait that a response states. */
const longestRetrySeconds = 86_400
/**
 * A proof with a longer wait is treated as missing: a thief of the proof must not be able to keep its owner
 * out.
 */
const longestProofWaitMs = 900_000
const needsNoCounters: readonly SessionWrite[] = ['end_session', 'rotate_token']

/**
 * How long a caller's correct code is remembered while the counters are full: longer than the longest time
 * between two messages.
 */
const rightOnce: readonly Window[] = [{ max: 1, ms: 12 * 3_600_000, backoffMs: [] }]
/** For how long `accounts unlock` also lifts each caller's waits at the number. */
const unlocked: readonly Window[] = [{ max: 1, ms: 900_000, backoffMs: [] }]

export interface LimiterOptions {
  readonly store: LimitStore
  /** The table of limits.ts; empty: no limits. */
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
   * Counts a request for a code in the caller's own counters.
   * @throws AppError `rate_limited`, or `unavailable` where the counters cannot be reached: then nothing may
   * be sent
   */
  async askForCode(subject: LimitSubject): Promise<CodeRequest> {
    const { counted, lane } = await this.#countOwn('send_code', subject)
    const ofCaller = counted.filter(({ bucket }) => bucket.by === 'caller' || bucket.by === 'proof')
    const nextMs = Math.max(0, ...ofCaller.map(({ spent }) => spent.nextMs))
    let message: readonly Asked[] = []
    return {
      resendInSeconds: Math.ceil(nextMs / 1000),
      message: async (to) => {
        const buckets = this.#sharedBuckets('send_code', lane)
        const asked = await this.#consumeAll(buckets, subject, lane, (one) =>
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
   * Counts an attempt by a method as a failure of the caller, before anything is compared. It does not depend
   * on accounts: a caller that tries a number without an account is counted and refused like any other.
   * @throws AppError `rate_limited`, or `unavailable` where the counters cannot be reached: then nothing may
   * be compared
   */
  async attempt(action: Check, subject: LimitSubject): Promise<Attempt> {
    const { counted, lane } = await this.#countOwn(action, subject)
    const failures = counted.filter(({ bucket }) => bucket.counts !== 'all')
    const guess = new CountedGuess(
      (isReal) => this.#countGuess(action, subject, lane, isReal),
      this.#store,
      subject,
    )
    let isSettled = false
    const settle = async (work: () => Promise<unknown>): Promise<void> => {
      if (isSettled) return
      isSettled = true
      await work().catch(() => {})
    }
    return {
      guess,
      queueClass: lane === 'with_proof' ? 'known' : 'counted',
      succeeded: () =>
        settle(() =>
          Promise.all([
            this.#refund([...failures, ...guess.shared]),
            this.#forget(({ by, counts }) => counts === 'in_a_row' && !shared.includes(by), subject),
          ]),
        ),
      cancel: () => settle(() => this.#refund([...failures, ...guess.shared])),
    }
  }

  /**
   * Runs a comparison of a secret as one counted attempt. It stays counted when the secret was wrong, whatever
   * else fails, and does not when nothing was compared.
   * @throws AppError `rate_limited`, `unavailable`, and whatever `compare` throws
   */
  async withLimit<T>(
    action: Check,
    subject: LimitSubject,
    compare: (guess: Guess) => Promise<T>,
  ): Promise<T> {
    const attempt = await this.attempt(action, subject)
    try {
      const result = await atLeastInClass(attempt.queueClass, () => compare(attempt.guess))
      await attempt.succeeded()
      return result
    } catch (error) {
      if (!isWrongProof(error) && !attempt.guess.isWrong) await attempt.cancel()
      throw error
    }
  }

  /**
   * Counts a write on behalf of a session, before it is done, ahead of callers without a proof. Sessions can
   * be ended and tokens rotated while the counters cannot be reached: neither helps to guess a secret, and the
   * removal of a stolen device must not wait for the counters.
   * @throws AppError `rate_limited`, or `unavailable` or `overloaded` where the counters cannot be reached:
   * then the write must not be done
   */
  async countWrite(action: SessionWrite, { accountId, sessionId }: Writer): Promise<void> {
    const subject = { ...noSubject, accountId, sessionId }
    try {
      const buckets = this.#ownBuckets(action, 'without_proof')
      const asked = await this.#consumeAll(buckets, subject, 'with_proof')
      if (isRefused(asked)) throw refusalOf(asked)
    } catch (error) {
      if (!areCountersAway(error) || !needsNoCounters.includes(action)) throw error
    }
  }

  /**
   * Forgets what all callers' counters of a number hold: messages, and guesses by every method. For 15
   * minutes, the waits of each caller at this number are lifted too.
   * @throws AppError `unavailable`
   */
  async forgetNumber(phoneNumber: string): Promise<void> {
    const subject = { ...noSubject, phoneNumber }
    await this.#forget(({ by }) => by === 'number', subject)
    await this.#store.forget(unlockedKey(subject))
    await this.#store.consume(unlockedKey(subject), unlocked)
  }

  async close(): Promise<void> {
    await this.#store.close()
  }

  /** Counts in all of the caller's own counters, or in none. */
  async #countOwn(action: Action, subject: LimitSubject): Promise<{ counted: readonly Asked[]; lane: Lane }> {
    if (subject.proof !== null) {
      const asked = await this.#consumeAll(this.#ownBuckets(action, 'with_proof'), subject, 'with_proof')
      if (!isRefused(asked)) return { counted: asked, lane: 'with_proof' }
      if (!isTreatedAsMissing(asked)) throw refusalOf(asked)
    }
    await this.#assertFewRefused(subject)
    const asked = await this.#consumeOwn(action, subject)
    if (!isRefused(asked)) return { counted: asked, lane: 'without_proof' }
    await this.#consumeAll(this.#ownBuckets('refused', 'without_proof'), subject, 'without_proof')
    throw refusalOf(asked)
  }

  /**
   * Refuses an address that has been refused very often. Checked first, because it reads only one counter.
   */
  async #assertFewRefused(subject: LimitSubject): Promise<void> {
    for (const { bucket, key } of keyed(this.#ownBuckets('refused', 'without_proof'), subject)) {
      const waitMs = await this.#store.peek(key, bucket.windows)
      if (waitMs > 0) throw rateLimited(Math.ceil(waitMs / 1000))
    }
  }

  async #consumeOwn(action: Action, subject: LimitSubject): Promise<readonly Asked[]> {
    const buckets = this.#ownBuckets(action, 'without_proof')
    const asked = await this.#consumeAll(buckets, subject, 'without_proof')
    const [refusing, ...more] = asked.filter(({ spent }) => spent.waitMs > 0)
    if (refusing?.bucket.by !== 'caller' || more.length > 0) return asked
    if ((await this.#store.peek(unlockedKey(subject), unlocked)) === 0) return asked
    await this.#store.forget(refusing.key)
    return await this.#consumeAll(buckets, subject, 'without_proof')
  }

  /**
   * Counts a guess in the counters that all callers without a proof share: of the number, and of the
   * installation.
   */
  async #countGuess(
    action: Check,
    subject: LimitSubject,
    lane: Lane,
    isReal: boolean,
  ): Promise<readonly Asked[] | null> {
    if (lane === 'with_proof') return null
    // The decoy of a guess has the same windows: a full counter is read and not written, so a decoy that is
    // never full would differ in time.
    return await this.#consumeAll(this.#sharedBuckets(action, lane), subject, lane, (one) =>
      isReal ? one : { ...one, key: decoyKey(one) },
    )
  }

  async #consumeAll(
    buckets: readonly Bucket[],
    subject: LimitSubject,
    lane: Lane,
    counterOf: (one: Keyed) => Keyed = (one) => one,
  ): Promise<readonly Asked[]> {
    const asked = keyed(buckets, subject).map(counterOf)
    const spent = await this.#store.consumeAll(
      asked.map(({ bucket, key }) => ({ key, windows: bucket.windows })),
      { reserved: lane === 'with_proof' },
    )
    return asked.flatMap((one, i) => {
      const answer = spent[i]
      return answer ? [{ ...one, spent: answer }] : []
    })
  }

  /** Never fails: a count that cannot be refunded expires with its window. */
  async #refund(counted: readonly Asked[]): Promise<void> {
    await Promise.allSettled(
      counted.map(({ bucket, key, spent }) => this.#store.refund(key, bucket.windows, spent.at)),
    )
  }

  async #forget(which: (bucket: Bucket) => boolean, subject: LimitSubject): Promise<void> {
    await Promise.all(keyed(this.#buckets.filter(which), subject).map(({ key }) => this.#store.forget(key)))
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

/** Keeps what it has counted in the shared counters, for the refund of a correct guess. */
class CountedGuess implements Guess {
  readonly #consume: (isReal: boolean) => Promise<readonly Asked[] | null>
  readonly #store: LimitStore
  readonly #rightOnceKey: string
  shared: readonly Asked[] = []
  isWrong = false
  #judged: Promise<Judged> | null = null

  constructor(
    consume: (isReal: boolean) => Promise<readonly Asked[] | null>,
    store: LimitStore,
    subject: LimitSubject,
  ) {
    this.#consume = consume
    this.#store = store
    this.#rightOnceKey = `right_once:${subjectOf('caller', subject)}`
  }

  async count(isReal: boolean): Promise<Judged> {
    // A second comparison in the same attempt (after a concurrent change of the account) is not a second
    // guess.
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
    // Decoy keys: one for the first guess of a code, and one for its first repeat.
    const decoy = `${isRepeated ? 'repeated' : 'not_right'}:${guessed}`
    const noted = await this.#store.consume(isRight && !isRepeated ? this.#rightOnceKey : decoy, rightOnce)
    return isRight && !isRepeated && noted.waitMs > 0
  }
}

function areCountersAway(error: unknown): boolean {
  return error instanceof AppError && (error.code === 'unavailable' || error.code === 'overloaded')
}

const noSubject: LimitSubject = {
  phoneNumber: '',
  address: null,
  deviceId: null,
  accountId: null,
  proof: null,
}

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

function keyed(buckets: readonly Bucket[], subject: LimitSubject): Keyed[] {
  const { phoneNumber } = subject
  const needsCountry = phoneNumber !== null && buckets.some(({ by }) => by === 'country')
  const country = needsCountry ? numberCountry(phoneNumber) : null
  return buckets.flatMap((bucket) => {
    const { action, by, callers, counts } = bucket
    if (by === 'country' && bucket.country !== country) return []
    const name = subjectOf(by, subject)
    return name === null ? [] : [{ bucket, key: `${action}:${by}:${callers}:${counts}:${name}` }]
  })
}

function unlockedKey(subject: LimitSubject): string {
  return `unlocked:${subjectOf('number', subject)}`
}

function isRefused(asked: readonly Asked[]): boolean {
  return asked.some(({ spent }) => spent.waitMs > 0)
}

function counts({ callers }: Bucket, to: Recipient): boolean {
  return to === 'stranger' || (to === 'owner' && callers !== 'without_account')
}

/** A decoy: the same work in a counter that is never full and that no limit reads. */
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

/**
 * Whether the caller is counted like one without a proof instead of being refused. Also where too many
 * attempts were right: a holder of a copy of the proof could otherwise take each place as it becomes free,
 * and the owner would be refused for as long as that lasts. A request for a code waits: it would send a
 * second message.
 */
function isTreatedAsMissing(asked: readonly Asked[]): boolean {
  return asked.some(({ bucket, spent }) => {
    const countsRightOnes =
      bucket.action !== 'send_code' && bucket.counts === 'all' && bucket.by !== 'session'
    return spent.waitMs > (countsRightOnes ? 0 : longestProofWaitMs)
  })
}

/** The refusal states the wait, and not which limit was reached. */
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
