// Reads a history and returns its violations. Pure; checker.test.ts shows that each kind is found.
//
// A clock jump excuses no violation. Sessions live for 30 days here, so an hour more or less ends none, and
// an explicit end does not depend on any clock. Codes are valid for five minutes by the clock of the server
// that checks them, so a clock jump may make a server refuse one. A refused sign-in is no violation; two
// sign-ins with one code are, by any clock.
import { checkRetries, type RetryRule } from './checker-retries.ts'
import type { FaultInterval, History, Kind, Operation } from './history.ts'

export type Rule =
  | RetryRule
  | 'accepted after its end'
  | 'two live sessions'
  | 'effect after its end'
  | 'refused without a reason'
  | 'two sign-ins with one code'
  | 'more guesses than the limits allow'
  | 'unexpected response'
  | 'no answer in time'
  | 'no recovery'
  | 'fault without effect'
  | 'resource leak'

export interface Violation {
  readonly rule: Rule
  readonly at: number
  /** The name of the fault during which it happened, or null. */
  readonly during: string | null
  readonly text: string
  /** The id of the request, if it has one, under which the server logs the cause. */
  readonly requestId?: string | null
}

export interface CheckerOptions {
  /** For how long after an acknowledged end a token may be accepted during a fault. */
  readonly boundMs: number
  /** The same without a fault: the time that a message needs from one process to another. */
  readonly strictBoundMs: number
  /** The longest time that a request may take. */
  readonly deadlineMs: number
}

interface TokenLifetime {
  readonly account: string
  /** When the sign-in that issued it started, and when it was acknowledged. */
  readonly requestedAt: number
  readonly issuedAt: number
  /** When the first operation started that may have ended it. */
  mayEndAt: number
  /** When the first operation was acknowledged that certainly ended it. */
  endedAt: number
}

export function check(history: History, options: CheckerOptions): Violation[] {
  return [
    ...checkOperations(history, options),
    ...checkRivals(history, options),
    ...history.faultIntervals.flatMap((one) => checkInterval(one, history)),
  ]
}

function checkOperations({ operations, faultIntervals: all }: History, options: CheckerOptions): Violation[] {
  const faultIntervals = all.filter(({ hasStrictBounds }) => !hasStrictBounds)
  const lifetimes = lifetimesOf(operations)
  const found: Violation[] = []
  const add = (rule: Rule, { start, account, server, answer, requestId }: Operation, why: string) => {
    const during = intervalAt(all, start)?.name ?? null
    const text = `${account} on ${server}: ${answer}; ${why}`
    found.push({ rule, at: start, during, text, ...(requestId !== undefined && { requestId }) })
  }
  for (const operation of operations) {
    const { kind, token, start, end, outcome } = operation
    if (outcome === 'wrong') add('unexpected response', operation, kind)
    if (end - start > options.deadlineMs) add('no answer in time', operation, `${Math.round(end - start)} ms`)
    const lifetime = token === null || kind === 'sign_in' ? undefined : lifetimes.get(token)
    if (!lifetime) continue
    const since = start - lifetime.endedAt
    const bound = overlapsFault(faultIntervals, lifetime.endedAt, start)
      ? options.boundMs
      : options.strictBoundMs
    if (outcome === 'done' && since > bound) {
      add('accepted after its end', operation, `${Math.round(since)} ms after its end was answered`)
    }
    // There is no bound here: a write checks its session under the lock, after any end.
    if (kind === 'write' && outcome === 'done' && (operation.sentAt ?? start) > lifetime.endedAt) {
      add(
        'effect after its end',
        operation,
        `sent ${Math.round((operation.sentAt ?? start) - lifetime.endedAt)} ms after its end was answered`,
      )
    }
    if (outcome === 'refused' && end < lifetime.mayEndAt) {
      add('refused without a reason', operation, 'no operation that could end it had started')
    }
  }
  for (const { rule, operation, why } of checkRetries(operations, all)) add(rule, operation, why)
  for (const one of surplusGuesses(operations))
    add('more guesses than the limits allow', one, `one of more than ${freeGuesses} at once`)
  for (const [code, tries] of Map.groupBy(operations, (operation) => operation.code)) {
    const done = oneOfEachKey(tries.filter(({ outcome }) => outcome === 'done'))
    if (code !== undefined && done.length > 1 && done[1])
      add('two sign-ins with one code', done[1], `${done.length} of ${tries.length}`)
  }
  return found
}

/**
 * Of two sign-ins of an account at once, one ends the session of the other, whichever comes first. So once
 * both are answered, the token of one of them is not accepted any more.
 */
function checkRivals({ operations, faultIntervals: all }: History, options: CheckerOptions): Violation[] {
  const faultIntervals = all.filter(({ hasStrictBounds }) => !hasStrictBounds)
  const lastChecks = new Map<string, Operation>()
  for (const one of operations)
    if (one.kind === 'check' && one.outcome === 'done' && one.token !== null) lastChecks.set(one.token, one)
  // The attempts with one key are one sign-in.
  const signIns = operations.filter(
    ({ kind, outcome, key }) => kind === 'sign_in' && outcome === 'done' && key === undefined,
  )
  const found: Violation[] = []
  for (const mine of Map.groupBy(signIns, ({ account }) => account).values()) {
    const sorted = mine.toSorted((a, b) => a.start - b.start)
    for (const [i, one] of sorted.entries())
      for (const other of sorted.slice(i + 1)) {
        if (other.start >= one.end) break
        const answeredAt = Math.max(one.end, other.end)
        const checks = [one, other].flatMap(({ token }) => lastChecks.get(token ?? '') ?? [])
        const at = Math.min(...checks.map(({ start }) => start))
        const isDuring = overlapsFault(faultIntervals, answeredAt, at)
        const bound = isDuring ? options.boundMs : options.strictBoundMs
        if (checks.length < 2 || at <= answeredAt + bound) continue
        const text = `${one.account}: ${one.server} and ${other.server} signed in at once, and both tokens were accepted ${Math.round(at - answeredAt)} ms later`
        found.push({ rule: 'two live sessions', at, during: intervalAt(all, at)?.name ?? null, text })
      }
  }
  return found
}

/**
 * A fault without an effect proves nothing. After each fault, sign-ins succeed on each server without a
 * restart.
 */
function checkInterval(interval: FaultInterval, { operations, servers }: History): Violation[] {
  const { name, start, healedAt, end, mustFailRequests } = interval
  const found = (rule: Rule, text: string) => ({ rule, at: start, during: name, text })
  // By the end of the operation: one that started before the fault may fail because of it.
  const inInterval = operations.filter((operation) => operation.end >= start && operation.end < end)
  const hasFailed = ({ outcome }: Operation) => outcome === 'unavailable' || outcome === 'unknown'
  const signsIn = (server: string) => (operation: Operation) =>
    operation.server === server &&
    operation.kind === 'sign_in' &&
    operation.outcome === 'done' &&
    operation.start >= healedAt
  return [
    ...(mustFailRequests && !inInterval.some(hasFailed)
      ? [found('fault without effect', 'no operation failed')]
      : []),
    ...servers
      .filter((server) => !inInterval.some(signsIn(server)))
      .map((server) => found('no recovery', `no sign-in succeeded on ${server} after it`)),
  ]
}

const endingKinds: readonly Kind[] = ['sign_in', 'sign_out']

/**
 * docs/limits.md: the guesses of one caller at one number that are compared before the caller has to wait.
 */
const freeGuesses = 5
const waitMs = 30_000

/** Attempts with one key are one sign-in. */
function oneOfEachKey(operations: readonly Operation[]): Operation[] {
  return operations.filter(
    ({ key }, i) => key === undefined || operations.findIndex((other) => other.key === key) === i,
  )
}

/** The guesses of a caller that were compared beyond the limit. */
function surplusGuesses(operations: readonly Operation[]): Operation[] {
  const compared = operations.filter(({ kind, outcome }) => kind === 'guess' && outcome === 'done')
  return [...Map.groupBy(compared, ({ account }) => account).values()].flatMap((guesses) => {
    const until = Math.min(...guesses.map(({ start }) => start)) + waitMs
    return guesses.filter(({ end }) => end < until).slice(freeGuesses)
  })
}

/**
 * An account has one session at a time: a sign-in ends all tokens before it, a sign-out ends its own token.
 */
function lifetimesOf(operations: readonly Operation[]): Map<string, TokenLifetime> {
  const lifetimes = new Map<string, TokenLifetime>()
  for (const { kind, token, outcome, account, start, end } of operations) {
    if (kind !== 'sign_in' || token === null || outcome !== 'done') continue
    lifetimes.set(token, {
      account,
      requestedAt: start,
      issuedAt: end,
      mayEndAt: Infinity,
      endedAt: Infinity,
    })
  }
  const byAccount = Map.groupBy(lifetimes, ([, { account }]) => account)
  for (const operation of operations) {
    if (!endingKinds.includes(operation.kind) || operation.outcome === 'refused') continue
    for (const [token, lifetime] of byAccount.get(operation.account) ?? [])
      applyEnd(operation, token, lifetime)
  }
  return lifetimes
}

function applyEnd(operation: Operation, token: string, lifetime: TokenLifetime): void {
  const { kind, start, end, outcome } = operation
  if (kind === 'sign_out' && operation.token !== token) return
  if (kind === 'sign_in' && operation.token === token) return
  // Of two overlapping sign-ins, either may have been handled first.
  if (kind === 'sign_in' && end < lifetime.requestedAt) return
  lifetime.mayEndAt = Math.min(lifetime.mayEndAt, start)
  const isSurelyAfter = kind === 'sign_out' || start > lifetime.issuedAt
  if (outcome === 'done' && isSurelyAfter) lifetime.endedAt = Math.min(lifetime.endedAt, end)
}

function intervalAt(faultIntervals: readonly FaultInterval[], at: number): FaultInterval | undefined {
  return faultIntervals.find(({ start, end }) => start <= at && at <= end)
}

function overlapsFault(faultIntervals: readonly FaultInterval[], from: number, to: number): boolean {
  return faultIntervals.some(({ start, end }) => start <= to && end >= from)
}
