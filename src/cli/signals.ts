// What tells a process to stop.
import { exitCodes } from './output.ts'

/** The first SIGTERM or SIGINT. The second one does not wait for anything. */
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
  })
}
