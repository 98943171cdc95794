// One shot of load at one server: autocannon in this process, every answer checked.
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import autocannon from 'autocannon'
import { cpuSeconds } from './cores.ts'

/** What is asked of a server, over and over. */
export interface Asked {
  readonly name: string
  readonly url: string
  readonly pid: number | undefined
  /** One for each token. */
  readonly requests: readonly { readonly path: string; readonly headers: Record<string, string> }[]
  /** Whether a body is the answer for a signed-in client: a fast refusal is not what is measured. */
  isRight(body: string): boolean
}

export interface Shot {
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** All of its requests, in microseconds. */
  readonly latency: RecordableHistogram
  /** Share of the time that the server computed; null where it is not known. */
  readonly busy: number | null
}

export interface ShotSize {
  readonly connections: number
  readonly seconds: number | 'each once'
  /** Requests in all; absent: each connection asks again as soon as it is answered. */
  readonly perSecond?: number
}

/**
 * Asks for `seconds`, or until each request was made once.
 * @throws Error when any answer was not 2xx, not right, or did not come
 */
export async function shoot(asked: Asked, { connections, seconds, perSecond }: ShotSize): Promise<Shot> {
  const { requests } = asked
  const share = Math.ceil(requests.length / connections)
  let next = 0
  // autocannon's own histogram knows whole milliseconds only.
  const latency = createHistogram()
  const cpuBefore = cpuOf(asked)
  const began = performance.now()
  const result = await autocannon({
    url: asked.url,
    connections,
    ...(perSecond !== undefined && { overallRate: perSecond }),
    ...(seconds === 'each once' ? { amount: share * connections } : { duration: seconds }),
    // Every connection has tokens of its own: one long list for all of them would slow the load down, not the
    // server.
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

function cpuOf({ pid }: Asked): number | null {
  return pid === undefined ? null : cpuSeconds(pid)
}
