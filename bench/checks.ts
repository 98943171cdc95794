// The cost of checking a live token. Every subject is started several times, because V8 compiles each process
// a little differently, and the subjects of one start run in alternation, in short rounds. Reports requests
// per second, CPU and latency, with their spread over the processes.
import { createHistogram } from 'node:perf_hooks'
import type { ServerProcess } from '../test/support/app.ts'
import { type Cores, takeCores } from './cpu-pinning.ts'
import { type Asked, type Load, measureLoad } from './http-load.ts'
import { median } from './median.ts'
import { rotateOrder } from './rotate-order.ts'
import { assertSameBytes } from './same-bytes.ts'

/** A route that the baselines answer identically, or an equivalent one of another program. */
export type Route = 'GET /user' | 'GET /v1/session' | 'POST /v1/introspect' | 'others'

/**
 * `http`: a bare node:http handler, the limit of what Node can do; `fastify`: a bare Fastify route. Both
 * check and log nothing.
 */
export type Baseline = 'http' | 'fastify'

export interface Target extends Asked {
  readonly route: Route
  /**
   * The response must be as long as the baselines' response of this route, headers included; null: another
   * program's response.
   */
  readonly bytesOf: Exclude<Route, 'others'> | null
  readonly baseline?: Baseline
}

export interface StartedSubject {
  readonly process: ServerProcess
  readonly targets: readonly Target[]
}

/** Creates this many live tokens; each call of the result starts a server that knows them. */
export type Subject = (tokens: number) => Promise<() => Promise<StartedSubject>>

/** The median over all processes, the lowest and the highest. */
export interface Spread {
  readonly middle: number
  readonly least: number
  readonly most: number
}

export interface CheckResult {
  readonly route: Route
  readonly name: string
  readonly baseline: Baseline | null
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Microseconds of the server's CPU for each request; of wall time where the CPU time is unknown. */
  readonly cpuMicros: number
  /** Share of the time in which the server computes; null where it is unknown. */
  readonly busy: number | null
  /**
   * The baseline's CPU per request divided by this subject's, of the same round: 1 is as fast, 0.5 needs
   * twice as much.
   */
  readonly toHttp: Spread
  readonly toFastify: Spread
  /**
   * This subject's p99 divided by that of Fastify, over all requests of a start. The p99 of a single round is
   * dominated by pauses of the load generator.
   */
  readonly p99ToFastify: Spread
}

export interface CheckOptions {
  readonly tokens: number
  /** The number of starts of each subject. */
  readonly starts: number
  /** The number of rounds of each start. */
  readonly rounds: number
  readonly secondsPerRound: number
  readonly connections: number
  /** The process ids of the stores that the servers use. */
  readonly storePids: readonly number[]
}

export interface Checks {
  readonly results: readonly CheckResult[]
  readonly options: CheckOptions
  /** The core of each process. */
  readonly cores: string
}

/** The rounds of one start: for each round, the results by the index of the target. */
type Start = readonly (readonly Load[])[]

/** Measures every target. Figures are medians over the rounds of a process, and then over the processes. */
export async function benchChecks(subjects: readonly Subject[], options: CheckOptions): Promise<Checks> {
  const launches: (() => Promise<StartedSubject>)[] = []
  for (const prepare of subjects) launches.push(await prepare(options.tokens))
  const cores = takeCores(options.storePids)
  try {
    const starts: Start[] = []
    let targets: readonly Target[] = []
    for (let n = 0; n < options.starts; n++) {
      // The order changes with each start as well, so that a subject does not always follow the same one.
      const measured = await measureStart(launches, cores, options, n)
      targets = measured.targets
      starts.push(measured.loads)
    }
    return {
      results: targets.map((_target, i) => resultOf(targets, starts, i)),
      options,
      cores: cores.description,
    }
  } finally {
    cores.free()
  }
}

async function measureStart(
  launches: readonly (() => Promise<StartedSubject>)[],
  cores: Cores,
  { connections, rounds, secondsPerRound }: CheckOptions,
  n: number,
): Promise<{ targets: readonly Target[]; loads: Start }> {
  const started: StartedSubject[] = []
  try {
    for (const launch of launches) started.push(await launch())
    const targets = started.flatMap((subject) => subject.targets)
    await assertBytesOfYardsticks(targets)
    for (const { process } of started) if (process.child.pid) cores.pinServer(process.child.pid)
    for (const target of rotateOrder(targets, n * 3)) await warmUp(target, connections)
    const loads: Load[][] = targets.map(() => [])
    for (let round = 0; round < rounds; round++) {
      for (const target of rotateOrder(targets, (n * rounds + round) * 5))
        loads[targets.indexOf(target)]?.push(
          await measureLoad(target, { connections, seconds: secondsPerRound }),
        )
    }
    return { targets, loads }
  } finally {
    await Promise.all(started.map((subject) => subject.process.stop()))
  }
}

/** Sends each token once, for programs that cache tokens, then load for a second, for the compiler. */
async function warmUp(target: Target, connections: number): Promise<void> {
  await measureLoad(target, { connections, seconds: 'each once' })
  await measureLoad(target, { connections, seconds: 1 })
}

async function assertBytesOfYardsticks(targets: readonly Target[]): Promise<void> {
  for (const target of targets) {
    const bare = targets.find(({ baseline, route }) => baseline === 'fastify' && route === target.bytesOf)
    if (bare && bare !== target) await assertSameBytes(bare, target)
  }
}

function resultOf(targets: readonly Target[], starts: readonly Start[], index: number): CheckResult {
  const target = targets[index]
  if (!target) throw new Error(`no target ${index}`)
  const baselineRoute = target.route === 'others' ? 'GET /user' : target.route
  const indexOf = (name: Baseline) =>
    targets.findIndex(({ baseline, route }) => baseline === name && route === baselineRoute)
  const [http, fastify] = [indexOf('http'), indexOf('fastify')]
  const each = (figure: (load: Load) => number) =>
    median(starts.map((start) => median((start[index] ?? []).map(figure))))
  const percentile = (start: Start, i: number, percent: number) => percentileMs(start[i] ?? [], percent)
  const toOther = (other: number, ratio: (load: Load, bare: Load) => number) =>
    spreadOf(starts.map((start) => median(paired(start[index], start[other]).map(([a, b]) => ratio(a, b)))))
  const cpuRatio = (load: Load, bare: Load) => cpuMicros(bare) / cpuMicros(load)
  const isBusyKnown = starts.every((start) => start[index]?.every(({ busy }) => busy !== null))
  return {
    route: target.route,
    name: target.name,
    baseline: target.baseline ?? null,
    requestsPerSecond: each((load) => load.requestsPerSecond),
    p50Ms: median(starts.map((start) => percentile(start, index, 50))),
    p99Ms: median(starts.map((start) => percentile(start, index, 99))),
    cpuMicros: each(cpuMicros),
    busy: isBusyKnown ? each(({ busy }) => busy ?? Number.NaN) : null,
    toHttp: toOther(http, cpuRatio),
    toFastify: toOther(fastify, cpuRatio),
    p99ToFastify: spreadOf(
      starts.map((start) => percentile(start, index, 99) / percentile(start, fastify, 99)),
    ),
  }
}

function paired(loads: readonly Load[] = [], others: readonly Load[] = []): (readonly [Load, Load])[] {
  return loads.flatMap((load, round) => {
    const other = others[round]
    return other ? [[load, other] as const] : []
  })
}

function spreadOf(numbers: readonly number[]): Spread {
  return { middle: median(numbers), least: Math.min(...numbers), most: Math.max(...numbers) }
}

function percentileMs(loads: readonly Load[], percent: number): number {
  const all = createHistogram()
  for (const { latency } of loads) all.add(latency)
  return all.percentile(percent) / 1000
}

function cpuMicros({ busy, requestsPerSecond }: Load): number {
  return ((busy ?? 1) * 1_000_000) / requestsPerSecond
}
