// GET /user with a live token, beside a bare route that checks nothing: requests/s and latency, interleaved in one run.
import autocannon from 'autocannon'
import { openHouse } from '../src/app.ts'
import { migrate } from '../src/db/migrate.ts'
import { noOrigin } from '../src/events/events.ts'
import { admitKnown } from '../src/sessions/sessions.ts'
import { readSettings } from '../src/settings.ts'
import { type ServerProcess, startProcess } from '../test/running.ts'

export interface UserResult {
  readonly name: string
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

export interface UserSubject {
  readonly name: string
  /** null is the bare route. */
  readonly environment: Record<string, string> | null
}

export interface UserOptions {
  readonly tokens: number
  readonly rounds: number
  readonly secondsPerRound: number
  readonly connections: number
}

interface Started extends UserSubject {
  readonly process: ServerProcess
  readonly tokens: readonly string[]
  readonly rounds: UserResult[]
}

/** Measures every subject in turn, round after round, so that a noisy moment of the machine hits all of them; gives medians. */
export async function benchUser(
  subjects: readonly UserSubject[],
  options: UserOptions,
): Promise<UserResult[]> {
  const started: Started[] = []
  try {
    for (const subject of subjects) started.push(await start(subject, options.tokens))
    for (const subject of started) await shoot(subject, { ...options, secondsPerRound: 2 })
    for (let round = 0; round < options.rounds; round++) {
      for (const subject of started) subject.rounds.push(await shoot(subject, options))
    }
    return started.map(({ name, rounds }) => ({
      name,
      requestsPerSecond: median(rounds.map((round) => round.requestsPerSecond)),
      p50Ms: median(rounds.map((round) => round.p50Ms)),
      p99Ms: median(rounds.map((round) => round.p99Ms)),
    }))
  } finally {
    for (const subject of started) await subject.process.stop()
  }
}

async function start({ name, environment }: UserSubject, count: number): Promise<Started> {
  if (environment === null) {
    const process = await startProcess({}, { script: 'bench/bare.ts' })
    const tokens = Array.from({ length: count }, (_, i) => `hf_${String(i).padStart(65, '0')}`)
    return { name, environment, process, tokens, rounds: [] }
  }
  const tokens = await issueTokens(environment, count)
  const process = await startProcess(environment, { keepOutput: false })
  return { name, environment, process, tokens, rounds: [] }
}

/** Live sessions of as many accounts, made by the domain itself, without the cost of their passwords. */
export async function issueTokens(environment: Record<string, string>, count: number): Promise<string[]> {
  const settings = readSettings(environment)
  const house = await openHouse(settings)
  try {
    await migrate(house.db, settings.database.kind)
    const tokens: string[] = []
    for (let i = 0; i < count; i++) {
      const account = await house.accounts.add({
        phoneNumber: String(13000000000 + i),
        nickname: '测试用户1',
        password: null,
      })
      const device = {
        platform: 'classic',
        deviceId: null,
        deviceName: null,
        appVersion: null,
        ip: '127.0.0.1',
      } as const
      const issued = await house.sessions.issue({
        device,
        origin: noOrigin,
        method: 'given',
        admit: admitKnown(account.id),
      })
      if (issued) tokens.push(issued.token)
    }
    return tokens
  } finally {
    await house.close()
  }
}

async function shoot(subject: Started, options: UserOptions): Promise<UserResult> {
  const requests = subject.tokens.map(
    (token) => ({ method: 'GET', path: '/user', headers: { token } }) as const,
  )
  const share = Math.ceil(requests.length / options.connections)
  let next = 0
  const result = await autocannon({
    url: `${subject.process.url}/user`,
    connections: options.connections,
    duration: options.secondsPerRound,
    // Every connection has tokens of its own: one long list for all of them would slow the load down, not the server.
    setupClient(client) {
      client.setRequests(requests.slice(next, next + share))
      next = (next + share) % requests.length
    },
    // Every answer must be the account: a fast "no" is not what is measured.
    verifyBody: (body) => String(body).startsWith('{"code":1'),
  })
  if (result.non2xx > 0 || result.errors > 0 || result.mismatches > 0) {
    throw new Error(
      `${subject.name}: ${result.non2xx} not 2xx, ${result.errors} errors, ${result.mismatches} wrong bodies`,
    )
  }
  return {
    name: subject.name,
    requestsPerSecond: result.requests.average,
    p50Ms: result.latency.p50,
    p99Ms: result.latency.p99,
  }
}

export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}
