/** Waits for a condition that servers reach by themselves. */

import { setTimeout as sleep } from 'node:timers/promises'

const pollMs = 25
const giveUpMs = 60_000

/** Polls until the condition holds; throws after a minute. */
export async function until(holds: () => Promise<boolean>): Promise<void> {
  const giveUpAt = performance.now() + giveUpMs
  while (!(await holds())) {
    if (performance.now() > giveUpAt) throw new Error(`it did not happen within ${giveUpMs} ms: ${holds}`)
    await sleep(pollMs)
  }
}
