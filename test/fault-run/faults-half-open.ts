// Clients that are gone without a word, in each state that a connection can be in: the server must let go of
// them by itself.
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { startProxy } from '../support/tcp-proxy.ts'
import type { Server } from './client.ts'
import { brokenMs, type Fault } from './faults.ts'

const eachKind = 50
/**
 * How long the server keeps a connection that says nothing after an answer, which is the longest, and how
 * often it looks.
 */
const keptMs = 75_000 + 1_000
const looksEveryMs = 5_000
const tables = ['/proc/net/tcp', '/proc/net/tcp6']

const head = 'POST /v1/sessions HTTP/1.1\r\nhost: hufu\r\ncontent-type: application/json\r\n'

/** What a client has sent before its machine was cut off from power or net. */
const kinds: Readonly<Record<string, string>> = {
  'nothing at all': '',
  'half of a head': head,
  'half of a body': `${head}content-length: 100\r\n\r\n{"phone_number":`,
  'a request': 'GET /livez HTTP/1.1\r\nhost: hufu\r\n\r\n',
}

/**
 * What is left is asked at the end of the scenario, so that other faults fill the time that a server keeps a
 * connection. It comes after those that restart the server.
 */
export const halfOpenClients: Fault = {
  name: `${eachKind * Object.keys(kinds).length} clients of one server vanish, their connections half-open`,
  isCalm: true,
  missing: () =>
    existsSync(tables[0] ?? '') ? null : 'only Linux tells in /proc/net/tcp who has which connection',
  async run({ servers: [server] }, later) {
    const proxy = await startProxy(server.url)
    const sockets = await Promise.all(
      Object.values(kinds).flatMap((said) => Array.from({ length: eachKind }, () => say(proxy.url, said))),
    )
    await sleep(500)
    const ports = new Set(proxy.portsAtTarget())
    proxy.set('vanish')
    const vanishedAt = performance.now()
    const { pid } = server.process.child
    const atFirst = heldBy(server, ports)
    if (atFirst < sockets.length / 2)
      throw new Error(`the server has only ${atFirst} of ${sockets.length} connections`)
    await sleep(brokenMs)
    later(async () => {
      try {
        if (server.process.child.pid !== pid)
          return ['the server was restarted meanwhile: nothing was measured']
        await sleep(Math.max(0, vanishedAt + keptMs + 2 * looksEveryMs - performance.now()))
        const left = heldBy(server, ports)
        return left === 0 ? [] : [`${server.name} keeps ${left} of ${atFirst} half-open connections for ever`]
      } finally {
        for (const socket of sockets) socket.destroy()
        await proxy.close()
      }
    })
  },
}

async function say(url: string, said: string): Promise<Socket> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.write(said)
  return socket
}

/**
 * How many connections with these ports at the other end a server's process holds: the system knows, whatever
 * the server says.
 */
function heldBy({ url }: Server, ports: ReadonlySet<number>): number {
  const own = Number(new URL(url).port)
  const portOf = (address = '') => Number.parseInt(address.split(':')[1] ?? '', 16)
  return (
    tables
      .filter((table) => existsSync(table))
      .flatMap((table) => readFileSync(table, 'utf8').trim().split('\n').slice(1))
      .map((line) => line.trim().split(/\s+/))
      .filter(([, local, remote]) => portOf(local) === own && ports.has(portOf(remote)))
      // The system still has what the process has let go of; then it belongs to no file.
      .filter((fields) => fields[9] !== '0').length
  )
}
