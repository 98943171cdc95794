// The rules of the table of limits: which of them apply to an action of a caller, and the counters that they
// count in.
import { numberCountry } from '../phone/phone.ts'
import type { Action, Callers, CountedBy, Counts, Limit } from './limits.ts'
import type { ConsumeResult, LimitStore, Window } from './store.ts'
import { type LimitSubject, subjectOf } from './subjects.ts'

/** The rows of the table that share a counter: they differ only in their windows. */
export interface LimitRule {
  readonly action: Action
  readonly by: CountedBy
  readonly callers: Callers
  readonly counts: Counts
  /** The country that a limit by `country` applies to. */
  readonly country?: string
  readonly windows: readonly Window[]
}

/** A rule, and the key of the counter of one subject. */
export interface KeyedRule {
  readonly rule: LimitRule
  readonly key: string
  /** No limit reads the counter. */
  readonly isDecoy?: boolean
}

/** What that counter answered. */
export interface RuleResult extends KeyedRule {
  readonly result: ConsumeResult
}

/** Whether the rules for callers with a device proof apply to a caller, or those for callers without one. */
export type CallerGroup = 'without_proof' | 'with_proof'

/** A subject, with the rules that apply to it. */
export interface CountedCaller {
  readonly subject: LimitSubject
  readonly group: CallerGroup
}

/**
 * What the counters of all callers count by. A caller never learns how full they are, except that all
 * messages of the day are sent.
 */
const shared: readonly CountedBy[] = ['number', 'prefix', 'country', 'server']

export class LimitRules {
  readonly #store: LimitStore
  /** In the order of the table. */
  readonly #rules: readonly LimitRule[]

  constructor(store: LimitStore, limits: readonly Limit[]) {
    this.#store = store
    this.#rules = rulesOf(limits)
  }

  /**
   * A table without rows allows everything; in any other, an action without rows is a mistake of the program.
   * @throws Error
   */
  assertListed(action: Action): void {
    const isListed = this.#rules.some((rule) => rule.action === action)
    if (!isListed && this.#rules.length > 0) throw new Error(`the table has no limits of ${action}`)
  }

  /**
   * Counts an action in all of the caller's own counters, or in none.
   * @throws AppError `unavailable` or `overloaded`, from the store
   */
  async consumeOwn(action: Action, caller: CountedCaller): Promise<readonly RuleResult[]> {
    return await this.#consume(this.#own(action, caller), caller)
  }

  /**
   * Counts an action in all counters that the caller shares with others, or in none.
   * @param ruleOf returns the rule itself, or a decoy, for which counting is the same work
   * @throws AppError `unavailable` or `overloaded`, from the store
   */
  async consumeShared(
    action: Action,
    caller: CountedCaller,
    ruleOf: (one: KeyedRule) => KeyedRule,
  ): Promise<readonly RuleResult[]> {
    const rules = this.#rulesFor(action, caller.group).filter(isShared)
    return await this.#consume(keyed(rules, caller.subject).map(ruleOf), caller)
  }

  /** The longest wait that the caller's own counters of an action state, in ms. Counts nothing. */
  async waitOwn(action: Action, caller: CountedCaller): Promise<number> {
    const waits = this.#own(action, caller).map(({ rule, key }) => this.#store.peek(key, rule.windows))
    return Math.max(0, ...(await Promise.all(waits)))
  }

  /** Never fails: a count that cannot be refunded expires with its window. */
  async refund(counted: readonly RuleResult[]): Promise<void> {
    await Promise.allSettled(
      counted.map(({ rule, key, result }) => this.#store.refund(key, rule.windows, result.at)),
    )
  }

  /** Resets the counters of a caller's consecutive failures, by every method. */
  async resetFailures(subject: LimitSubject): Promise<void> {
    await this.#reset((rule) => rule.counts === 'in_a_row' && !isShared(rule), subject)
  }

  /** Resets the counters of what all callers did with a number. */
  async resetNumber(subject: LimitSubject): Promise<void> {
    await this.#reset(({ by }) => by === 'number', subject)
  }

  async #consume(asked: readonly KeyedRule[], { group }: CountedCaller): Promise<readonly RuleResult[]> {
    const results = await this.#store.consumeAll(
      asked.map((one) => ({ key: one.key, windows: one.rule.windows, isKept: isKept(one) })),
      { reserved: group === 'with_proof' },
    )
    return asked.flatMap((one, i) => {
      const result = results[i]
      return result ? [{ ...one, result }] : []
    })
  }

  async #reset(which: (rule: LimitRule) => boolean, subject: LimitSubject): Promise<void> {
    await Promise.all(keyed(this.#rules.filter(which), subject).map(({ key }) => this.#store.reset(key)))
  }

  #own(action: Action, { subject, group }: CountedCaller): readonly KeyedRule[] {
    const own = this.#rulesFor(action, group).filter((rule) => !isShared(rule))
    return keyed(own, subject)
  }

  #rulesFor(action: Action, group: CallerGroup): readonly LimitRule[] {
    return this.#rules.filter((rule) => rule.action === action && isCountedIn(group, rule.callers))
  }
}

/** Whether one of the counters had no room, so that nothing was counted in any. */
export function isRefused(counted: readonly RuleResult[]): boolean {
  return counted.some(({ result }) => result.waitMs > 0)
}

/** A decoy: the same windows with a counter that no limit reads. */
export function decoyOf({ rule, key }: KeyedRule): KeyedRule {
  return { rule, key: `decoy:${key}`, isDecoy: true }
}

/** A decoy that is never full. */
export function unlimitedDecoyOf({ rule, key }: KeyedRule): KeyedRule {
  const windows = rule.windows.map((window) => ({ ...window, max: 1_000_000_000 }))
  return { ...decoyOf({ rule, key }), rule: { ...rule, windows } }
}

/** One rule for all rows that differ only in their windows. */
function rulesOf(limits: readonly Limit[]): LimitRule[] {
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

/** The rules that count this subject, each with its key. */
function keyed(rules: readonly LimitRule[], subject: LimitSubject): KeyedRule[] {
  const { phoneNumber } = subject
  const needsCountry = phoneNumber !== null && rules.some(({ by }) => by === 'country')
  const country = needsCountry ? numberCountry(phoneNumber) : null
  return rules.flatMap((rule) => {
    const { action, by, callers, counts } = rule
    if (by === 'country' && rule.country !== country) return []
    const name = subjectOf(by, subject)
    return name === null ? [] : [{ rule, key: `${action}:${by}:${callers}:${counts}:${name}` }]
  })
}

function isShared({ by }: LimitRule): boolean {
  return shared.includes(by)
}

/**
 * Whether a counter exists only for an account, a code or message that was sent, a device proof, or a
 * session. Any request creates counters of its address, and decoys of its number.
 */
function isKept({ rule, isDecoy = false }: KeyedRule): boolean {
  if (isShared(rule)) return !isDecoy
  return rule.callers === 'all' || rule.callers === 'with_proof'
}

function isCountedIn(group: CallerGroup, callers: Callers): boolean {
  return (
    callers === 'all' || callers === group || (group === 'without_proof' && callers === 'without_account')
  )
}
