// Closes connections that send something other than HTTP, and connections whose client does not read its
// responses.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { HeaderList } from './answer-headers.ts'
import { watchUnreadBody } from './body-limit.ts'
import { endBeforeClose } from './connection-ends.ts'
import type { CrossOrigin } from './cross-origin.ts'
import { rawProblem } from './raw-problem.ts'

const statuses: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
}

/** RFC 9110, section 9.2.1. */
const safeMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE'])

/** Whether a request changes nothing, by its method. */
export function isSafe({ method = '' }: IncomingMessage): boolean {
  return safeMethods.has(method)
}

const before = Symbol('the answer before it')

type ClientError = Error & { code?: string }

interface Turn {
  readonly go: (isOpen: boolean) => void
  readonly tooLarge: () => void
}

type Followed = ServerResponse & { [before]?: Followed | undefined }

/**
 * The most requests of a connection that are processed at once, if all have safe methods. More would let one
 * connection queue thousands of statements in front of those of other clients.
 */
const maxParallel = 8
/** When this many requests of a connection wait, nothing more is read from it until half of them are left. */
const pausedFrom = 16
/** The most that may wait: one read brings many small requests. */
const maxWaiting = 1_000

/** In this time a request must come in full. */
export const requestMs = 15_000

/** A client that does not read its responses would otherwise keep them, and the connection, for ever. */
const silenceMs = 20_000

/**
 * Tracks the responses that a connection still waits for, so that the client does not take a refusal for one
 * of them, and closes the connection when no bytes move on it.
 */
export class ConnectionGuard {
  readonly #crossOrigin: CrossOrigin
  readonly #refused = new WeakSet<Socket>()
  /**
   * The newest response of each connection. A property on the socket would make all of Node's work with
   * sockets slower.
   */
  readonly #newest = new WeakMap<Socket, Followed>()
  /** How many requests of a connection wait for their turn. */
  readonly #waiting = new WeakMap<Socket, number>()
  /** When the last response that followed another one was sent, by performance.now(). */
  readonly #sentAt = new WeakMap<Socket, number>()

  constructor(crossOrigin: CrossOrigin) {
    this.#crossOrigin = crossOrigin
  }

  /**
   * Call this for each request when it begins, or before it is left unanswered. It adds no listener, so it
   * costs little.
   */
  follow(socket: Socket, response: Followed): void {
    const last = this.#newest.get(socket)
    if (last === response) return
    // A client that pipelines has several requests under way. Responses that are finished are not kept.
    if (last && !last.closed) {
      response[before] = last
      // Otherwise a client that always has the next request on the way would keep all responses in memory.
      response.once('close', () => {
        response[before] = undefined
        this.#sentAt.set(socket, performance.now())
      })
      // Only the newest response may end the connection, or those after an earlier one would never arrive.
      if (!last.headersSent) keepAlive(last)
    }
    this.#newest.set(socket, response)
    limitSilence(socket)
  }

  /**
   * Calls `go` when a request may be processed: at once for the first few with a safe method, otherwise when
   * the responses before it are sent (RFC 9112, section 9.3.2: a server may process pipelined requests in
   * parallel if all have safe methods). A request behind a response that ends the connection would otherwise
   * change something, and its response would be lost. Call it after `follow`.
   * @param turn of the two functions, one is called: `go` gets whether the connection is still open;
   * `tooLarge` is called when the body grows over the limit meanwhile
   */
  inTurn(request: IncomingMessage, response: Followed, { go, tooLarge }: Turn): void {
    const { socket } = request
    const previous = response[before]
    const mayGo = isSafe(request) && !hasBefore(response, maxParallel)
    if (!previous || previous.closed || mayGo) {
      go(true)
      return
    }
    let isRefused = false
    const stopWatching = watchUnreadBody(request, () => {
      isRefused = true
      tooLarge()
    })
    const waiting = this.#countWaiting(socket, 1)
    if (waiting > maxWaiting) socket.destroy()
    else if (waiting === pausedFrom) socket.pause()
    previous.once('close', () => {
      if (this.#countWaiting(socket, -1) === pausedFrom / 2) socket.resume()
      stopWatching()
      if (!isRefused) go(socket.writable)
    })
  }

  #countWaiting(socket: Socket, more: 1 | -1): number {
    const count = (this.#waiting.get(socket) ?? 0) + more
    this.#waiting.set(socket, count)
    return count
  }

  /**
   * From now on, nothing that arrives on this connection is answered. What arrives while the connection is
   * being closed is still read, so that the client gets the last response.
   */
  closeAfter(socket: Socket): void {
    this.#refused.add(socket)
    endBeforeClose(socket)
  }

  /** Whether a response that ends the connection has been sent, or is being sent. */
  isClosing(socket: Socket): boolean {
    const last = this.#newest.get(socket)
    return this.#refused.has(socket) || (last?.headersSent === true && !last.shouldKeepAlive)
  }

  /**
   * Answers CONNECT. By default, Node closes the connection without a response, and drops the responses
   * before it.
   */
  refuseTunnel(socket: Duplex): void {
    // Node removes its own listeners before it emits `connect`: without this listener, an error of the
    // client's connection would be uncaught.
    socket.on('error', () => socket.destroy())
    // A server of node:http has no other kind of socket.
    this.refuse(new Error('CONNECT'), socket as Socket)
  }

  /**
   * Answers bytes that Node's parser could not read, or a request that did not come in full in time, and
   * closes the connection.
   */
  refuse(error: ClientError, socket: Socket): void {
    if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') this.#refuseLate(error, socket)
    else this.#refuseNow(error, socket)
  }

  /**
   * For a request behind others, the time begins when their responses are sent: meanwhile the connection may
   * not be read, and then the client is not slow.
   */
  #refuseLate(error: ClientError, socket: Socket): void {
    const underWay = this.#underWayOn(socket)
    if (underWay.at(-1)?.req.complete === false) underWay.pop()
    const last = underWay.at(-1)
    if (last) {
      last.once('close', () => this.#refuseUnlessWhole(error, socket, requestMs))
      return
    }
    const readSince = this.#sentAt.get(socket) ?? Number.NEGATIVE_INFINITY
    // After this process stood still, the rest of the request may be there and not yet read: a moment is
    // needed at least.
    const leftMs = Math.max(1, readSince + requestMs - performance.now())
    this.#refuseUnlessWhole(error, socket, leftMs)
  }

  /** Refuses the newest request of a connection if it has not come in full `ms` later. */
  #refuseUnlessWhole(error: ClientError, socket: Socket, ms: number): void {
    const known = this.#newest.get(socket)
    const isWhole = known?.req.complete !== false
    const { bytesWritten } = socket
    const look = () => {
      const newest = this.#newest.get(socket)
      // Its headers have come since: its body gets the same time again.
      if (newest !== known && newest?.req.complete === false)
        this.#refuseUnlessWhole(error, socket, requestMs)
      if (newest !== known) return
      // The fast path answers a request without following it.
      const hasCome = isWhole ? socket.bytesWritten > bytesWritten : known?.req.complete
      if (!hasCome) this.#refuseNow(error, socket)
    }
    setTimeout(look, ms).unref()
  }

  #refuseNow(error: ClientError, socket: Socket): void {
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy()
      return
    }
    // Node emits an error for every further chunk of the same invalid bytes.
    if (this.#refused.has(socket)) return
    this.#refused.add(socket)
    limitSilence(socket)
    // Node does not close a connection on a timeout once it has removed its own listeners.
    socket.on('timeout', () => socket.destroy())
    const underWay = this.#underWayOn(socket)
    // The invalid bytes belong to the newest request: its response never comes, unless it was sent before the
    // body had arrived.
    const broken = underWay.at(-1)?.req.complete === false ? underWay.pop() : undefined
    const headers = this.#crossOrigin.headersFor(broken?.req.headers ?? null)
    const refuse = () => {
      if (!broken?.headersSent) {
        if (socket.writable) socket.end(answerTo(error, headers))
        return
      }
      // A response that has begun is sent whole: it waits for the responses before it, and a stream waits for
      // its client.
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

/** Whether at least `count` responses before this one are not sent. */
function hasBefore(response: Followed, count: number): boolean {
  let found = 0
  for (let one = response[before]; one && !one.closed; one = one[before]) if (++found >= count) return true
  return false
}

function keepAlive(response: ServerResponse): void {
  response.shouldKeepAlive = true
  // Fastify sets this header itself while it closes.
  if (response.hasHeader('connection')) response.setHeader('connection', 'keep-alive')
}

/**
 * Closes the connection when no bytes have moved on it for `silenceMs`. Between two requests Node sets a
 * limit of its own.
 */
function limitSilence(socket: Socket): void {
  if (socket.timeout !== silenceMs) socket.setTimeout(silenceMs)
}

/** docs/errors.md lists these statuses at `bad_request`. */
function answerTo({ code = '' }: { code?: string }, headers: HeaderList): string {
  const status = statuses[code] ?? '400 Bad Request'
  return rawProblem({ status, code: 'bad_request', title: status.slice(4), headers })
}
