// What tells a process to stop.
import type { Environment } from '../settings/environment.ts'
import { exitCodes } from './output.ts'
import { isStartedByNpm } from './started-by-npm.ts'

const lookForParentEveryMs = 500
/** Read as early as can be: one that ends before this is not missed. */
const parentAtStart = process.ppid

/** Set once what is in flight is answered before the end; before, a signal just ends the process. */
let stopInOrder: (() => void) | null = null

/** The first SIGTERM or SIGINT, or the end of npm's shell. The second signal does not wait for anything. */
export function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    let asked = false
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        if (asked) process.exit(exitCodes.internal)
        asked = true
        resolve()
      })
    }
    stopInOrder = resolve
  })
}

/**
 * Where npm or npx has started this program in a shell, stops it as SIGTERM does when that shell ends. A process that is meant
 * to outlive its parent is left alone (docs/operations.md).
 */
export function stopWithNpm(environment: Environment): void {
  if (!isStartedByNpm(environment)) return
  const looking = setInterval(() => {
    if (process.ppid === parentAtStart) return
    clearInterval(looking)
    if (stopInOrder) stopInOrder()
    else process.kill(process.pid, 'SIGTERM')
  }, lookForParentEveryMs).unref()
}
