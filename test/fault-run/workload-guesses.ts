// A workload with the limits on: accounts sign in, and callers guess passwords through both servers at once,
// more often than the limits allow.
import { randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Client, newAddress } from './client.ts'
import type { Deployment } from './deployment.ts'
import { openMariadbDeployment } from './deployment-proxied.ts'
import { password, passwordNumbers, type Workload } from './workload.ts'

const guessesAtOnce = 12

/**
 * Servers with the limits on. They trust the addresses that the client names, so that it can act as many
 * callers.
 */
export const openLimitedDeployment = (source: string) =>
  openMariadbDeployment(source, { HUFU_LIMITS: 'on', HUFU_TRUSTED_PROXIES: '127.0.0.1' })

export function startGuesses(client: Client, { servers }: Deployment): Workload {
  let isRunning = true
  const serverOf = (i: number) => servers[i % servers.length] ?? servers[0]

  async function signIn(account: string, turn: number): Promise<void> {
    await client.signIn(serverOf(turn), account, { password })
    await sleep(100 + Math.random() * 200)
  }

  async function guess(): Promise<void> {
    const [account, address] = [`+86139${randomInt(10_000_000, 99_999_999)}`, newAddress()]
    for (let burst = 0; burst < 2; burst++) {
      const guesses = Array.from({ length: guessesAtOnce }, (_, i) =>
        client.guess(serverOf(i), account, address),
      )
      await Promise.all(guesses)
    }
  }

  const loop = async (work: (turn: number) => Promise<void>) => {
    for (let turn = 0; isRunning; turn++) await work(turn)
  }
  const running = [
    ...passwordNumbers.map((account) => loop((turn) => signIn(account, turn))),
    loop(guess),
    loop(guess),
  ]
  return {
    async stop() {
      isRunning = false
      await Promise.all(running)
    },
  }
}
