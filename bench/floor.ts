// A flood of checks keeps the server's core busy while accounts sign in: how many sign-ins succeed, and how
// long do the checks take?
import { Passwords } from '../src/passwords/password.ts'
import { startProcess } from '../test/support/app.ts'
import { addAccounts, password } from './accounts.ts'
import { takeCores } from './cpu-pinning.ts'
import { type Asked, type Load, measureLoad, medianOf } from './http-load.ts'
import { median } from './median.ts'
import { fairShare, Line } from './sign-in.ts'
import { issueTokens } from './tokens.ts'

export interface FloorResult {
  readonly connections: number
  readonly rawPerSecond: number
  readonly signInsPerSecond: number
  /** Sign-ins under the flood divided by argon2 alone: the median over the rounds. */
  readonly share: number
  readonly quiet: Pick<Load, 'p99Ms' | 'requestsPerSecond'>
  readonly both: Pick<Load, 'p99Ms' | 'requestsPerSecond'>
  /** The p99 of the checks with sign-ins divided by that without: the median over the rounds. */
  readonly p99Ratio: number
  readonly cores: string
}

export interface FloorOptions {
  readonly connections: number
  readonly rounds: number
  readonly secondsPerRound: number
  readonly storePids: readonly number[]
}

/**
 * Concurrent sign-ins: enough that the hashing thread never waits, although each step of a sign-in queues
 * behind the checks.
 */
const people = 32

/** Measures argon2 alone, checks alone, and both loads at once, alternately; returns medians. */
export async function benchFloor(
  environment: Record<string, string>,
  { connections, rounds, secondsPerRound, storePids }: FloorOptions,
): Promise<FloorResult> {
  const settings = { ...environment, HUFU_PASSWORD_PARALLEL: '1' }
  const numbers = await addAccounts(settings, 64)
  const tokens = await issueTokens(settings, 1000)
  const server = await startProcess(settings, { keepOutput: false })
  const cores = takeCores(storePids)
  // On the core of the load generator, which is idle meanwhile.
  const passwords = new Passwords({ parallel: 1, queue: 4 })
  const lines = Array.from({ length: people }, (_, i) => new Line(server.url, fairShare(numbers, i, people)))
  const asked: Asked = {
    name: 'GET /user',
    url: server.url,
    pid: server.child.pid,
    requests: tokens.map((token) => ({ path: '/user', headers: { token } })),
    isRight: (body) => body.startsWith('{"code":1'),
  }
  const take = () => measureLoad(asked, { connections, seconds: secondsPerRound })
  const [raw, signIns, quiet, both]: [number[], number[], Load[], Load[]] = [[], [], [], []]
  try {
    if (server.child.pid) cores.pinServer(server.child.pid)
    await measureLoad(asked, { connections, seconds: 'each once' })
    const stored = await passwords.hash(password)
    const verify = Array.from({ length: 2 }, () => () => passwords.verify(stored, password))
    for (let round = 0; round < rounds; round++) {
      raw.push(await countedFor(secondsPerRound, verify))
      quiet.push(await take())
      const signing = countedFor(
        secondsPerRound,
        lines.map((line) => () => line.signIn()),
      )
      both.push(await take())
      signIns.push(await signing)
    }
  } finally {
    cores.free()
    for (const line of lines) line.close()
    await passwords.close()
    await server.stop()
  }
  return {
    connections,
    rawPerSecond: median(raw),
    signInsPerSecond: median(signIns),
    share: median(signIns.map((one, round) => one / (raw[round] ?? Number.NaN))),
    quiet: medianOf(quiet),
    both: medianOf(both),
    p99Ratio: median(both.map(({ p99Ms }, round) => p99Ms / (quiet[round]?.p99Ms ?? Number.NaN))),
    cores: cores.description,
  }
}

/** Repeats each of the tasks concurrently for some seconds, and returns the completions per second. */
async function countedFor(seconds: number, works: readonly (() => Promise<unknown>)[]): Promise<number> {
  const until = performance.now() + seconds * 1000
  let count = 0
  const one = async (work: () => Promise<unknown>) => {
    while (performance.now() < until) {
      await work()
      if (performance.now() < until) count++
    }
  }
  await Promise.all(works.map(one))
  return count / seconds
}
