// Constant mixed load: accounts sign in, replace their own sessions and sign out; one code is tried many
// times at once; tokens, new and old, are checked all the time; writes on behalf of sessions have bodies that
// come late; and sign-ins are repeated with a key.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client, Proof, Server } from './client.ts'
import { retriedByCode, retriedByPassword, signInWithRetries } from './workload-retries.ts'

export const password = 'a horse, a staple'
const people = 4
const codePeople = 2
const parallelTries = 4
/** Of each account, so many of the last tokens are asked for: those that ended before a fail-over too. */
const tokensKept = 8

/** What it needs of a deployment. */
export interface Place {
  readonly servers: readonly [Server, ...Server[]]
  /** The code that was sent to a number last. */
  codeOf(phoneNumber: string): Promise<string>
}

export interface Workload {
  /** Ends it, and waits until everything that was asked is answered. */
  stop(): Promise<void>
}

/** Numbers that have a password. */
export const passwordNumbers = Array.from({ length: people }, (_, i) => `+861390000100${i}`)
export const codeNumbers = Array.from({ length: codePeople }, (_, i) => `+861390000200${i}`)

export interface Load {
  /** Numbers that sign in by code. */
  readonly codes?: readonly string[]
  /**
   * Whether sign-ins are repeated with keys, by a number with a password and, where codes are sent, by
   * another one.
   */
  readonly hasRetries?: boolean
  /** Between two looks at an account's tokens: 4 ms, if not given. */
  readonly pauseMs?: number
}

export function startWorkload(
  client: Client,
  deployment: Place,
  { codes = codeNumbers, hasRetries = true, pauseMs = 4 }: Load = {},
): Workload {
  let isOn = true
  const tokens = new Map<string, string[]>()
  const anyOf = <T>(list: readonly T[]): T | undefined => list[Math.floor(Math.random() * list.length)]
  const serverOf = (i: number) => deployment.servers[i % deployment.servers.length] ?? deployment.servers[0]
  const anyServer = () => anyOf(deployment.servers) ?? deployment.servers[0]

  function keep(account: string, token: string | null): void {
    if (token === null) return
    tokens.set(account, [token, ...(tokens.get(account) ?? [])].slice(0, tokensKept))
  }

  async function signInAndOut(account: string): Promise<void> {
    const { token } = await client.signIn(anyServer(), account, { password })
    keep(account, token)
    await sleep(Math.random() * 300)
    if (token !== null && Math.random() < 0.6) await client.signOut(anyServer(), account, token)
    await sleep(Math.random() * 200)
  }

  let codesTried = 0
  async function newCode(account: string): Promise<Proof | null> {
    const asked = await fetch(`${anyServer().url}/v1/codes`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ phone_number: account, purpose: 'sign_in' }),
      signal: AbortSignal.timeout(20_000),
    }).catch(() => null)
    await asked?.arrayBuffer().catch(() => {})
    const code = asked?.status === 202 ? await deployment.codeOf(account).catch(() => null) : null
    return code === null ? null : { code, name: `${account} #${codesTried++}` }
  }

  async function tryCodes(account: string): Promise<void> {
    const proof = await newCode(account)
    if (proof !== null) {
      const tries = Array.from({ length: parallelTries }, (_, i) =>
        client.signIn(serverOf(i), account, proof),
      )
      for (const { token } of await Promise.all(tries)) keep(account, token)
    }
    await sleep(200)
  }

  async function repeatSignIn(account: string): Promise<void> {
    const proof = account === retriedByCode ? await newCode(account) : { password }
    if (proof !== null) await signInWithRetries({ client, anyServer, account, proof })
    await sleep(100)
  }

  async function look(account: string): Promise<void> {
    const token = anyOf(tokens.get(account) ?? [])
    if (token !== undefined) await client.check(anyServer(), account, token)
    await sleep(token === undefined ? 50 : pauseMs)
  }

  /** The newest token: its session ends while the body is under way more often than not. */
  async function writeLate(account: string): Promise<void> {
    const [token] = tokens.get(account) ?? []
    if (token !== undefined) await client.write(anyServer(), account, token, Math.random() * 600)
    await sleep(token === undefined ? 50 : 10)
  }

  const loop = async (work: () => Promise<void>) => {
    while (isOn) await work()
  }
  const everybody = [...passwordNumbers, ...codes]
  const retried = hasRetries ? [retriedByPassword, ...(codes.length > 0 ? [retriedByCode] : [])] : []
  const running = [
    ...passwordNumbers.map((account) => loop(() => signInAndOut(account))),
    ...codes.map((account) => loop(() => tryCodes(account))),
    ...retried.map((account) => loop(() => repeatSignIn(account))),
    ...everybody.map((account) => loop(() => look(account))),
    ...passwordNumbers.map((account) => loop(() => writeLate(account))),
  ]
  return {
    async stop() {
      isOn = false
      await Promise.all(running)
    },
  }
}
