/** Runs clean-up actions when this process ends in any way but SIGKILL. */

const actions: (() => void)[] = []

/** Adds a synchronous action for the end of this process: a normal exit, SIGINT, SIGTERM or SIGHUP. */
export function whenProcessEnds(action: () => void): void {
  if (actions.length === 0) listen()
  actions.push(action)
}

function listen(): void {
  process.once('exit', runActions)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    // In front, so that the count below still includes the one-time listeners of others.
    process.prependOnceListener(signal, () => {
      runActions()
      // A listener replaces the default action: without another one that exits, the signal is sent again.
      if (process.listenerCount(signal) === 0) process.kill(process.pid, signal)
    })
  }
}

function runActions(): void {
  for (const action of actions) action()
}
