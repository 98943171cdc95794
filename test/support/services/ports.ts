/** Free ports for servers of the tests. */

import { once } from 'node:events'
import { createServer } from 'node:net'

/** A free port of 127.0.0.1. */
export async function freePort(): Promise<number> {
  // Below Linux's ephemeral range, from which a client that reconnects to a dead server could take its port.
  const port = 10_000 + Math.floor(Math.random() * 22_000)
  const probe = createServer()
  try {
    probe.listen(port, '127.0.0.1')
    await once(probe, 'listening')
    return port
  } catch {
    return freePort()
  } finally {
    probe.close()
  }
}
