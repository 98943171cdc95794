// A constant mixed workload: accounts sign in, replace their own sessions and sign out; several sign-ins use
// one code at once; old and new tokens are checked all the time; writes have delayed bodies; and sign-ins are
// retried with a key.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client, Proof, Server } from './client.ts'
import { retriedByCode, retriedByPassword, signInWithRetries } from './workload-retries.ts'

export const password = 'a horse, a staple'
const passwordAccounts = 4
const codeAccounts = 2
const parallelTries = 4
/** The number of tokens of each account that are checked, including those that ended before a fail-over. */
const tokensKept = 8

/** The parts of a deployment that the workload uses. */
export interface Target {
  readonly servers: readonly [Server, ...Server[]]
  /** The last code that was sent to a number. */
  codeOf(phoneNumber: string): Promise<string>
}

export interface Workload {
  /** Stops the workload and waits for the responses to all its requests. */
  stop(): Promise<void>
}

/** The numbers of accounts with a password. */
export const passwordNumbers = Array.from({ length: passwordAccounts }, (_, i) => `+861390000100${i}`)
export const codeNumbers = Array.from({ length: codeAccounts }, (_, i) => `+861390000200${i}`)

export interface WorkloadOptions {
  /** The numbers that sign in by code. */
  readonly codes?: readonly string[]
  /**
   * Whether sign-ins are retried with keys: by a number with a password, and by another one where codes are
   * sent.
   */
  readonly hasRetries?: boolean
  /** Whether each account with a password signs in through two servers at once. */
  readonly hasRivals?: boolean
  /** The pause between two checks of an account's tokens; 4 ms by default. */
  readonly pauseMs?: number
}

function anyOf<T>(list: readonly T[]): T | undefined {
  return list[Math.floor(Math.random() * list.length)]
}

/** The tokens that the accounts have received, the newest first. */
class Tokens {
  readonly #byAccount = new Map<string, string[]>()

  keep(account: string, token: string | null): void {
    if (token === null) return
    this.#byAccount.set(account, [token, ...(this.#byAccount.get(account) ?? [])].slice(0, tokensKept))
  }

  newest(account: string): string | undefined {
    return this.#byAccount.get(account)?.[0]
  }

  any(account: string): string | undefined {
    return anyOf(this.#byAccount.get(account) ?? [])
  }
}

let codesRequested = 0

/** A new code for a number; null: the request failed, or no message was sent. */
async function requestCode(target: Target, { url }: Server, account: string): Promise<Proof | null> {
  const response = await fetch(`${url}/v1/codes`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ phone_number: account, purpose: 'sign_in' }),
    signal: AbortSignal.timeout(20_000),
  }).catch(() => null)
  await response?.arrayBuffer().catch(() => {})
  const code = response?.status === 202 ? await target.codeOf(account).catch(() => null) : null
  return code === null ? null : { code, name: `${account} #${codesRequested++}` }
}

/** Servers from a random one on, each as often as the others. */
function pickServers({ servers }: Target, count: number): Server[] {
  const first = Math.floor(Math.random() * servers.length)
  return Array.from({ length: count }, (_, i) => servers[(first + i) % servers.length] ?? servers[0])
}

export function startWorkload(
  client: Client,
  deployment: Target,
  { codes = codeNumbers, hasRetries = true, hasRivals = false, pauseMs = 4 }: WorkloadOptions = {},
): Workload {
  let isRunning = true
  const tokens = new Tokens()
  const anyServer = () => anyOf(deployment.servers) ?? deployment.servers[0]

  async function signInAndOut(account: string): Promise<void> {
    const signIn = (server: Server) => client.signIn(server, account, { password })
    const signIns = await Promise.all(pickServers(deployment, hasRivals ? 2 : 1).map(signIn))
    for (const { token } of signIns) tokens.keep(account, token)
    const { token = null } = signIns[0] ?? {}
    await sleep(Math.random() * 300)
    if (token !== null && Math.random() < 0.6) await client.signOut(anyServer(), account, token)
    await sleep(Math.random() * 200)
  }

  const newCode = (account: string) => requestCode(deployment, anyServer(), account)

  async function tryCodes(account: string): Promise<void> {
    const proof = await newCode(account)
    if (proof !== null) {
      const servers = pickServers(deployment, parallelTries)
      const tries = servers.map((server) => client.signIn(server, account, proof))
      for (const { token } of await Promise.all(tries)) tokens.keep(account, token)
    }
    await sleep(200)
  }

  async function repeatSignIn(account: string): Promise<void> {
    const proof = account === retriedByCode ? await newCode(account) : { password }
    if (proof !== null) await signInWithRetries({ client, anyServer, account, proof })
    await sleep(100)
  }

  async function checkToken(account: string): Promise<void> {
    const token = tokens.any(account)
    if (token !== undefined) await client.check(anyServer(), account, token)
    await sleep(token === undefined ? 50 : pauseMs)
  }

  /** Uses the newest token, whose session usually ends before the body is complete. */
  async function writeLate(account: string): Promise<void> {
    const token = tokens.newest(account)
    if (token !== undefined) await client.write(anyServer(), account, token, Math.random() * 600)
    await sleep(token === undefined ? 50 : 10)
  }

  const loop = async (work: () => Promise<void>) => {
    while (isRunning) await work()
  }
  const allAccounts = [...passwordNumbers, ...codes]
  const retried = hasRetries ? [retriedByPassword, ...(codes.length > 0 ? [retriedByCode] : [])] : []
  const running = [
    ...passwordNumbers.map((account) => loop(() => signInAndOut(account))),
    ...codes.map((account) => loop(() => tryCodes(account))),
    ...retried.map((account) => loop(() => repeatSignIn(account))),
    ...allAccounts.map((account) => loop(() => checkToken(account))),
    ...passwordNumbers.map((account) => loop(() => writeLate(account))),
  ]
  return {
    async stop() {
      isRunning = false
      await Promise.all(running)
    },
  }
}
