// HUFU_WORKERS: what a second process adds. Requests come many at once on each connection, so that the load takes as little
// as it can of the cores that it shares with the server.
import autocannon from 'autocannon'
import { startProcess } from '../test/running.ts'
import { median } from './median.ts'
import { issueTokens } from './tokens.ts'

export interface WorkersResult {
  readonly workers: number
  readonly requestsPerSecond: number
}

export interface WorkersOptions {
  readonly counts: readonly number[]
  readonly rounds: number
  readonly secondsPerRound: number
}

/** Servers with so many workers, asked in turns; gives medians. */
export async function benchWorkers(
  newEnvironment: () => Promise<Record<string, string>>,
  { counts, rounds, secondsPerRound }: WorkersOptions,
): Promise<WorkersResult[]> {
  const subjects = await Promise.all(
    counts.map(async (workers) => {
      const environment = { ...(await newEnvironment()), HUFU_WORKERS: String(workers) }
      const tokens = await issueTokens(environment, 100)
      const server = await startProcess(environment, { keepOutput: false })
      return { workers, server, tokens, shots: [] as number[] }
    }),
  )
  try {
    for (let round = 0; round <= rounds; round++) {
      for (const { server, tokens, shots } of subjects) {
        const shot = await shootMany(server.url, tokens, secondsPerRound)
        // The first one is for the compiler.
        if (round > 0) shots.push(shot)
      }
    }
  } finally {
    for (const { server } of subjects) await server.stop()
  }
  return subjects.map(({ workers, shots }) => ({ workers, requestsPerSecond: median(shots) }))
}

async function shootMany(url: string, tokens: readonly string[], seconds: number): Promise<number> {
  const requests = tokens.map((token) => ({ method: 'GET', path: '/user', headers: { token } }) as const)
  const result = await autocannon({ url, connections: 32, pipelining: 16, duration: seconds, requests })
  if (result.non2xx > 0 || result.errors > 0) throw new Error('a check failed')
  return result.requests.average
}
