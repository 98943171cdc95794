// What is no HTTP: there is no request to answer, only a connection to close, after the answers to what was asked on it before.
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

const statuses: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
}

/** Knows which answers a connection still waits for, so that a refusal is not taken for one of them. */
export class BrokenConnections {
  /** In the order of their requests. */
  readonly #underWay = new WeakMap<Socket, Set<ServerResponse>>()
  readonly #refused = new WeakSet<Socket>()

  /** Call for each request when it begins. */
  follow(socket: Socket, response: ServerResponse): void {
    let underWay = this.#underWay.get(socket)
    if (!underWay) {
      underWay = new Set()
      this.#underWay.set(socket, underWay)
    }
    underWay.add(response)
    response.once('close', () => underWay.delete(response))
  }

  /** Answers CONNECT. Node by itself ends the connection without a word, and takes the answers before it along. */
  refuseTunnel(socket: Duplex): void {
    // Node lets go of the connection before it tells of CONNECT: nobody else would hear that the client has gone.
    socket.on('error', () => socket.destroy())
    // A server of node:http has no other kind.
    this.refuse(new Error('CONNECT'), socket as Socket)
  }

  /** Answers bytes that Node's parser could not read, and closes the connection. */
  refuse(error: Error & { code?: string }, socket: Socket): void {
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy()
      return
    }
    // Node tells of every further piece of the same rubbish.
    if (this.#refused.has(socket)) return
    this.#refused.add(socket)
    const underWay = [...(this.#underWay.get(socket) ?? [])]
    // The rubbish is the rest of the newest request: its answer never comes, unless it was given without the body.
    const broken = underWay.at(-1)?.req.complete === false ? underWay.pop() : undefined
    const before = underWay.at(-1)
    const refuse = () => {
      if (broken?.headersSent) socket.end()
      else if (socket.writable) socket.end(answerTo(error))
    }
    if (before) before.once('close', refuse)
    else refuse()
  }
}

function answerTo({ code = '' }: { code?: string }): string {
  const status = statuses[code] ?? '400 Bad Request'
  const body = JSON.stringify({
    type: 'urn:hufu:problem:bad_request',
    title: status.slice(4),
    status: Number(status.slice(0, 3)),
    code: 'bad_request',
  })
  return `HTTP/1.1 ${status}\r\ncontent-type: application/problem+json; charset=utf-8\r\ncache-control: no-store\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`
}
