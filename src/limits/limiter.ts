// Asks the table of limits before something is sent or compared, and refuses with `rate_limited`.
import { AppError, isWrongProof } from '../errors.ts'
import type { Action, By, Check, Counts, Limit, SessionWrite } from './limits.ts'
import type { LimitStore, Window } from './store.ts'
import { subjectOf, type Who } from './subjects.ts'

/** What a counted action gives back. */
export interface Allowed {
  /** How long the next one about the same number would be refused, as far as the counters of this number say. */
  readonly nextInSeconds: number
}

/**
 * A try that is counted as a failure already. Where it fails there is nothing to do. The first call to it is the one that
 * counts, and none of them fails: a count too many is better than a sign-in that was right and is refused.
 */
export interface Attempt {
  /** It was right: forgets the failures in a row of this number, those of the other method too. */
  succeeded(): Promise<void>
  /** It never came to a comparison: it is no failure. */
  notCompared(): Promise<void>
}

/** The session that writes, and its account. */
export interface Writer {
  readonly accountId: string
  readonly sessionId: string
}

interface Bucket {
  readonly action: Action
  readonly by: By
  readonly counts: Counts
  readonly windows: readonly Window[]
}

interface Counted {
  readonly bucket: Bucket
  readonly key: string
  readonly at: number
  readonly nextMs: number
}

/** Counters that more than one person shares: how full they are is nobody's business. */
const shared: readonly By[] = ['network', 'prefix', 'server']
const needsNoCounters: readonly SessionWrite[] = ['end_session', 'rotate_token']
const sharedRetrySeconds = 600
/** Nobody is told to wait for longer, however long it is. */
const longestRetrySeconds = 86_400

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
   * Counts one action, before it is done.
   * @throws AppError `rate_limited`, or `unavailable` where the counters are out of reach: then it must not be done
   */
  async spend(action: 'send_code', who: Who): Promise<Allowed> {
    const counted = await this.#count(action, who)
    const ofNumber = counted.filter(({ bucket }) => bucket.by === 'number')
    return { nextInSeconds: Math.ceil(Math.max(0, ...ofNumber.map(({ nextMs }) => nextMs)) / 1000) }
  }

  /**
   * Counts one try of a method as a failure, before anything is compared. It knows nothing of accounts: a number without one
   * is counted and refused like any other.
   * @throws AppError `rate_limited`, or `unavailable` where the counters are out of reach: then nothing may be compared
   */
  async attempt(action: Check, who: Who): Promise<Attempt> {
    const counted = await this.#count(action, who)
    let isSettled = false
    const settle = async (work: () => Promise<unknown>): Promise<void> => {
      if (isSettled) return
      isSettled = true
      await work().catch(() => {})
    }
    return {
      succeeded: () =>
        settle(() =>
          Promise.all([
            this.#giveBack(counted),
            this.#forget((bucket) => bucket.counts === 'in_a_row', who.phoneNumber),
          ]),
        ),
      notCompared: () => settle(() => this.#giveBack(counted)),
    }
  }

  /**
   * Does what compares a secret, as one counted try. A refusal that says the secret was wrong stays counted; whatever else
   * went wrong does not.
   * @throws AppError `rate_limited`, `unavailable`, and whatever `compare` throws
   */
  async guarded<T>(action: Check, who: Who, compare: () => Promise<T>): Promise<T> {
    const attempt = await this.attempt(action, who)
    try {
      const result = await compare()
      await attempt.succeeded()
      return result
    } catch (error) {
      if (!isWrongProof(error)) await attempt.notCompared()
      throw error
    }
  }

  /**
   * Counts a write on behalf of a session, before it is done. Ending sessions and new tokens go on while the counters are out of
   * reach: they help no guesser, and a person who removes a stolen device must not wait for a store of counters.
   * @throws AppError `rate_limited`, or `unavailable` where the counters are out of reach: then it must not be done
   */
  async countWrite(action: SessionWrite, { accountId, sessionId }: Writer): Promise<void> {
    const who = { phoneNumber: '', address: null, deviceId: null, accountId, sessionId }
    try {
      await this.#count(action, who)
    } catch (error) {
      const isOutOfReach = error instanceof AppError && error.code === 'unavailable'
      if (!isOutOfReach || !needsNoCounters.includes(action)) throw error
    }
  }

  /** Forgets everything that was counted against a number: codes sent, and tries by every method. @throws AppError `unavailable` */
  async forgetNumber(phoneNumber: string): Promise<void> {
    await this.#forget((bucket) => bucket.by === 'number', phoneNumber)
  }

  async #forget(which: (bucket: Bucket) => boolean, phoneNumber: string): Promise<void> {
    const who = { phoneNumber, address: null, deviceId: null, accountId: null }
    const keys = this.#buckets.filter(which).map((bucket) => keyOf(bucket, who))
    await Promise.all(keys.map((key) => key !== null && this.#store.forget(key)))
  }

  /** Whether the counters are in reach: while they are not, what they would count is refused as `unavailable`. */
  isReachable(): boolean {
    return this.#store.isReachable()
  }

  async close(): Promise<void> {
    await this.#store.close()
  }

  /** Counts in one bucket after the other. Where one refuses, those behind it are not touched. */
  async #count(action: Action, who: Who): Promise<Counted[]> {
    const counted: Counted[] = []
    try {
      for (const bucket of this.#buckets) {
        const key = bucket.action === action ? keyOf(bucket, who) : null
        if (key === null) continue
        const { waitMs, nextMs, at } = await this.#store.spend(key, bucket.windows)
        if (waitMs > 0) throw refusal(bucket.by, waitMs)
        counted.push({ bucket, key, at, nextMs })
      }
      return counted
    } catch (error) {
      // What is refused is not compared, so it is no failure.
      await this.#giveBack(counted).catch(() => {})
      throw error
    }
  }

  /** Takes back what counts only failures. */
  async #giveBack(counted: readonly Counted[]): Promise<void> {
    const failures = counted.filter(({ bucket }) => bucket.counts !== 'all')
    await Promise.all(failures.map(({ bucket, key, at }) => this.#store.giveBack(key, bucket.windows, at)))
  }
}

/** One bucket for each action, kind of subject and kind of counting, with all its windows. */
function bucketsOf(limits: readonly Limit[]): Bucket[] {
  const groups = Map.groupBy(limits, ({ action, by, counts }) => `${action}:${by}:${counts}`)
  return [...groups.values()].flatMap((group) => {
    const [first] = group
    const windows = group.map(({ max, perSeconds, coolDown = [] }) => ({
      max,
      ms: perSeconds * 1000,
      coolDownMs: coolDown.map((seconds) => seconds * 1000),
    }))
    return first ? [{ action: first.action, by: first.by, counts: first.counts, windows }] : []
  })
}

function keyOf({ action, by, counts }: Bucket, who: Who): string | null {
  const subject = subjectOf(by, who)
  return subject === null ? null : `${action}:${by}:${counts}:${subject}`
}

/** Which limit it was is told to nobody, and how full the counters of other people are neither. */
function refusal(by: By, waitMs: number): AppError {
  const seconds = shared.includes(by) ? sharedRetrySeconds : Math.ceil(waitMs / 1000)
  return new AppError('rate_limited', { retryAfterSeconds: Math.min(longestRetrySeconds, seconds) })
}
