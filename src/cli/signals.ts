// Signals and other events that stop a process.
import type { Environment } from '../settings/environment.ts'
import { exitCodes } from './output.ts'
import { isStartedByNpm } from './started-by-npm.ts'

/** How long a stop may take; then the process ends, whatever is in flight. */
export const stopWithinMs = 10_000
const lookForParentEveryMs = 500
/** Read as early as possible, so that a parent that exits early is noticed. */
const parentAtStart = process.ppid

/**
 * Set once the process answers requests in flight before it ends; before that, a signal just ends the
 * process.
 */
let stopInOrder: (() => void) | null = null

/**
 * Ends the process at SIGTERM or SIGINT, for as long as it waits for its database or for Redis. Linux does
 * that by itself, but not for process 1, as a container has it (kill(2)).
 */
export function exitOnSignalAsProcess1(pid = process.pid): void {
  if (pid !== 1) return
  for (const [signal, number] of [
    ['SIGTERM', 15],
    ['SIGINT', 2],
  ] as const)
    process.on(signal, () => {
      if (stopInOrder === null) process.exit(128 + number)
    })
}

/**
 * Resolves on the first SIGTERM or SIGINT, or when npm's shell ends. A second signal ends the process at
 * once.
 */
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
 * Where npm or npx has started this program in a shell, stops the program when that shell ends, as SIGTERM
 * does. A process that is meant to outlive its parent is not affected (docs/operations.md).
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
