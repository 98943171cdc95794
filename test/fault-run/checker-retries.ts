// What must not come of a sign-in that is repeated with its key. Pure, as checker.ts.
//
// Accounts of such sign-ins do nothing else, and one thing after the other, so that each end of a session is
// known.
import type { Operation, Trouble } from './history.ts'

export type RetryRule = 'a used token was taken over' | 'a sign-in was made twice' | 'a repeat was refused'

export interface RetryViolation {
  readonly rule: RetryRule
  readonly operation: Operation
  readonly why: string
}

/** The tries of one sign-in, and what was done with their tokens. */
interface Series {
  readonly tries: readonly Operation[]
  readonly uses: readonly Operation[]
}

export function checkRetries(operations: readonly Operation[], troubles: readonly Trouble[]): RetryViolation[] {
  return seriesOf(operations).flatMap((one) => [
    ...takenOver(one),
    // A server's clock says whether two minutes have passed.
    ...(troubles.some((trouble) => movesClockUnder(trouble, one))
      ? []
      : [...madeTwice(one), ...refused(one)]),
  ])
}

/**
 * A session gives a repeat another token only while none was accepted: of the tokens of one session, one is
 * ever accepted.
 */
function takenOver({ tries, uses }: Series): RetryViolation[] {
  const accepted = uses.filter(({ outcome }) => outcome === 'done')
  return [...Map.groupBy(accepted, ({ token }) => sessionIdOf(token))].flatMap(([id, ofSession]) => {
    const tokens = new Set(ofSession.map(({ token }) => token))
    const [, second] = ofSession.filter(({ token }, i) => i === 0 || token !== ofSession[0]?.token)
    const given = tries.filter(({ token }) => sessionIdOf(token) === id).length
    if (tokens.size < 2 || !second) return []
    const why = `${tokens.size} of ${given} tokens of one session were accepted`
    return [{ rule: 'a used token was taken over', operation: second, why }]
  })
}

/** Until one of its tokens is used, all tries of a sign-in are one session: nothing is replaced twice. */
function madeTwice(series: Series): RetryViolation[] {
  const until = firstUse(series)
  const done = series.tries.filter(({ outcome, end }) => outcome === 'done' && end < until)
  const second = done.find(({ token }) => sessionIdOf(token) !== sessionIdOf(done[0]?.token ?? null))
  if (!second) return []
  return [{ rule: 'a sign-in was made twice', operation: second, why: 'a repeat made another session' }]
}

/** Until then no try behind one that was answered is refused. */
function refused(series: Series): RetryViolation[] {
  const until = firstUse(series)
  const firstDone = Math.min(
    ...series.tries.filter(({ outcome }) => outcome === 'done').map(({ end }) => end),
  )
  return series.tries
    .filter(({ outcome, start, end }) => outcome === 'refused' && start > firstDone && end < until)
    .map((operation) => ({ rule: 'a repeat was refused', operation, why: 'its token was not used yet' }))
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

/** When a token of it may have been used for the first time. */
function firstUse({ uses }: Series): number {
  return Math.min(...uses.map(({ start }) => start))
}

function movesClockUnder({ movesClock, start, end }: Trouble, { tries }: Series): boolean {
  return movesClock === true && tries.some((one) => one.start <= end && one.end >= start)
}

function sessionIdOf(token: string | null): string | null {
  return token?.slice(3, 25) ?? null
}
