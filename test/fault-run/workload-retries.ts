// A workload of clients that lose the responses of their sign-ins, or time out, and retry them with the same
// key.
import { randomBytes, randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client, Proof, Server } from './client.ts'
import type { Operation } from './history.ts'

/** One account for each method. Nothing else uses them, so every effect is that of a retry. */
export const retriedByPassword = '+8613900003000'
export const retriedByCode = '+8613900003001'

interface RetriedSignIn {
  readonly client: Client
  readonly anyServer: () => Server
  readonly account: string
  readonly proof: Proof
}

/** One sign-in with its retries, the uses of its tokens, and a retry that comes too late. */
export async function signInWithRetries({ client, anyServer, account, proof }: RetriedSignIn): Promise<void> {
  const key = randomBytes(16).toString('base64url')
  const signIn = () => client.signIn(anyServer(), account, proof, key)
  const tokens = tokensOf(await repeated(signIn))
  // The first use of a token races with a retry; one of them wins.
  const [last] = tokens
  if (last !== undefined && Math.random() < 0.4) {
    const [late] = await Promise.all([signIn(), client.check(anyServer(), account, last)])
    tokens.push(...tokensOf([late]))
  }
  for (const token of tokens) await client.check(anyServer(), account, token)
  // A token was used before this retry, so it is a new sign-in or is refused.
  if (Math.random() < 0.3) tokens.push(...tokensOf([await signIn()]))
  for (const token of tokens) await client.check(anyServer(), account, token)
  const newest = tokens.at(-1)
  if (newest !== undefined && Math.random() < 0.5) await client.signOut(anyServer(), account, newest)
}

/**
 * Two to four attempts with one key, all at once or each after the client has given up on the previous one.
 */
async function repeated(signIn: () => Promise<Operation>): Promise<Operation[]> {
  const patienceMs = Math.random() < 0.3 ? 0 : randomInt(1, 250)
  const tries: Promise<Operation>[] = []
  for (let left = randomInt(2, 5); left > 0; left--) {
    const one = signIn()
    tries.push(one)
    if (patienceMs > 0) await Promise.race([one, sleep(patienceMs)])
  }
  return await Promise.all(tries)
}

function tokensOf(operations: readonly Operation[]): string[] {
  return operations.flatMap(({ token }) => token ?? [])
}
