// A connection ends when all requests on it are answered and the responses are sent, and not before.
import type { Server } from 'node:http'
import type { Socket } from 'node:net'

/** Call it before the server listens. */
export function answerBeforeEnd(server: Server): void {
  answerHalfClosed(server)
  keepUnsentAnswers(server)
}

/**
 * A client may say that it sends no more, and wait for its responses (a half-closed TCP connection). By
 * default, Node then closes its own side at once: a sign-in succeeds but its response is lost, an export is
 * cut off.
 */
function answerHalfClosed(server: Server): void {
  if (!('httpAllowHalfOpen' in server))
    throw new Error('Node ends half-closed connections in another way now')
  server.httpAllowHalfOpen = true
}

/**
 * When a server stops, Node destroys each connection whose response has been written, even where much of it
 * still waits for a client that reads slowly.
 */
function keepUnsentAnswers(server: Server): void {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  const closeIdle = server.closeIdleConnections
  server.closeIdleConnections = () => {
    const sending = [...sockets].filter(({ writableLength }) => writableLength > 0)
    for (const socket of sending) socket.destroy = keep
    closeIdle.call(server)
    // This restores the inherited method.
    for (const socket of sending) Reflect.deleteProperty(socket, 'destroy')
  }
}

function keep(this: Socket): Socket {
  return this
}

/** How long a client may send on after the last response of its connection. */
const lingerMs = 2_000

/**
 * Closes a connection whose client is still sending: the server says that it sends no more, and reads until
 * the client ends too. With unread bytes in its buffer, the system would reset the connection, and the client
 * could lose the response.
 */
export function endBeforeClose(socket: Socket): void {
  // Node calls this after the last response of a connection.
  socket.destroySoon = () => {
    socket.end()
    socket.resume()
    const timer = setTimeout(() => socket.destroy(), lingerMs)
    socket.once('close', () => clearTimeout(timer))
  }
}
