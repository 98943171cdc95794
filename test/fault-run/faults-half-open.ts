// Clients that vanish in each state of a connection: the server must close these connections itself.
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { startProxy } from '../support/tcp-proxy.ts'
import type { Server } from './client.ts'
import { type Fault, faultMs } from './faults.ts'

const clientsPerState = 50
/** The server's idle timeout after a response, which is its longest, and the interval of its checks. */
const idleTimeoutMs = 75_000 + 1_000
const checkEveryMs = 5_000
const tables = ['/proc/net/tcp', '/proc/net/tcp6']

const head = 'POST /v1/sessions HTTP/1.1\r\nhost: hufu\r\ncontent-type: application/json\r\n'

/** The bytes that a client has sent before its machine lost power or network. */
const sentBytes: Readonly<Record<string, string>> = {
  'nothing at all': '',
  'half of a head': head,
  'half of a body': `${head}content-length: 100\r\n\r\n{"phone_number":`,
  'a request': 'GET /livez HTTP/1.1\r\nhost: hufu\r\n\r\n',
}

/**
 * The connections that remain are counted at the end of the scenario, so that other faults fill the wait. It
 * comes after the faults that restart the server.
 */
export const halfOpenClients: Fault = {
  name: `${clientsPerState * Object.keys(sentBytes).length} clients of one server vanish, their connections half-open`,
  hasStrictBounds: true,
  whySkipped: () =>
    existsSync(tables[0] ?? '') ? null : 'only Linux tells in /proc/net/tcp who has which connection',
  async run({ servers: [server] }, { checkAtEnd }) {
    const proxy = await startProxy(server.url)
    const sockets = await Promise.all(
      Object.values(sentBytes).flatMap((bytes) =>
        Array.from({ length: clientsPerState }, () => openAndSend(proxy.url, bytes)),
      ),
    )
    const ports = await connectedPorts(server, proxy, sockets.length)
    proxy.set('vanish')
    const vanishedAt = performance.now()
    const { pid } = server.process.child
    const initially = connectionsOf(server, ports)
    if (initially < sockets.length / 2)
      throw new Error(`the server has only ${initially} of ${sockets.length} connections`)
    await sleep(faultMs)
    checkAtEnd(async () => {
      try {
        if (server.process.child.pid !== pid)
          return ['the server was restarted meanwhile: nothing was measured']
        await sleep(Math.max(0, vanishedAt + idleTimeoutMs + 2 * checkEveryMs - performance.now()))
        const remaining = connectionsOf(server, ports)
        return remaining === 0
          ? []
          : [`${server.name} still has ${remaining} of ${initially} half-open connections`]
      } finally {
        for (const socket of sockets) socket.destroy()
        await proxy.close()
      }
    })
  },
}

/** The ports of the connections, when the server has accepted all of them, or after ten seconds. */
async function connectedPorts(
  server: Server,
  proxy: { targetPorts(): Iterable<number> },
  count: number,
): Promise<Set<number>> {
  const giveUpAt = performance.now() + 10_000
  for (;;) {
    await sleep(500)
    const ports = new Set(proxy.targetPorts())
    if (connectionsOf(server, ports) >= count || performance.now() > giveUpAt) return ports
  }
}

async function openAndSend(url: string, bytes: string): Promise<Socket> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.write(bytes)
  return socket
}

/** The number of the server's connections from these ports, as the operating system counts them. */
function connectionsOf({ url }: Server, ports: ReadonlySet<number>): number {
  const own = Number(new URL(url).port)
  const portOf = (address = '') => Number.parseInt(address.split(':')[1] ?? '', 16)
  return (
    tables
      .filter((table) => existsSync(table))
      .flatMap((table) => readFileSync(table, 'utf8').trim().split('\n').slice(1))
      .map((line) => line.trim().split(/\s+/))
      .filter(([, local, remote]) => portOf(local) === own && ports.has(portOf(remote)))
      // A connection that the process has closed may still be listed, but with inode 0.
      .filter((fields) => fields[9] !== '0').length
  )
}
