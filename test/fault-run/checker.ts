// Reads a history and says what must not have happened. Pure; checker.test.ts shows that it sees each kind of
// violation.
//
// A clock that jumps excuses nothing. Sessions live for 30 days here, so an hour more or less ends none, and
// an end that was asked for does not depend on any clock. Codes are valid for five minutes by the clock of
// the server that is asked: one may be refused for it, and a refused sign-in is no violation; two sign-ins
// with one code are, by any clock.
import { checkRetries, type RetryRule } from './checker-retries.ts'
import type { History, Kind, Operation, Trouble } from './history.ts'

export type Rule =
  | RetryRule
  | 'accepted after its end'
  | 'effect after its end'
  | 'refused without a reason'
  | 'two sign-ins with one code'
  | 'more tries than the table allows'
  | 'answer that nobody should see'
  | 'no answer in time'
  | 'not well again'
  | 'nobody felt it'
  | 'left behind'

export interface Violation {
  readonly rule: Rule
  readonly at: number
  /** The fault that it fell into, or null. */
  readonly during: string | null
  readonly text: string
  /** Of the operation, where it has one: the server's log tells its cause. */
  readonly requestId?: string | null
}

export interface CheckerOptions {
  /** How long after the answered end a token may be accepted while something is broken. */
  readonly boundMs: number
  /** The same while all is well: what a message needs from one process to the other. */
  readonly calmMs: number
  /** No request may be without an answer for longer. */
  readonly deadlineMs: number
}

interface TokenLife {
  readonly account: string
  /** When the sign-in that gave it began, and when it was answered. */
  readonly askedAt: number
  readonly givenAt: number
  /** When the first operation began that may have ended it. */
  mayEndAt: number
  /** When the first operation was answered that surely ended it. */
  endedAt: number
}

export function check(history: History, options: CheckerOptions): Violation[] {
  return [
    ...checkOperations(history, options),
    ...history.troubles.flatMap((one) => checkTrouble(one, history)),
  ]
}

function checkOperations({ operations, troubles: all }: History, options: CheckerOptions): Violation[] {
  const troubles = all.filter(({ isCalm }) => !isCalm)
  const lives = livesOf(operations)
  const found: Violation[] = []
  const add = (rule: Rule, { start, account, server, answer, requestId }: Operation, why: string) => {
    const during = troubleAt(all, start)?.name ?? null
    const text = `${account} on ${server}: ${answer}; ${why}`
    found.push({ rule, at: start, during, text, ...(requestId !== undefined && { requestId }) })
  }
  for (const operation of operations) {
    const { kind, token, start, end, outcome } = operation
    if (outcome === 'wrong') add('answer that nobody should see', operation, kind)
    if (end - start > options.deadlineMs) add('no answer in time', operation, `${Math.round(end - start)} ms`)
    const life = token === null || kind === 'sign_in' ? undefined : lives.get(token)
    if (!life) continue
    const since = start - life.endedAt
    const bound = troubleBetween(troubles, life.endedAt, start) ? options.boundMs : options.calmMs
    if (outcome === 'done' && since > bound) {
      add('accepted after its end', operation, `${Math.round(since)} ms after its end was answered`)
    }
    // No bound: what is written is judged where it is written, after the end.
    if (kind === 'write' && outcome === 'done' && (operation.sentAt ?? start) > life.endedAt) {
      add(
        'effect after its end',
        operation,
        `sent ${Math.round((operation.sentAt ?? start) - life.endedAt)} ms after its end was answered`,
      )
    }
    if (outcome === 'refused' && end < life.mayEndAt) {
      add('refused without a reason', operation, `nobody had asked to end it yet`)
    }
  }
  for (const { rule, operation, why } of checkRetries(operations, all)) add(rule, operation, why)
  for (const one of surplusGuesses(operations))
    add('more tries than the table allows', one, `one of more than ${freeGuesses} at once`)
  for (const [code, tries] of Map.groupBy(operations, (operation) => operation.code)) {
    const done = oneOfEachKey(tries.filter(({ outcome }) => outcome === 'done'))
    if (code !== undefined && done.length > 1 && done[1])
      add('two sign-ins with one code', done[1], `${done.length} of ${tries.length}`)
  }
  return found
}

/**
 * A fault without an effect shows nothing; and when it is over, clients can sign in on each server without a
 * restart.
 */
function checkTrouble(trouble: Trouble, { operations, servers }: History): Violation[] {
  const { name, start, healedAt, end, isFelt } = trouble
  const found = (rule: Rule, text: string) => ({ rule, at: start, during: name, text })
  // What was asked before a fault may be what it hindered.
  const within = operations.filter((operation) => operation.end >= start && operation.end < end)
  const isHindered = ({ outcome }: Operation) => outcome === 'unavailable' || outcome === 'unknown'
  const works = (server: string) => (operation: Operation) =>
    operation.server === server &&
    operation.kind === 'sign_in' &&
    operation.outcome === 'done' &&
    operation.start >= healedAt
  return [
    ...(isFelt && !within.some(isHindered) ? [found('nobody felt it', 'no operation was hindered')] : []),
    ...servers
      .filter((server) => !within.some(works(server)))
      .map((server) => found('not well again', `nobody signed in on ${server} after it`)),
  ]
}

const endingKinds: readonly Kind[] = ['sign_in', 'sign_out']

/**
 * docs/limits.md: of one caller at one number, so many in a row are compared before it has to wait for half a
 * minute.
 */
const freeGuesses = 5
const waitMs = 30_000

/** A repeat is the same sign-in. */
function oneOfEachKey(operations: readonly Operation[]): Operation[] {
  return operations.filter(
    ({ key }, i) => key === undefined || operations.findIndex((other) => other.key === key) === i,
  )
}

/** The guesses of one caller that were compared, where there were too many of them. */
function surplusGuesses(operations: readonly Operation[]): Operation[] {
  const compared = operations.filter(({ kind, outcome }) => kind === 'guess' && outcome === 'done')
  return [...Map.groupBy(compared, ({ account }) => account).values()].flatMap((guesses) => {
    const until = Math.min(...guesses.map(({ start }) => start)) + waitMs
    return guesses.filter(({ end }) => end < until).slice(freeGuesses)
  })
}

/**
 * An account has one session at a time: each sign-in ends the tokens before it, and each sign-out its own.
 */
function livesOf(operations: readonly Operation[]): Map<string, TokenLife> {
  const lives = new Map<string, TokenLife>()
  for (const { kind, token, outcome, account, start, end } of operations) {
    if (kind !== 'sign_in' || token === null || outcome !== 'done') continue
    lives.set(token, { account, askedAt: start, givenAt: end, mayEndAt: Infinity, endedAt: Infinity })
  }
  const byAccount = Map.groupBy(lives, ([, { account }]) => account)
  for (const operation of operations) {
    if (!endingKinds.includes(operation.kind) || operation.outcome === 'refused') continue
    for (const [token, life] of byAccount.get(operation.account) ?? []) endsBy(operation, token, life)
  }
  return lives
}

function endsBy(operation: Operation, token: string, life: TokenLife): void {
  const { kind, start, end, outcome } = operation
  if (kind === 'sign_out' && operation.token !== token) return
  if (kind === 'sign_in' && operation.token === token) return
  // Of two that overlap, either may have come first inside the servers.
  if (kind === 'sign_in' && end < life.askedAt) return
  life.mayEndAt = Math.min(life.mayEndAt, start)
  const isSurelyAfter = kind === 'sign_out' || start > life.givenAt
  if (outcome === 'done' && isSurelyAfter) life.endedAt = Math.min(life.endedAt, end)
}

function troubleAt(troubles: readonly Trouble[], at: number): Trouble | undefined {
  return troubles.find(({ start, end }) => start <= at && at <= end)
}

function troubleBetween(troubles: readonly Trouble[], from: number, to: number): boolean {
  return troubles.some(({ start, end }) => start <= to && end >= from)
}
