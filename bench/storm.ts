// A login storm: far more sign-ins wait than can be hashed. How long do requests of signed-in clients take?
import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { startProcess } from '../test/support/app.ts'
import { addAccounts, password } from './accounts.ts'
import { takeCores } from './cpu-pinning.ts'
import { type Asked, type Load, measureLoad, medianOf } from './http-load.ts'
import { issueTokens } from './tokens.ts'

export interface StormResult {
  /** Sign-ins that are waiting at any time. */
  readonly waiting: number
  readonly quiet: Pick<Load, 'p99Ms' | 'requestsPerSecond'>
  readonly storm: Pick<Load, 'p99Ms' | 'requestsPerSecond'>
  readonly signInsPerSecond: number
  /** Sign-ins that were refused with 503 and Retry-After, and the duration of a refusal, in ms. */
  readonly refused: { readonly count: number; readonly p99Ms: number }
}

export interface StormOptions {
  readonly waiting: number
  /** Concurrent sign-ins, more than may wait. */
  readonly clients: number
  /** Requests of signed-in clients per second, far fewer than the server can answer. */
  readonly checksPerSecond: number
  readonly rounds: number
  readonly secondsPerRound: number
  readonly storePids: readonly number[]
}

/**
 * Alternates between quiet and storm, so that a noisy moment of the machine affects both; returns medians.
 */
export async function benchStorm(
  environment: Record<string, string>,
  options: StormOptions,
): Promise<StormResult> {
  const settings = { ...environment, HUFU_PASSWORD_QUEUE: String(options.waiting) }
  const numbers = await addAccounts(settings, 50)
  const tokens = await issueTokens(settings, 1000)
  const server = await startProcess(settings, { keepOutput: false })
  const cores = takeCores(options.storePids)
  const asked: Asked = {
    name: 'GET /user',
    url: server.url,
    pid: server.child.pid,
    requests: tokens.map((token) => ({ path: '/user', headers: { token } })),
    isRight: (body) => body.startsWith('{"code":1'),
  }
  const { secondsPerRound: seconds, checksPerSecond: perSecond } = options
  const take = () => measureLoad(asked, { connections: 64, seconds, perSecond })
  const quiet: Load[] = []
  const storm: Load[] = []
  const tally: Tally = { signedIn: 0, refusedMs: [] }
  let stormMs = 0
  try {
    if (server.child.pid) cores.pinServer(server.child.pid)
    await measureLoad(asked, { connections: 64, seconds: 'each once' })
    for (let round = 0; round < options.rounds; round++) {
      quiet.push(await take())
      const began = performance.now()
      const clients = new AbortController()
      const done = signInOn(`${server.url}/login`, numbers, options.clients, tally, clients.signal)
      // The queue is full once the first sign-in was refused.
      for (const before = tally.refusedMs.length; tally.refusedMs.length === before; ) await sleep(20)
      storm.push(await take())
      clients.abort()
      await done
      stormMs += performance.now() - began
    }
  } finally {
    cores.free()
    await server.stop()
  }
  return {
    waiting: options.waiting,
    quiet: medianOf(quiet),
    storm: medianOf(storm),
    signInsPerSecond: tally.signedIn / (stormMs / 1000),
    refused: { count: tally.refusedMs.length, p99Ms: p99Of(tally.refusedMs) },
  }
}

interface Tally {
  signedIn: number
  readonly refusedMs: number[]
}

/** Clients that sign in repeatedly; after a refusal they wait as long as the server asks. */
async function signInOn(
  url: string,
  numbers: readonly string[],
  clients: number,
  tally: Tally,
  stopped: AbortSignal,
): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: clients })
  const signOn = async (client: number) => {
    while (!stopped.aborted) {
      const began = performance.now()
      const answer = await post(url, agent, numbers[client % numbers.length] ?? '', stopped)
      if (answer === null) return
      if (answer.status === 503 && answer.retryAfter !== undefined) {
        tally.refusedMs.push(performance.now() - began)
        await sleep(Number(answer.retryAfter) * 1000, undefined, { signal: stopped }).catch(() => {})
      } else if (answer.status === 200 && answer.body.startsWith('{"code":1')) tally.signedIn++
      else throw new Error(`a sign-in was answered ${answer.status} ${answer.body}`)
    }
  }
  try {
    await Promise.all(Array.from({ length: clients }, (_, client) => signOn(client)))
  } finally {
    agent.destroy()
  }
}

interface Answer {
  readonly status: number
  readonly retryAfter: string | undefined
  readonly body: string
}

/** null after giving up. */
function post(url: string, agent: Agent, phoneNumber: string, signal: AbortSignal): Promise<Answer | null> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' }
    const asking = request(url, { method: 'POST', agent, headers, signal }, (answer) => {
      let body = ''
      answer.on('data', (chunk) => {
        body += chunk
      })
      answer.on('error', () => resolve(null))
      answer.on('end', () => {
        resolve({ status: answer.statusCode ?? 0, retryAfter: answer.headers['retry-after'], body })
      })
    })
    asking.on('error', (error) => (signal.aborted ? resolve(null) : reject(error)))
    asking.end(JSON.stringify({ phone_number: phoneNumber, password }))
  })
}

function p99Of(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN
}
