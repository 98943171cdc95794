// How many connections a server takes: fewer than the files that its process may have open, so that a file
// descriptor is always free for the database, the log and the proxy's next connection.
import { readFileSync } from 'node:fs'
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { publicErrors } from './problem.ts'
import { rawProblem } from './raw-problem.ts'

/** Open files that are not client connections: pools, Redis, SQLite with its WAL, logs. */
const otherFiles = 200
/** At most this many connections get a refusal at once; further ones are closed without a response. */
const refusedAtOnce = 50
/** How long a refused client has to read its response. */
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

/** The configured limit, or a lower one where the process may open fewer files. */
export function connectionLimit(wanted: number, openFiles = openFilesLimit()): number {
  return openFiles === null ? wanted : Math.max(1, Math.min(wanted, openFiles - otherFiles))
}

/**
 * Accepts `max` connections at once. The next one gets 503 with `Retry-After` and is closed, at once and
 * without reading its request. Close to the limit, idle connections are closed after 5 s instead of 75.
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

const answer = rawProblem({
  status: '503 Service Unavailable',
  code: 'overloaded',
  title: publicErrors.overloaded.en,
  headers: ['retry-after', '1'],
})

function refuse(socket: Socket): void {
  socket.on('error', () => {})
  socket.setTimeout(refusalMs, () => socket.destroy())
  socket.end(answer)
  // With unread bytes in its buffer, the system would reset the connection, and the response would be lost.
  socket.resume()
}
