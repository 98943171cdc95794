// A TCP proxy in front of a server or a store, which can break or stall its connections.
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

export type Mode = 'pass' | 'refuse' | 'stall' | 'slow' | 'vanish'

const slowMs = 150

export interface TcpProxy {
  /** The target's URL, through the proxy. */
  readonly url: string
  /**
   * `refuse` also closes the open connections; `stall` keeps them open and drops all data; `slow` delays all
   * data by 150 ms; `vanish` imitates a machine that lost power: the open connections are not read, and no
   * close is answered.
   */
  set(mode: Mode): void
  /** The local ports of the open connections to the target. */
  targetPorts(): number[]
  /** Sends new connections to another target, and closes the open ones unless `keepsOpen`. */
  setTarget(targetUrl: string, options?: { readonly keepsOpen?: boolean }): void
  close(): Promise<void>
}

/** A proxy on a free port of 127.0.0.1 to the host and port of `targetUrl`. */
export async function startProxy(targetUrl: string): Promise<TcpProxy> {
  let target = new URL(targetUrl)
  const connections = new Set<Socket>()
  const toTarget = new Set<Socket>()
  let mode: Mode = 'pass'
  const server = createServer((near) => {
    if (mode === 'refuse') {
      near.resetAndDestroy()
      return
    }
    const far = connect(Number(target.port), target.hostname)
    toTarget.add(far)
    far.on('close', () => toTarget.delete(far))
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      connections.add(from)
      from.on('data', (chunk) => {
        if (mode === 'pass') to.write(chunk)
        // In order, because timers of one length fire in the order in which they were set.
        else if (mode === 'slow') setTimeout(() => to.writable && to.write(chunk), slowMs)
      })
      from.on('error', () => {})
      from.on('close', () => {
        connections.delete(from)
        to.destroy()
      })
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const url = new URL(targetUrl)
  url.hostname = '127.0.0.1'
  url.port = String(typeof address === 'object' && address ? address.port : '')
  const cut = () => {
    for (const connection of connections) connection.destroy()
  }
  return {
    url: url.href,
    set(next) {
      mode = next
      if (next === 'refuse') cut()
      // A socket that is not read does not notice the close of its peer.
      if (next === 'vanish') for (const connection of connections) connection.pause()
    },
    targetPorts: () => [...toTarget].map(({ localPort }) => localPort ?? 0),
    setTarget(next, { keepsOpen = false } = {}) {
      target = new URL(next)
      if (!keepsOpen) cut()
    },
    async close() {
      cut()
      server.close()
      await once(server, 'close')
    },
  }
}
