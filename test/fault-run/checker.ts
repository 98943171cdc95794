// Reads a history and returns its violations. Pure; checker.test.ts shows that each kind is found.
//
// A loss of commits excuses an acknowledged operation only where its row is lost (losses.ts).
//
// A clock jump excuses no violation. Sessions live for 30 days here, so an hour more or less ends none, and
// an explicit end does not depend on any clock. Codes are valid for five minutes by the clock of the server
// that checks them, so a clock jump may make a server refuse one. A refused sign-in is no violation; two
// sign-ins with one code are, by any clock.
import { checkRetries, type RetryRule } from './checker-retries.ts'
import type { FaultInterval, History, Kind, Operation } from './history.ts'
import { fateOf, type Loss, lossOf } from './losses.ts'

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
  const losses = lossesOf(all)
  const views = viewsOf(operations, losses)
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
    if (token === null || kind === 'sign_in') continue
    // An operation that overlaps a loss may have been handled before or after it.
    const [first = [], ...others] = views
      .filter(({ from, to }) => start <= to && end >= from)
      .map(({ lifetimes }) => judge(operation, lifetimes.get(token), { faultIntervals, options }))
    for (const { rule, why } of first)
      if (others.every((other) => other.some((one) => one.rule === rule))) add(rule, operation, why)
  }
  for (const { rule, operation, why } of checkRetries(operations, all)) add(rule, operation, why)
  for (const one of surplusGuesses(operations))
    add('more guesses than the limits allow', one, `one of more than ${freeGuesses} at once`)
  for (const [code, tries] of Map.groupBy(operations, (operation) => operation.code)) {
    const done = oneOfEachKey(tries.filter(({ outcome }) => outcome === 'done'))
    const second = done.find((one, i) => done.slice(0, i).some((other) => !isLostBefore(other, one, losses)))
    if (code !== undefined && second)
      add('two sign-ins with one code', second, `${done.length} of ${tries.length}`)
  }
  return found
}

interface Judged {
  readonly rule: Rule
  readonly why: string
}

/** What is wrong with the use of a token that had this lifetime. */
function judge(
  { kind, start, end, sentAt = start, outcome }: Operation,
  lifetime: TokenLifetime | undefined,
  { faultIntervals, options }: { faultIntervals: readonly FaultInterval[]; options: CheckerOptions },
): Judged[] {
  if (!lifetime) return []
  const { endedAt, mayEndAt } = lifetime
  const found: Judged[] = []
  const since = start - endedAt
  const bound = overlapsFault(faultIntervals, endedAt, start) ? options.boundMs : options.strictBoundMs
  if (outcome === 'done' && since > bound)
    found.push({ rule: 'accepted after its end', why: `${Math.round(since)} ms after its end was answered` })
  // There is no bound here: a write checks its session under the lock, after any end.
  if (kind === 'write' && outcome === 'done' && sentAt > endedAt) {
    const why = `sent ${Math.round(sentAt - endedAt)} ms after its end was answered`
    found.push({ rule: 'effect after its end', why })
  }
  if (outcome === 'refused' && end < mayEndAt)
    found.push({ rule: 'refused without a reason', why: 'no operation that could end it had started' })
  return found
}

/** The lifetimes of tokens by which the operations from one time to another are judged. */
interface View {
  readonly from: number
  readonly to: number
  readonly lifetimes: ReadonlyMap<string, TokenLifetime>
}

/** One until the first loss, and one after each loss, which knows what is lost. */
function viewsOf(operations: readonly Operation[], losses: readonly Loss[]): View[] {
  return Array.from({ length: losses.length + 1 }, (_, i) => ({
    from: losses[i - 1]?.from ?? Number.NEGATIVE_INFINITY,
    to: losses[i]?.to ?? Number.POSITIVE_INFINITY,
    lifetimes: lifetimesOf(operations, losses.slice(0, i)),
  }))
}

/** Whether an operation was lost, or may have been, before another one ended. */
function isLostBefore(operation: Operation, { end }: Operation, losses: readonly Loss[]): boolean {
  return (lossOf(operation, losses)?.from ?? Number.POSITIVE_INFINITY) <= end
}

/**
 * Of two sign-ins of an account at once, one ends the session of the other, whichever comes first. So once
 * both are answered, the token of one of them is not accepted any more.
 */
function checkRivals({ operations, faultIntervals: all }: History, options: CheckerOptions): Violation[] {
  const faultIntervals = all.filter(({ hasStrictBounds }) => !hasStrictBounds)
  const losses = lossesOf(all)
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
        if ([one, other].some((signIn) => lossOf(signIn, losses))) continue
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
  const { name, start, healedAt, end, mustFailRequests, loss } = interval
  const { healsWithinMs = Number.POSITIVE_INFINITY } = interval
  const found = (rule: Rule, text: string) => ({ rule, at: start, during: name, text })
  // By the end of the operation: one that started before the fault may fail because of it.
  const inInterval = operations.filter((operation) => operation.end >= start && operation.end < end)
  const hasFailed = ({ outcome }: Operation) => outcome === 'unavailable' || outcome === 'unknown'
  const signsIn = (server: string) => (operation: Operation) =>
    operation.server === server &&
    operation.kind === 'sign_in' &&
    operation.outcome === 'done' &&
    operation.start >= healedAt &&
    operation.end <= healedAt + healsWithinMs
  return [
    ...(mustFailRequests && !inInterval.some(hasFailed)
      ? [found('fault without effect', 'no operation failed')]
      : []),
    ...(loss && !operations.some((one) => one.outcome === 'done' && fateOf(one, loss) === 'lost')
      ? [found('fault without effect', 'no acknowledged operation was lost')]
      : []),
    ...servers
      .filter((server) => !inInterval.some(signsIn(server)))
      .map((server) => {
        const within = healsWithinMs < Number.POSITIVE_INFINITY ? ` within ${healsWithinMs} ms` : ''
        return found('no recovery', `no sign-in succeeded on ${server} after it${within}`)
      }),
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
 * What is lost has ended nothing for sure; and a loss ends the tokens of the sign-ins that are lost.
 */
function lifetimesOf(
  operations: readonly Operation[],
  losses: readonly Loss[],
): ReadonlyMap<string, TokenLifetime> {
  const lifetimes = new Map<string, TokenLifetime>()
  for (const operation of operations) {
    const { kind, token, outcome, account, start, end } = operation
    if (kind !== 'sign_in' || token === null || outcome !== 'done') continue
    const loss = lossOf(operation, losses)
    lifetimes.set(token, {
      account,
      requestedAt: start,
      issuedAt: end,
      mayEndAt: loss?.from ?? Number.POSITIVE_INFINITY,
      endedAt: loss && fateOf(operation, loss) === 'lost' ? loss.to : Number.POSITIVE_INFINITY,
    })
  }
  const byAccount = Map.groupBy(lifetimes, ([, { account }]) => account)
  for (const operation of operations) {
    if (!endingKinds.includes(operation.kind) || operation.outcome === 'refused') continue
    const isCertain = operation.outcome === 'done' && !lossOf(operation, losses)
    for (const [token, lifetime] of byAccount.get(operation.account) ?? [])
      applyEnd(operation, token, { lifetime, isCertain })
  }
  return lifetimes
}

function applyEnd(
  { kind, token: own, start, end }: Operation,
  token: string,
  { lifetime, isCertain }: { readonly lifetime: TokenLifetime; readonly isCertain: boolean },
): void {
  if (kind === 'sign_out' && own !== token) return
  if (kind === 'sign_in' && own === token) return
  // Of two overlapping sign-ins, either may have been handled first.
  if (kind === 'sign_in' && end < lifetime.requestedAt) return
  lifetime.mayEndAt = Math.min(lifetime.mayEndAt, start)
  const isSurelyAfter = kind === 'sign_out' || start > lifetime.issuedAt
  if (isCertain && isSurelyAfter) lifetime.endedAt = Math.min(lifetime.endedAt, end)
}

function lossesOf(faultIntervals: readonly FaultInterval[]): Loss[] {
  return faultIntervals.flatMap(({ loss }) => loss ?? [])
}

function intervalAt(faultIntervals: readonly FaultInterval[], at: number): FaultInterval | undefined {
  return faultIntervals.find(({ start, end }) => start <= at && at <= end)
}

function overlapsFault(faultIntervals: readonly FaultInterval[], from: number, to: number): boolean {
  return faultIntervals.some(({ start, end }) => start <= to && end >= from)
}
