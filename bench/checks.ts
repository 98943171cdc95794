// Who is signed in? Every subject is asked for it with live tokens, in turn and in one run: requests/s and
// latency.
import type { ServerProcess } from '../test/support/app.ts'
import { type Cores, takeCores } from './cores.ts'
import { inTurn } from './in-turn.ts'
import { type Asked, type Shot, shoot } from './load.ts'
import { median } from './median.ts'
import { assertSameBytes } from './same-bytes.ts'

/** A route that a bare Fastify answers to the byte, or what others do in its place. */
export type Route = 'GET /user' | 'GET /v1/session' | 'others'

export interface Target extends Asked {
  readonly route: Route
  /**
   * The answer must be as long as that of the bare route, headers included; null for the answer of another
   * product.
   */
  readonly bytesOf: Exclude<Route, 'others'> | null
  readonly isBare: boolean
}

interface StartedSubject {
  readonly process: ServerProcess
  readonly targets: readonly Target[]
}

/** A server to measure: starts it with so many live tokens. */
export type Subject = (tokens: number) => Promise<StartedSubject>

export interface CheckResult {
  readonly route: Route
  readonly name: string
  readonly isBare: boolean
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /**
   * The cost of a request in microseconds: CPU time of the server's core or, where that is unknown, elapsed
   * time.
   */
  readonly cpuMicros: number
  readonly busy: number | null
  /**
   * Of the same round, beside the bare route: what that takes of the core, to what this one takes; and this
   * one's p99 to its.
   */
  readonly toBare: { readonly cpu: number; readonly p99: number }
}

export interface CheckOptions {
  readonly tokens: number
  readonly rounds: number
  readonly secondsPerRound: number
  readonly connections: number
  /** The process ids of the stores that the servers ask. */
  readonly storePids: readonly number[]
}

export interface Checks {
  readonly results: readonly CheckResult[]
  readonly options: CheckOptions
  /** Where each process ran. */
  readonly cores: string
}

/**
 * Measures every target in turn, round after round, each round beginning with another one, so that a noisy
 * moment of the machine hits all of them. Gives medians; those of ratios are medians of each round's ratio.
 */
export async function benchChecks(subjects: readonly Subject[], options: CheckOptions): Promise<Checks> {
  const started: StartedSubject[] = []
  const { connections, secondsPerRound } = options
  let cores: Cores | null = null
  try {
    for (const start of subjects) started.push(await start(options.tokens))
    const targets = started.flatMap((subject) => subject.targets)
    await assertBytesOfBare(targets)
    cores = takeCores(options.storePids)
    for (const { process } of started) if (process.child.pid) cores.pinServer(process.child.pid)
    for (const target of targets) await warmUp(target, connections)
    const shots = new Map<Target, Shot[]>(targets.map((target) => [target, []]))
    for (let round = 0; round < options.rounds; round++) {
      for (const target of inTurn(targets, round * 5))
        shots.get(target)?.push(await shoot(target, { connections, seconds: secondsPerRound }))
    }
    const results = [...shots].map(([target, taken]) => {
      const yardstick = target.route === 'others' ? 'GET /user' : target.route
      const bare = targets.find(({ isBare, route }) => isBare && route === yardstick)
      return middleOf(target, taken, (bare && shots.get(bare)) ?? taken)
    })
    return { results, options, cores: cores.description }
  } finally {
    cores?.free()
    await Promise.all(started.map((subject) => subject.process.stop()))
  }
}

/** Each token is shown once, for those who remember; then a second for the compiler. */
async function warmUp(target: Target, connections: number): Promise<void> {
  await shoot(target, { connections, seconds: 'each once' })
  await shoot(target, { connections, seconds: 1 })
}

async function assertBytesOfBare(targets: readonly Target[]): Promise<void> {
  for (const target of targets) {
    const bare = targets.find(({ isBare, route }) => isBare && route === target.bytesOf)
    if (bare && bare !== target) await assertSameBytes(bare, target)
  }
}

function middleOf(
  { route, name, isBare }: Target,
  shots: readonly Shot[],
  bare: readonly Shot[],
): CheckResult {
  const middle = (figure: (shot: Shot) => number) => median(shots.map(figure))
  const toBare = (ratio: (shot: Shot, bare: Shot) => number) =>
    median(shots.map((shot, round) => ratio(shot, bare[round] ?? shot)))
  return {
    route,
    name,
    isBare,
    requestsPerSecond: middle((shot) => shot.requestsPerSecond),
    p50Ms: middle((shot) => shot.p50Ms),
    p99Ms: middle((shot) => shot.p99Ms),
    cpuMicros: middle(cpuMicros),
    busy: shots.some(({ busy }) => busy === null) ? null : middle(({ busy }) => busy ?? 0),
    toBare: {
      cpu: toBare((shot, yardstick) => cpuMicros(yardstick) / cpuMicros(shot)),
      p99: toBare((shot, yardstick) => shot.p99Ms / yardstick.p99Ms),
    },
  }
}

function cpuMicros({ busy, requestsPerSecond }: Shot): number {
  return ((busy ?? 1) * 1_000_000) / requestsPerSecond
}
