// Accepts the connections that clients have opened before a server stops: it would otherwise reset them.
import type { Server } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'

/**
 * After the last connection, its first bytes are read in the next turn of the event loop, and they may be a
 * request that is answered in the one after.
 */
const emptyTurns = 3

/**
 * Resolves when no connection waits that was opened before the call, or after `withinMs`. libuv accepts one
 * connection in each turn of the event loop, and a turn takes long on a busy machine: how many it accepts in
 * a given time is not known.
 */
export async function acceptWaiting(server: Server, withinMs: number): Promise<void> {
  let accepted = 0
  const count = () => void accepted++
  server.on('connection', count)
  const giveUpAt = performance.now() + withinMs
  let empty = 0
  while (empty < emptyTurns && performance.now() < giveUpAt) {
    const before = accepted
    await turn()
    empty = accepted === before ? empty + 1 : 0
  }
  server.off('connection', count)
}
