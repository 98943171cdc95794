// Pairs of sign-ins of one account through two servers at once, while no session of it is live: nothing but
// the lock of the account, or its conflicting writes on a cluster, keeps both sessions from staying live.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from './client.ts'
import type { Deployment } from './deployment.ts'
import { password, passwordNumbers, type Workload } from './workload.ts'

/** More would wait for each other's hashes, and meet in the database less often. */
const accounts = passwordNumbers.slice(0, 2)
const checksOfPair = 8

export function startPairs(client: Client, { servers }: Deployment): Workload {
  let isRunning = true
  let pairs = 0
  const serverOf = (n: number) => servers[n % servers.length] ?? servers[0]

  async function signInTwice(account: string): Promise<void> {
    const first = pairs++
    const both = [serverOf(first), serverOf(first + 1)]
    const signIns = await Promise.all(both.map((server) => client.signIn(server, account, { password })))
    const tokens = signIns.flatMap(({ token }) => token ?? [])
    for (let i = 0; i < checksOfPair; i++) {
      await sleep(30)
      await Promise.all(tokens.map((token) => client.check(serverOf(first + i), account, token)))
    }
    for (const token of tokens) await client.signOut(serverOf(first), account, token)
  }

  const loop = async (account: string) => {
    while (isRunning) await signInTwice(account)
  }
  const running = accounts.map(loop)
  return {
    async stop() {
      isRunning = false
      await Promise.all(running)
    },
  }
}
