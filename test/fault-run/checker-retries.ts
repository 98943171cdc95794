// Rules for sign-ins that are retried with an idempotency key. Pure, like checker.ts.
//
// The accounts of these sign-ins do nothing else and run one operation after another, so every end of a
// session has a known cause.
import type { FaultInterval, Operation } from './history.ts'
import { type Loss, lossOf, mayHaveLostUse } from './losses.ts'

export type RetryRule = 'a used token was replaced' | 'a retried sign-in ran twice' | 'a retry was refused'

export interface RetryViolation {
  readonly rule: RetryRule
  readonly operation: Operation
  readonly why: string
}

/** The attempts of one sign-in, and the operations that used their tokens. */
interface Series {
  readonly tries: readonly Operation[]
  readonly uses: readonly Operation[]
}

export function checkRetries(
  operations: readonly Operation[],
  faultIntervals: readonly FaultInterval[],
): RetryViolation[] {
  const losses = faultIntervals.flatMap(({ loss }) => loss ?? [])
  const series = seriesOf(operations).filter((one) => !isLost(one, losses))
  return series.flatMap((one) => [
    ...takenOver(one),
    // A server's own clock decides whether two minutes have passed.
    ...(faultIntervals.some((interval) => movesClockUnder(interval, one))
      ? []
      : [...madeTwice(one), ...refused(one)]),
  ])
}

/** Whether the database has lost one of the sign-ins, or the use after which none can be retried. */
function isLost({ tries, uses }: Series, losses: readonly Loss[]): boolean {
  const isDone = ({ outcome }: Operation) => outcome === 'done'
  return (
    tries.filter(isDone).some((one) => lossOf(one, losses)) ||
    uses.filter(isDone).some((one) => losses.some((loss) => mayHaveLostUse(one, loss)))
  )
}

/**
 * A repeat gets a session's token only while none was accepted: of the tokens of one session, one is ever
 * accepted, and no later try gets it.
 */
function takenOver({ tries, uses }: Series): RetryViolation[] {
  const accepted = uses.filter(({ outcome }) => outcome === 'done')
  return [...Map.groupBy(accepted, ({ token }) => sessionIdOf(token))].flatMap(([id, ofSession]) => {
    const tokens = new Set(ofSession.map(({ token }) => token))
    const [, second] = ofSession.filter(({ token }, i) => i === 0 || token !== ofSession[0]?.token)
    const given = tries.filter(({ token }) => sessionIdOf(token) === id).length
    const usedAt = Math.min(...ofSession.map(({ end }) => end))
    const again = tries.find(
      ({ token, outcome, start }) => outcome === 'done' && sessionIdOf(token) === id && start > usedAt,
    )
    const rule = 'a used token was replaced'
    if (again) return [{ rule, operation: again, why: 'a try that began after its first use got a token' }]
    if (tokens.size < 2 || !second) return []
    const why = `${tokens.size} of ${given} tokens of one session were accepted`
    return [{ rule, operation: second, why }]
  })
}

/**
 * Until one of its tokens is used, all attempts of a sign-in share one session, and a retry replaces no
 * second session.
 */
function madeTwice(series: Series): RetryViolation[] {
  const until = firstUse(series)
  const done = series.tries.filter(({ outcome, end }) => outcome === 'done' && end < until)
  const second = done.find(({ token }) => sessionIdOf(token) !== sessionIdOf(done[0]?.token ?? null))
  if (!second) return []
  return [{ rule: 'a retried sign-in ran twice', operation: second, why: 'a repeat made another session' }]
}

/** Until the first use, no attempt that starts after an acknowledged one is refused. */
function refused(series: Series): RetryViolation[] {
  const until = firstUse(series)
  const firstDone = Math.min(
    ...series.tries.filter(({ outcome }) => outcome === 'done').map(({ end }) => end),
  )
  return series.tries
    .filter(({ outcome, start, end }) => outcome === 'refused' && start > firstDone && end < until)
    .map((operation) => ({ rule: 'a retry was refused', operation, why: 'its token was not used yet' }))
}

function seriesOf(operations: readonly Operation[]): Series[] {
  const byKey = Map.groupBy(
    operations.filter(({ key }) => key !== undefined),
    ({ key }) => key,
  )
  return [...byKey.values()].map((tries) => {
    const tokens = new Set(tries.map(({ token }) => token))
    const uses = operations.filter(
      ({ kind, token }) => kind !== 'sign_in' && token !== null && tokens.has(token),
    )
    return { tries, uses }
  })
}

/** The earliest time at which a token of the series may have been used. */
function firstUse({ uses }: Series): number {
  return Math.min(...uses.map(({ start }) => start))
}

function movesClockUnder({ movesClock, start, end }: FaultInterval, { tries }: Series): boolean {
  return movesClock === true && tries.some((one) => one.start <= end && one.end >= start)
}

function sessionIdOf(token: string | null): string | null {
  return token?.slice(3, 25) ?? null
}
