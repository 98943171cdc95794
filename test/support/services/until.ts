/** Waits for a condition that servers reach by themselves. */

import { setTimeout as sleep } from 'node:timers/promises'

const pollMs = 25
const timeoutMs = 60_000

/** Polls until the condition holds; throws after a minute. */
export async function until(holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`it did not happen within ${timeoutMs} ms: ${holds}`)
    await sleep(pollMs)
  }
}
