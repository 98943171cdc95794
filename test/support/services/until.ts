/** Waits for what servers reach by themselves, and repeats what a busy server does not do at once. */

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

/** Repeats work that throws; its error after a minute. It must not matter whether it was done already. */
export async function untilDone<T>(work: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (performance.now() > deadline) throw error
      await sleep(pollMs)
    }
  }
}
