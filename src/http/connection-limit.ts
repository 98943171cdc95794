// How many connections a server takes: fewer than the files that its process may have open, so that the database, the log and
// the proxy's next connection always find one left.
import { readFileSync } from 'node:fs'
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { everyAnswer, headerLines } from './answer-headers.ts'

/** Files that are no connections of clients: pools, Redis, SQLite with its WAL, logs. */
const otherFiles = 200
/** Connections that are being refused; beyond them they are closed without an answer. */
const refusedAtOnce = 50
/** How long a refused client has to take its answer. */
const refusalMs = 1_000
/** From this part of the limit on, unused connections are kept for a shorter time. */
const crowdedFrom = 0.8
const crowdedKeepAliveMs = 5_000

/** The most files that this process may have open; null where the system does not say. */
function openFilesLimit(): number | null {
  try {
    const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
    return soft === undefined ? null : Number(soft)
  } catch {
    return null
  }
}

/** The limit that is asked for, or less where fewer files may be open. */
export function connectionLimit(wanted: number, openFiles = openFilesLimit()): number {
  return openFiles === null ? wanted : Math.max(1, Math.min(wanted, openFiles - otherFiles))
}

/**
 * Takes `max` connections at once. The next one is answered 503 with `Retry-After` and closed, at once and without a look at
 * its request. Before that, when it gets crowded, connections that nobody uses are closed after 5 s instead of 75.
 */
export function limitConnections(server: Server, max: number): void {
  const [accept] = server.listeners('connection')
  if (accept === undefined) throw new Error('Node listens to its server in another way now')
  const keepAliveMs = server.keepAliveTimeout
  let count = 0
  server.maxConnections = max + refusedAtOnce
  server.removeAllListeners('connection')
  server.on('connection', (socket: Socket) => {
    if (count >= max) return refuse(socket)
    count++
    socket.once('close', () => count--)
    server.keepAliveTimeout = count > max * crowdedFrom ? crowdedKeepAliveMs : keepAliveMs
    accept.call(server, socket)
  })
}

const body = JSON.stringify({
  type: 'urn:hufu:problem:overloaded',
  title: 'The server is busy; try again shortly',
  status: 503,
  code: 'overloaded',
})
const answer = [
  'HTTP/1.1 503 Service Unavailable',
  'content-type: application/problem+json; charset=utf-8',
  ...headerLines(everyAnswer),
  'retry-after: 1',
  `content-length: ${Buffer.byteLength(body)}`,
  'connection: close',
  '',
  body,
].join('\r\n')

function refuse(socket: Socket): void {
  socket.on('error', () => {})
  socket.setTimeout(refusalMs, () => socket.destroy())
  socket.end(answer)
  // Bytes that nobody reads would have the system reset the connection, and the answer be lost.
  socket.resume()
}
