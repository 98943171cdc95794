// Connections that have to be closed: what comes on them is no HTTP, or nobody reads the answers.
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { everyAnswer, type HeaderList, headerLines } from './answer-headers.ts'
import type { CrossOrigin } from './cross-origin.ts'

const statuses: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
}

const before = Symbol('the answer before it')

type Followed = ServerResponse & { [before]?: Followed | undefined }

/** Who does not read the answers would otherwise hold them, and the connection, for ever. */
const silenceMs = 20_000

/**
 * Knows which answers a connection still waits for, so that a refusal is not taken for one of them, and closes it when nothing
 * moves on it meanwhile.
 */
export class ConnectionGuard {
  readonly #crossOrigin: CrossOrigin
  readonly #refused = new WeakSet<Socket>()
  /** The newest answer of each connection. A property of the connection would make all that Node does with connections slower. */
  readonly #newest = new WeakMap<Socket, Followed>()

  constructor(crossOrigin: CrossOrigin) {
    this.#crossOrigin = crossOrigin
  }

  /** Call for each request when it begins, or before it is left unanswered. It costs little: no listener. */
  follow(socket: Socket, response: Followed): void {
    const last = this.#newest.get(socket)
    if (last === response) return
    // Who pipelines has several under way; of those that are over nothing is kept.
    if (last && !last.closed) {
      response[before] = last
      // The connection ends with the newest answer, or those behind it would never come.
      if (!last.headersSent) keepAlive(last)
    }
    this.#newest.set(socket, response)
    limitSilence(socket)
  }

  /** Nothing that comes on this connection from now on is answered. */
  closeAfter(socket: Socket): void {
    this.#refused.add(socket)
  }

  /** Whether an answer has been given, or is being given, that ends the connection. */
  isClosing(socket: Socket): boolean {
    const last = this.#newest.get(socket)
    return this.#refused.has(socket) || (last?.headersSent === true && !last.shouldKeepAlive)
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
    limitSilence(socket)
    // Of a connection that it has let go of, Node does not do it.
    socket.on('timeout', () => socket.destroy())
    const underWay = this.#underWayOn(socket)
    // The rubbish is the rest of the newest request: its answer never comes, unless it was given without the body.
    const broken = underWay.at(-1)?.req.complete === false ? underWay.pop() : undefined
    const headers = this.#crossOrigin.headersFor(broken?.req.headers ?? null)
    const refuse = () => {
      if (!broken?.headersSent) {
        if (socket.writable) socket.end(answerTo(error, headers))
        return
      }
      // An answer that has begun is sent whole: it waits for those before it, and a stream for its reader.
      if (broken.closed) socket.end()
      else broken.once('close', () => socket.end())
    }
    const last = underWay.at(-1)
    if (last) last.once('close', refuse)
    else refuse()
  }

  /** The answers that a connection waits for, in the order of their requests. */
  #underWayOn(socket: Socket): ServerResponse[] {
    const found: ServerResponse[] = []
    for (let answer = this.#newest.get(socket); answer; answer = answer[before])
      if (!answer.closed) found.unshift(answer)
    return found
  }
}

function keepAlive(response: ServerResponse): void {
  response.shouldKeepAlive = true
  // Fastify's own word, once it is closing.
  if (response.hasHeader('connection')) response.setHeader('connection', 'keep-alive')
}

/** Closes the connection when nothing has moved on it for so long. Node itself sets another limit between two requests. */
function limitSilence(socket: Socket): void {
  if (socket.timeout !== silenceMs) socket.setTimeout(silenceMs)
}

function answerTo({ code = '' }: { code?: string }, headers: HeaderList): string {
  const status = statuses[code] ?? '400 Bad Request'
  const body = JSON.stringify({
    type: 'urn:hufu:problem:bad_request',
    title: status.slice(4),
    status: Number(status.slice(0, 3)),
    code: 'bad_request',
  })
  const lines = [
    `HTTP/1.1 ${status}`,
    'content-type: application/problem+json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
    ...headerLines([...everyAnswer, ...headers]),
  ]
  return `${lines.join('\r\n')}\r\n\r\n${body}`
}
