// One round of load at one server: autocannon in this process, which verifies every response.
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import autocannon from 'autocannon'
import { cpuSeconds } from './cpu-pinning.ts'
import { median } from './median.ts'

interface AskedRequest {
  /** `GET` by default. */
  readonly method?: 'GET' | 'POST'
  readonly path: string
  readonly headers: Record<string, string>
  readonly body?: string
}

/** The request that is repeated. */
export interface Asked {
  readonly name: string
  readonly url: string
  readonly pid: number | undefined
  /** One request for each token. */
  readonly requests: readonly AskedRequest[]
  /** Whether a body is the response for a signed-in client: a fast refusal must not be measured. */
  isRight(body: string): boolean
}

/** What one round of load measured. */
export interface Load {
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** The latency of all its requests, in microseconds. */
  readonly latency: RecordableHistogram
  /** Share of the time in which the server computed; null where it is unknown. */
  readonly busy: number | null
}

export interface LoadSize {
  readonly connections: number
  readonly seconds: number | 'each once'
  /**
   * The total rate of requests; without it, each connection sends the next request as soon as it has a
   * response.
   */
  readonly perSecond?: number
}

/**
 * Sends requests for `seconds`, or until each request was sent once.
 * @throws Error when a response is not 2xx, is not the expected one, or is missing
 */
export async function measureLoad(
  asked: Asked,
  { connections, seconds, perSecond }: LoadSize,
): Promise<Load> {
  const { requests } = asked
  const share = Math.ceil(requests.length / connections)
  let next = 0
  // autocannon's own histogram has a resolution of whole milliseconds.
  const latency = createHistogram()
  const cpuBefore = cpuOf(asked)
  const began = performance.now()
  const result = await autocannon({
    url: asked.url,
    connections,
    ...(perSecond !== undefined && { overallRate: perSecond }),
    ...(seconds === 'each once' ? { amount: share * connections } : { duration: seconds }),
    // Each connection has tokens of its own, because one long list for all would slow the load generator
    // down.
    setupClient(client) {
      client.setRequests(requests.slice(next, next + share).map((request) => ({ method: 'GET', ...request })))
      next = (next + share) % requests.length
      client.on('response', (_status, _bytes, ms) => latency.record(Math.max(1, Math.round(ms * 1000))))
    },
    verifyBody: (body) => asked.isRight(String(body)),
  })
  const { non2xx, errors, mismatches } = result
  const cpu = cpuOf(asked)
  if (non2xx > 0 || errors > 0 || mismatches > 0) {
    const found = `${non2xx} not 2xx, ${errors} errors, ${mismatches} wrong bodies`
    throw new Error(`${asked.name}: ${found}`)
  }
  return {
    requestsPerSecond: result.requests.average,
    p50Ms: latency.percentile(50) / 1000,
    p99Ms: latency.percentile(99) / 1000,
    latency,
    busy:
      cpu === null || cpuBefore === null ? null : (cpu - cpuBefore) / ((performance.now() - began) / 1000),
  }
}

/** The medians of several rounds. */
export function medianOf(loads: readonly Load[]): Pick<Load, 'p99Ms' | 'requestsPerSecond'> {
  return {
    p99Ms: median(loads.map(({ p99Ms }) => p99Ms)),
    requestsPerSecond: median(loads.map(({ requestsPerSecond }) => requestsPerSecond)),
  }
}

function cpuOf({ pid }: Asked): number | null {
  return pid === undefined ? null : cpuSeconds(pid)
}
