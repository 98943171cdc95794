// HUFU_WORKERS: the effect of further processes on a machine whose cores they share with the load generator
// and the stores.
import { setTimeout as sleep } from 'node:timers/promises'
import { type ServerProcess, startProcess } from '../test/support/app.ts'
import { childrenOf, cpuSeconds } from './cpu-pinning.ts'
import { median } from './median.ts'
import { pipelinedLoad } from './pipelined-load.ts'
import { rotateOrder } from './rotate-order.ts'
import { issueTokens } from './tokens.ts'

const connections = 32
export const requestsInAPiece = 32

export interface WorkersResult {
  readonly workers: number
  readonly requestsPerSecond: number
  /**
   * The CPU time of the least busy worker, as a share of an equal distribution; null where it is unknown, as
   * below.
   */
  readonly leastShare: number | null
  /** CPU of all workers together, for a request. */
  readonly cpuMicros: number | null
  /** The CPU of a request with one worker divided by that with this many workers. */
  readonly cpuOfOne: number | null
}

export interface WorkersOptions {
  readonly counts: readonly number[]
  readonly rounds: number
  readonly secondsPerRound: number
}

export interface Load {
  readonly requestsPerSecond: number
  readonly leastShare: number | null
  readonly cpuMicros: number | null
}

interface Subject {
  readonly workers: number
  readonly server: ServerProcess
  /** Of the processes that answer. */
  readonly pids: readonly number[]
  readonly tokens: readonly string[]
  readonly loads: Load[]
}

/**
 * Servers with different numbers of workers, measured alternately; each round starts with another one.
 * Returns medians; those of ratios are medians over the rounds.
 */
export async function benchWorkers(
  newEnvironment: () => Promise<Record<string, string>>,
  { counts, rounds, secondsPerRound }: WorkersOptions,
): Promise<WorkersResult[]> {
  const subjects: Subject[] = []
  try {
    for (const workers of counts) subjects.push(await start(workers, await newEnvironment()))
    // A warm-up for the compiler.
    for (const subject of subjects) await measureLoad(subject, 2)
    for (let round = 0; round < rounds; round++) {
      for (const subject of rotateOrder(subjects, round))
        subject.loads.push(await measureLoad(subject, secondsPerRound))
    }
  } finally {
    for (const { server } of subjects) await server.stop()
  }
  const one = subjects.find(({ workers }) => workers === 1)
  return subjects.map(({ workers, loads }) => ({
    workers,
    requestsPerSecond: median(loads.map((load) => load.requestsPerSecond)),
    leastShare: middle(loads.map((load) => load.leastShare)),
    cpuMicros: middle(loads.map((load) => load.cpuMicros)),
    cpuOfOne: middle(loads.map(({ cpuMicros }, round) => quotient(one?.loads[round]?.cpuMicros, cpuMicros))),
  }))
}

async function start(workers: number, settings: Record<string, string>): Promise<Subject> {
  const environment = { ...settings, HUFU_WORKERS: String(workers) }
  const tokens = await issueTokens(environment, 100)
  const server = await startProcess(environment, { keepOutput: false })
  return { workers, server, tokens, pids: await answering(server, workers), loads: [] }
}

/**
 * The processes that answer: with one worker it is the first process; with several, the first process answers
 * no request.
 */
async function answering({ child }: ServerProcess, workers: number): Promise<number[]> {
  if (child.pid === undefined) throw new Error('the server has no process id')
  if (workers === 1) return [child.pid]
  const deadline = performance.now() + 10_000
  for (;;) {
    const children = childrenOf(child.pid)
    // Without /proc they are unknown.
    if (children.length === workers || performance.now() > deadline) return children
    await sleep(50)
  }
}

async function measureLoad({ server, tokens, pids }: Subject, seconds: number): Promise<Load> {
  return await measurePipelined([server.url], pids, { pieces: piecesOf(tokens), seconds })
}

/** For each connection, requests with these tokens in one piece. */
export function piecesOf(tokens: readonly string[]): string[] {
  return Array.from({ length: connections }, (_, i) => {
    const some = Array.from(
      { length: requestsInAPiece },
      (_, j) => tokens[(i * requestsInAPiece + j) % tokens.length],
    )
    return some.map((token) => `GET /user HTTP/1.1\r\nhost: x\r\ntoken: ${token}\r\n\r\n`).join('')
  })
}

/** Load on all addresses alike. @param pids of the processes that answer */
export async function measurePipelined(
  urls: readonly string[],
  pids: readonly number[],
  { pieces, seconds }: { readonly pieces: readonly string[]; readonly seconds: number },
): Promise<Load> {
  const size = { each: requestsInAPiece, connections: connections / urls.length, seconds }
  const before = pids.map(cpuSeconds)
  const began = performance.now()
  const perSecond = await Promise.all(urls.map((url) => pipelinedLoad(url, pieces, size)))
  const took = (performance.now() - began) / 1000
  const requestsPerSecond = perSecond.reduce((sum, one) => sum + one, 0)
  const taken = pids.map((worker, i) => (cpuSeconds(worker) ?? Number.NaN) - (before[i] ?? Number.NaN))
  const all = pids.length === 0 ? Number.NaN : taken.reduce((sum, one) => sum + one, 0)
  return {
    requestsPerSecond,
    cpuMicros: Number.isNaN(all) ? null : (all * 1_000_000) / (requestsPerSecond * took),
    leastShare: Number.isNaN(all) ? null : (Math.min(...taken) / all) * pids.length,
  }
}

function quotient(a: number | null | undefined, b: number | null): number | null {
  return a === null || a === undefined || b === null ? null : a / b
}

function middle(figures: readonly (number | null)[]): number | null {
  const known = figures.filter((figure) => figure !== null)
  return known.length < figures.length ? null : median(known)
}
