// Applies the table of limits before a message is sent or a secret is compared, and refuses with
// `rate_limited`.
import { AppError, isWrongCredential } from '../errors.ts'
import { atLeastInClass, inClass, type QueueClass } from '../queue-order.ts'
import { WorkQueue } from '../work-queue.ts'
import { CountedGuess, type Guess } from './guess.ts'
import type { Action, Check, Limit, SessionWrite } from './limits.ts'
import {
  type CountedCaller,
  decoyOf,
  isRefused,
  type LimitRule,
  LimitRules,
  type RuleResult,
  unlimitedDecoyOf,
} from './rules.ts'
import type { LimitStore, Window } from './store.ts'
import { type LimitSubject, subjectOf } from './subjects.ts'

/**
 * Whether a message may be sent. `limit_full`: the limit of the number, of its prefix, or of such callers'
 * share of the day's messages is reached; the caller gets the same response as if a message were sent.
 * `budget_spent`: all messages of the day are used up.
 */
type MessageDecision = 'allowed' | 'limit_full' | 'budget_spent'

/**
 * The recipient of a message: the owner of an account, or a number without one; `none`: the message is not
 * sent.
 */
type Recipient = 'owner' | 'without_account' | 'none'

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
  consumeMessage(to: Recipient): Promise<MessageDecision>
  /**
   * For a message that was certainly not sent: removes it from the counters that all callers share. Never
   * fails.
   */
  refundMessage(): Promise<void>
  /**
   * After a message that failed: whether one to a number without an account would have been tried as well. It
   * counts nothing, and costs the same work for every recipient.
   * @throws AppError `overloaded`, `unavailable`
   */
  wouldSendWithoutAccount(to: Recipient): Promise<boolean>
  /** For an error of the server: removes the request from the caller's own counters. Never fails. */
  refundRequest(): Promise<void>
}

/**
 * An attempt that is counted as a failure from the start. When it fails, no call is needed. Only the first
 * call has an effect, and no call fails: one count too many is better than refusing a correct sign-in.
 */
export interface Attempt {
  readonly guess: Guess
  /** A caller with a device proof goes before those without one wherever its work waits. */
  readonly queueClass: QueueClass
  /** The guess was correct: resets the caller's consecutive failures at this number, by every method. */
  succeeded(): Promise<void>
  /** Nothing was compared, so the attempt is not a failure. */
  cancel(): Promise<void>
}

type Compare<T> = (guess: Guess, leave: () => void) => Promise<T>

/** The session on whose behalf a write is done, and its account. */
export interface WritingSession {
  readonly accountId: string
  readonly sessionId: string
}

/** The wait is always the same, so that it does not reveal what other callers in the network did. */
const networkRetrySeconds = 600
/** The longest wait that a response states. */
const longestRetrySeconds = 86_400
/**
 * A proof with a longer wait is treated as missing: a thief of the proof must not be able to keep its owner
 * out.
 */
const longestProofWaitMs = 900_000
const allowedWithoutCounters: readonly SessionWrite[] = ['end_session', 'rotate_token']

/** For how long `accounts unlock` also lifts each caller's waits at the number. */
const unlocked: readonly Window[] = [{ max: 1, ms: 900_000, backoffMs: [] }]

const waitingMax = 1_000
const waitMs = 2_000

export interface LimiterOptions {
  readonly store: LimitStore
  /** The table of limits.ts; empty: no limits. */
  readonly limits: readonly Limit[]
  /**
   * How many requests of one kind are in progress at a time; by default, any number. More than the database
   * serves at a time would only make those of signed-in clients wait for the processor.
   */
  readonly inProgressMax?: number
}

export class Limiter {
  readonly #store: LimitStore
  readonly #rules: LimitRules
  readonly #inProgressMax: number
  /** What waits here has cost neither a count nor a query: a later refusal costs a count and its refund. */
  readonly #inProgress = new Map<Action, WorkQueue>()

  constructor({ store, limits, inProgressMax = Number.POSITIVE_INFINITY }: LimiterOptions) {
    this.#store = store
    this.#inProgressMax = inProgressMax
    this.#rules = new LimitRules(store, limits)
  }

  /**
   * Counts a request for a code in the caller's own counters.
   * @throws AppError `rate_limited`, `overloaded`, or `unavailable` where the counters cannot be reached:
   * then nothing may be sent
   */
  async requestCode(subject: LimitSubject): Promise<CodeRequest> {
    const count = () => this.#countOwn('send_code', subject)
    const { counted, caller } = await this.#inTurn('send_code', subject, count)
    const ofCaller = counted.filter(({ rule: { by } }) => by === 'caller' || by === 'proof')
    const nextMs = Math.max(0, ...ofCaller.map(({ result }) => result.nextMs))
    let message: readonly RuleResult[] = []
    return {
      resendInSeconds: Math.ceil(nextMs / 1000),
      consumeMessage: async (to) => {
        const results = await this.#rules.consumeShared('send_code', caller, (one) =>
          countsMessage(one.rule, to) ? one : unlimitedDecoyOf(one),
        )
        if (!isRefused(results)) message = results
        return decisionOf(results)
      },
      refundMessage: () => this.#rules.refund(message),
      wouldSendWithoutAccount: async (to) => {
        const results = await this.#rules.consumeShared('send_code', caller, (one) =>
          to === 'owner' && one.rule.callers === 'without_account' ? one : unlimitedDecoyOf(one),
        )
        // A refusal has counted nothing.
        if (isRefused(results)) return false
        await this.#rules.refund(results)
        return true
      },
      refundRequest: () => this.#rules.refund(counted),
    }
  }

  /**
   * Counts an attempt by a method as a failure of the caller, before anything is compared. It does not depend
   * on accounts: a caller that tries a number without an account is counted and refused like any other.
   * @throws AppError `rate_limited`, or `unavailable` where the counters cannot be reached: then nothing may
   * be compared
   * @throws Error if the table has no limits of this check
   */
  async attempt({ action }: Check, subject: LimitSubject): Promise<Attempt> {
    this.#rules.assertListed(action)
    const { counted, caller } = await this.#countOwn(action, subject)
    const failures = counted.filter(({ rule }) => rule.counts !== 'all')
    const consume = (isReal: boolean) => this.#countGuess(action, caller, isReal)
    const guess = new CountedGuess({ store: this.#store, subject, consume })
    let isSettled = false
    const settle = async (work: () => Promise<unknown>): Promise<void> => {
      if (isSettled) return
      isSettled = true
      await work().catch(() => {})
    }
    return {
      guess,
      queueClass: caller.group === 'with_proof' ? 'known' : 'counted',
      succeeded: () =>
        settle(() =>
          Promise.all([
            this.#rules.refund([...failures, ...guess.shared]),
            this.#rules.resetFailures(subject),
          ]),
        ),
      cancel: () => settle(() => this.#rules.refund([...failures, ...guess.shared])),
    }
  }

  /**
   * Runs a comparison of a secret as one counted attempt. It stays counted when the secret was wrong,
   * whatever else fails, and does not when nothing was compared.
   * @param compare may call `leave` when only waiting is left: the next attempt has its turn then
   * @throws AppError `rate_limited`, `overloaded`, `unavailable`, and whatever `compare` throws
   */
  async withLimit<T>(check: Check, subject: LimitSubject, compare: Compare<T>): Promise<T> {
    const tryOnce = (leave: () => void) =>
      this.#compareCounted(check, subject, (guess) => compare(guess, leave))
    return await (check.hasOwnQueue ? tryOnce(() => {}) : this.#inTurn(check.action, subject, tryOnce))
  }

  async #compareCounted<T>(
    check: Check,
    subject: LimitSubject,
    compare: (guess: Guess) => Promise<T>,
  ): Promise<T> {
    const attempt = await this.attempt(check, subject)
    try {
      const result = await atLeastInClass(attempt.queueClass, () => compare(attempt.guess))
      await attempt.succeeded()
      return result
    } catch (error) {
      if (!isWrongCredential(error) && !attempt.guess.isWrong) await attempt.cancel()
      throw error
    }
  }

  /**
   * Counts a write on behalf of a session, before it is done, ahead of callers without a proof. Sessions can
   * be ended and tokens rotated while the counters cannot be reached: neither helps to guess a secret, and
   * the removal of a stolen device must not wait for the counters.
   * @throws AppError `rate_limited`, or `unavailable` or `overloaded` where the counters cannot be reached:
   * then the write must not be done
   */
  async countWrite(action: SessionWrite, { accountId, sessionId }: WritingSession): Promise<void> {
    const subject = { ...noSubject, accountId, sessionId }
    try {
      const results = await this.#rules.consumeOwn(action, { subject, group: 'with_proof' })
      if (isRefused(results)) throw refusalOf(results)
    } catch (error) {
      if (!areCountersAway(error) || !allowedWithoutCounters.includes(action)) throw error
    }
  }

  /**
   * Resets the counters of a number that all callers share: messages, and guesses by every method. For 15
   * minutes, the waits of each caller at this number are lifted too.
   * @throws AppError `unavailable`
   */
  async resetNumber(phoneNumber: string): Promise<void> {
    const subject = { ...noSubject, phoneNumber }
    await this.#rules.resetNumber(subject)
    await this.#store.reset(unlockedKey(subject))
    await this.#store.consume(unlockedKey(subject), unlocked)
  }

  async close(): Promise<void> {
    await this.#store.close()
  }

  /**
   * Waits until few enough of these actions are in progress. A caller with a device proof goes first.
   * @throws AppError `overloaded` where too many wait, or after two seconds
   */
  async #inTurn<T>(
    action: Action,
    { proof }: LimitSubject,
    work: (leave: () => void) => Promise<T>,
  ): Promise<T> {
    const queue = this.#inProgress.get(action) ?? newQueue(this.#inProgressMax)
    this.#inProgress.set(action, queue)
    await (proof === null ? queue.enter() : inClass('known', () => queue.enter()))
    let hasLeft = false
    const leave = () => {
      if (!hasLeft) queue.leave()
      hasLeft = true
    }
    try {
      return await work(leave)
    } finally {
      leave()
    }
  }

  /** Counts in all of the caller's own counters, or in none. */
  async #countOwn(
    action: Action,
    subject: LimitSubject,
  ): Promise<{ counted: readonly RuleResult[]; caller: CountedCaller }> {
    if (subject.proof !== null) {
      const caller: CountedCaller = { subject, group: 'with_proof' }
      const counted = await this.#rules.consumeOwn(action, caller)
      if (!isRefused(counted)) return { counted, caller }
      if (!isTreatedAsMissing(counted)) throw refusalOf(counted)
    }
    const caller: CountedCaller = { subject, group: 'without_proof' }
    // An address that has been refused very often is refused first, because that reads only one counter.
    const waitMs = await this.#rules.waitOwn('refused', caller)
    if (waitMs > 0) throw rateLimited(Math.ceil(waitMs / 1000))
    const counted = await this.#consumeUnlocked(action, caller)
    if (!isRefused(counted)) return { counted, caller }
    await this.#rules.consumeOwn('refused', caller)
    throw refusalOf(counted)
  }

  /** Counts in the caller's own counters, without the wait at this number after `accounts unlock`. */
  async #consumeUnlocked(action: Action, caller: CountedCaller): Promise<readonly RuleResult[]> {
    const results = await this.#rules.consumeOwn(action, caller)
    const [refusing, ...more] = results.filter(({ result }) => result.waitMs > 0)
    if (refusing?.rule.by !== 'caller' || more.length > 0) return results
    if ((await this.#store.peek(unlockedKey(caller.subject), unlocked)) === 0) return results
    await this.#store.reset(refusing.key)
    return await this.#rules.consumeOwn(action, caller)
  }

  /**
   * Counts a guess in the counters that all callers without a proof share: of the number, and of the
   * installation.
   */
  async #countGuess(
    action: Action,
    caller: CountedCaller,
    isReal: boolean,
  ): Promise<readonly RuleResult[] | null> {
    if (caller.group === 'with_proof') return null
    // The decoy of a guess has the same windows: a full counter is read and not written, so a decoy that is
    // never full would differ in time.
    return await this.#rules.consumeShared(action, caller, (one) => (isReal ? one : decoyOf(one)))
  }
}

function newQueue(places: number): WorkQueue {
  const refusal = () => new AppError('overloaded', { retryAfterSeconds: 1 })
  return new WorkQueue({ places, waitingMax, waitMs, refusal })
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

function unlockedKey(subject: LimitSubject): string {
  return `unlocked:${subjectOf('number', subject)}`
}

function countsMessage({ callers }: LimitRule, to: Recipient): boolean {
  return to === 'without_account' || (to === 'owner' && callers !== 'without_account')
}

function decisionOf(results: readonly RuleResult[]): MessageDecision {
  const refusing = results.filter(({ result }) => result.waitMs > 0)
  if (refusing.some(({ rule }) => rule.callers === 'all')) return 'budget_spent'
  return refusing.length > 0 ? 'limit_full' : 'allowed'
}

/**
 * Whether the caller is counted like one without a proof instead of being refused. Also where too many
 * attempts were right: a holder of a copy of the proof could otherwise take each place as it becomes free,
 * and the owner would be refused for as long as that lasts. A request for a code waits: it would send a
 * second message.
 */
function isTreatedAsMissing(results: readonly RuleResult[]): boolean {
  return results.some(({ rule, result }) => {
    const countsRightOnes = rule.action !== 'send_code' && rule.counts === 'all' && rule.by !== 'session'
    return result.waitMs > (countsRightOnes ? 0 : longestProofWaitMs)
  })
}

/** The refusal states the wait, and not which limit was reached. */
function refusalOf(results: readonly RuleResult[]): AppError {
  const waits = results.filter(({ result }) => result.waitMs > 0)
  const seconds = waits.map(({ rule, result }) =>
    rule.by === 'network' ? networkRetrySeconds : Math.ceil(result.waitMs / 1000),
  )
  return rateLimited(Math.max(...seconds))
}

function rateLimited(seconds: number): AppError {
  return new AppError('rate_limited', { retryAfterSeconds: Math.min(longestRetrySeconds, seconds) })
}
