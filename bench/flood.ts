// A flood of attempts to sign in while Redis is down: what it costs signed-in clients, and whether an owner
// with a device proof can still sign in.
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { startProcess } from '../test/support/app.ts'
import { addAccounts, password } from './accounts.ts'
import type { FloodLoad, FloodTally } from './flood-load.ts'
import { type Asked, type Load, measureLoad, medianOf } from './http-load.ts'
import { median } from './median.ts'
import { issueTokens } from './tokens.ts'

export interface FloodResult {
  readonly wantedPerSecond: number
  readonly quiet: Pick<Load, 'p99Ms' | 'requestsPerSecond'>
  readonly flood: Pick<Load, 'p99Ms' | 'requestsPerSecond'>
  readonly attemptsPerSecond: number
  readonly statuses: Readonly<Record<string, number>>
  /** Sign-ins of the account with a device proof. */
  readonly person: { readonly tries: number; readonly signedIn: number }
}

export interface FloodOptions {
  readonly attemptsPerSecond: number
  readonly checksPerSecond: number
  readonly rounds: number
  readonly secondsPerRound: number
}

/**
 * Alternates between quiet and flood, so that a noisy moment of the machine affects both; returns medians.
 */
export async function benchFlood(
  environment: Record<string, string>,
  options: FloodOptions,
): Promise<FloodResult> {
  const [number = ''] = await addAccounts(environment, 1)
  const tokens = await issueTokens(environment, 1000)
  const settings = { ...environment, HUFU_LIMITS: 'on', HUFU_TRUSTED_PROXIES: '127.0.0.1' }
  const server = await startProcess(settings, { keepOutput: false })
  const asked: Asked = {
    name: 'GET /user',
    url: server.url,
    pid: server.child.pid,
    requests: tokens.map((token) => ({ path: '/user', headers: { token } })),
    isRight: (body) => body.startsWith('{"code":1'),
  }
  const { secondsPerRound: seconds, checksPerSecond: perSecond, attemptsPerSecond } = options
  const take = () => measureLoad(asked, { connections: 64, seconds, perSecond })
  const quiet: Load[] = []
  const flood: Load[] = []
  const tallies: FloodTally[] = []
  const person = { tries: 0, signedIn: 0 }
  try {
    const proof = await signIn(server.url, number, null)
    if (typeof proof !== 'string') throw new Error('the first sign-in gave no device proof')
    await measureLoad(asked, { connections: 64, seconds: 'each once' })
    for (let round = 0; round < options.rounds; round++) {
      quiet.push(await take())
      const flooding = floodFor({ url: server.url, perSecond: attemptsPerSecond, seconds: seconds + 1 })
      await sleep(500)
      const [load] = await Promise.all([take(), trySignIn(server.url, number, proof, person)])
      flood.push(load)
      tallies.push(await flooding)
    }
  } finally {
    await server.stop()
  }
  return {
    wantedPerSecond: attemptsPerSecond,
    quiet: medianOf(quiet),
    flood: medianOf(flood),
    attemptsPerSecond: median(tallies.map((one) => one.perSecond)),
    statuses: sumOf(tallies),
    person,
  }
}

async function floodFor(load: FloodLoad): Promise<FloodTally> {
  const worker = new Worker(new URL('./flood-load.ts', import.meta.url), { workerData: load })
  return await new Promise((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })
}

/** Behaves like the SDK: it retries after the time that the server asks for, and then gives up. */
async function trySignIn(
  url: string,
  number: string,
  proof: string,
  person: { tries: number; signedIn: number },
): Promise<void> {
  person.tries++
  for (let attempt = 0; attempt < 3; attempt++) {
    if ((await signIn(url, number, proof)) !== null) {
      person.signedIn++
      return
    }
    await sleep(500)
  }
}

/**
 * The device proof of a sign-in, true where the request already carried one, or null where it was refused.
 */
async function signIn(url: string, number: string, proof: string | null): Promise<string | true | null> {
  const response = await fetch(`${url}/v1/sessions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-forwarded-for': '203.0.113.7' },
    body: JSON.stringify({ phone_number: number, password, ...(proof !== null && { device_proof: proof }) }),
  })
  const body = await response.text()
  if (response.status !== 201) return null
  // The response to a sign-in is an object (docs/api.md).
  return (JSON.parse(body) as { device_proof?: string }).device_proof ?? true
}

function sumOf(tallies: readonly FloodTally[]): Record<string, number> {
  const sum: Record<string, number> = {}
  for (const { statuses } of tallies)
    for (const [status, count] of Object.entries(statuses)) sum[status] = (sum[status] ?? 0) + count
  return sum
}
