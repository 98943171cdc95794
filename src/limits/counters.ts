// The counters of the table of limits: which of them count an action of a caller, under which keys, and what
// they answer.
import { numberCountry } from '../phone/phone.ts'
import type { Action, By, Callers, Counts, Limit } from './limits.ts'
import type { LimitStore, Spent, Window } from './store.ts'
import { type LimitSubject, subjectOf } from './subjects.ts'

/** One counter of the table, with all its windows. */
export interface Counter {
  readonly action: Action
  readonly by: By
  readonly callers: Callers
  readonly counts: Counts
  /** The country that a limit by `country` applies to. */
  readonly country?: string
  readonly windows: readonly Window[]
}

/** A counter of one subject. */
export interface Keyed {
  readonly counter: Counter
  readonly key: string
}

/** The answer of a counter. */
export interface Counted extends Keyed {
  readonly spent: Spent
}

/** The group of counters that count a caller. */
export type Lane = 'without_proof' | 'with_proof'

/** A subject with the group of counters that count it. */
export interface Caller {
  readonly subject: LimitSubject
  readonly lane: Lane
}

/**
 * Counters of all callers. A caller never learns how full they are, except that all messages of the day are
 * sent.
 */
const shared: readonly By[] = ['number', 'prefix', 'country', 'server']

export class Counters {
  readonly #store: LimitStore
  /** In the order of the table. */
  readonly #counters: readonly Counter[]

  constructor(store: LimitStore, limits: readonly Limit[]) {
    this.#store = store
    this.#counters = countersOf(limits)
  }

  /**
   * A table without rows allows everything; in any other, an action without rows is a mistake of the program.
   * @throws Error
   */
  assertListed(action: Action): void {
    const isListed = this.#counters.some((counter) => counter.action === action)
    if (!isListed && this.#counters.length > 0) throw new Error(`the table has no limits of ${action}`)
  }

  /**
   * Counts an action in all of the caller's own counters, or in none.
   * @throws AppError `unavailable` or `overloaded`, from the store
   */
  async consumeOwn(action: Action, caller: Caller): Promise<readonly Counted[]> {
    return await this.#consume(this.#own(action, caller), caller)
  }

  /**
   * Counts an action in all counters that the caller shares with others, or in none.
   * @param counterOf returns the counter itself, or a decoy, in which counting is the same work
   * @throws AppError `unavailable` or `overloaded`, from the store
   */
  async consumeShared(
    action: Action,
    caller: Caller,
    counterOf: (one: Keyed) => Keyed,
  ): Promise<readonly Counted[]> {
    const counters = this.#countersFor(action, caller.lane).filter(isShared)
    return await this.#consume(keyed(counters, caller.subject).map(counterOf), caller)
  }

  /** The longest wait that the caller's own counters of an action state, in ms. Counts nothing. */
  async waitOwn(action: Action, caller: Caller): Promise<number> {
    const waits = this.#own(action, caller).map(({ counter, key }) => this.#store.peek(key, counter.windows))
    return Math.max(0, ...(await Promise.all(waits)))
  }

  /** Never fails: a count that cannot be refunded expires with its window. */
  async refund(counted: readonly Counted[]): Promise<void> {
    await Promise.allSettled(
      counted.map(({ counter, key, spent }) => this.#store.refund(key, counter.windows, spent.at)),
    )
  }

  /** Forgets the consecutive failures of a caller, by every method. */
  async forgetFailures(subject: LimitSubject): Promise<void> {
    await this.#forget((counter) => counter.counts === 'in_a_row' && !isShared(counter), subject)
  }

  /** Forgets what all callers did with a number. */
  async forgetNumber(subject: LimitSubject): Promise<void> {
    await this.#forget(({ by }) => by === 'number', subject)
  }

  async #consume(asked: readonly Keyed[], { lane }: Caller): Promise<readonly Counted[]> {
    const spent = await this.#store.consumeAll(
      asked.map(({ counter, key }) => ({ key, windows: counter.windows })),
      { reserved: lane === 'with_proof' },
    )
    return asked.flatMap((one, i) => {
      const answer = spent[i]
      return answer ? [{ ...one, spent: answer }] : []
    })
  }

  async #forget(which: (counter: Counter) => boolean, subject: LimitSubject): Promise<void> {
    await Promise.all(keyed(this.#counters.filter(which), subject).map(({ key }) => this.#store.forget(key)))
  }

  #own(action: Action, { subject, lane }: Caller): readonly Keyed[] {
    const own = this.#countersFor(action, lane).filter((counter) => !isShared(counter))
    return keyed(own, subject)
  }

  #countersFor(action: Action, lane: Lane): readonly Counter[] {
    return this.#counters.filter((counter) => counter.action === action && isCountedIn(lane, counter.callers))
  }
}

/** Whether one of the counters had no room, so that nothing was counted in any. */
export function isRefused(counted: readonly Counted[]): boolean {
  return counted.some(({ spent }) => spent.waitMs > 0)
}

/** A decoy: a counter with the same windows that no limit reads. */
export function decoyOf({ counter, key }: Keyed): Keyed {
  return { counter, key: `decoy:${key}` }
}

/** A decoy that is never full. */
export function endlessDecoyOf({ counter, key }: Keyed): Keyed {
  const windows = counter.windows.map((window) => ({ ...window, max: 1_000_000_000 }))
  return { ...decoyOf({ counter, key }), counter: { ...counter, windows } }
}

/** One counter for all rows that differ only in their windows. */
function countersOf(limits: readonly Limit[]): Counter[] {
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

/** The counters that count this subject. */
function keyed(counters: readonly Counter[], subject: LimitSubject): Keyed[] {
  const { phoneNumber } = subject
  const needsCountry = phoneNumber !== null && counters.some(({ by }) => by === 'country')
  const country = needsCountry ? numberCountry(phoneNumber) : null
  return counters.flatMap((counter) => {
    const { action, by, callers, counts } = counter
    if (by === 'country' && counter.country !== country) return []
    const name = subjectOf(by, subject)
    return name === null ? [] : [{ counter, key: `${action}:${by}:${callers}:${counts}:${name}` }]
  })
}

function isShared({ by }: Counter): boolean {
  return shared.includes(by)
}

function isCountedIn(lane: Lane, callers: Callers): boolean {
  return callers === 'all' || callers === lane || (lane === 'without_proof' && callers === 'without_account')
}
