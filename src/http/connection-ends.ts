// A connection ends when all that was asked on it is answered and on its way, and not before.
import type { Server } from 'node:http'
import type { Socket } from 'node:net'

/** Call before the server listens. */
export function answerBeforeEnd(server: Server): void {
  answerHalfClosed(server)
  keepUnsentAnswers(server)
}

/**
 * A client may say that it will send no more, and wait for its answers (a half-closed TCP connection). Node by itself ends its own side
 * at once: a sign-in is done and its answer lost, an export is cut off.
 */
function answerHalfClosed(server: Server): void {
  if (!('httpAllowHalfOpen' in server))
    throw new Error('Node ends half-closed connections in another way now')
  server.httpAllowHalfOpen = true
}

/**
 * When a server stops, Node destroys each connection whose answer has been handed over, also where much of it still waits for a client
 * that reads slowly.
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
    // What they inherit.
    for (const socket of sending) Reflect.deleteProperty(socket, 'destroy')
  }
}

function keep(this: Socket): Socket {
  return this
}
