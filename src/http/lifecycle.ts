// What happens to every request, whatever its route: its id, its log line, its response headers, CORS,
// errors, and whether its connection stays open. A concern of all requests is added here: both Fastify's
// routes and the fast path go through this class.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { AppError } from '../errors.ts'
import { inClass, type QueueClass } from '../queue-order.ts'
import { everyAnswer, setEach } from './answer-headers.ts'
import { announcesTooMuch } from './body-limit.ts'
import { sendClassic } from './classic/classic-errors.ts'
import { type ClientAddressOf, type IsTrusted, ignoredAddress, tellClientAddress } from './client-address.ts'
import { ConnectionGuard, isSafe } from './connection-guard.ts'
import { CrossOrigin } from './cross-origin.ts'
import { OperatorErrors } from './operator-errors.ts'
import { sendProblem, type WallClock } from './problem.ts'
import { asRequestError } from './request-errors.ts'
import { headFaultOf } from './request-head.ts'
import { requestIds } from './request-id.ts'
import { RequestLines, type RequestLog, type RequestTarget } from './request-log.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /**
     * The requests are a gateway's copies of requests to another server: the protocol, the preflight and the
     * address in their headers are for that server.
     */
    isCopy?: boolean
  }
}

/** Problem details (RFC 9457), or `{code, message}` as in the tutorial. */
export type ErrorFormat = 'problem' | 'classic'

export interface LifecycleParts {
  readonly log: RequestLog
  readonly addressOf: ClientAddressOf
  readonly isTrusted: IsTrusted
  readonly clock: WallClock
  /** Origins of pages that may call this server from another origin, as browsers send them. */
  readonly allowedOrigins: readonly string[]
  readonly isStopping: () => boolean
  /** Turns a transient database error into `unavailable`, and returns every other error unchanged. */
  readonly asUnavailable: (error: unknown) => unknown
}

/**
 * The head of a fast-path response, as `writeHead` takes it. The values of the first and the last pair change
 * with each response.
 */
export type FastHead = (string | number)[]

/** A request that the fast path answers. */
export interface FastRequest {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly route: {
    readonly head: FastHead
    /** The method and path as the log shows them. */
    readonly target: RequestTarget
  }
  /** Read from performance.now(). */
  readonly began: number
}

export class RequestLifecycle {
  readonly newRequestId = requestIds()
  readonly connections: ConnectionGuard
  readonly #parts: LifecycleParts
  readonly #crossOrigin: CrossOrigin
  readonly #lines: RequestLines
  readonly #errors: OperatorErrors
  #hasWarnedOfAddress = false

  constructor(parts: LifecycleParts) {
    this.#parts = parts
    this.#crossOrigin = new CrossOrigin(parts.allowedOrigins)
    this.connections = new ConnectionGuard(this.#crossOrigin)
    this.#lines = new RequestLines(parts.log, parts.addressOf)
    this.#errors = new OperatorErrors(parts.log)
  }

  /** Installs the hooks on a server. Call it before any route is registered. */
  attachTo(app: FastifyInstance): void {
    tellClientAddress(app, this.#parts.addressOf)
    app.decorateRequest('signedIn', null)
    app.decorateRequest('serviceKey', null)
    this.#lines.attachTo(app)
    app.server.on('connect', (_request, socket) => this.connections.refuseTunnel(socket))
    // RFC 9110, section 10.1.1: a client that waits to be asked for its body is not asked for one that is
    // refused. By default, Node asks for each.
    app.server.on('checkContinue', (request, response) => {
      if (!announcesTooMuch(request) && headFaultOf(request) === null) response.writeContinue()
      app.server.emit('request', request, response)
    })
    // By default, Node answers other expectations itself.
    app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response))
    app.addHook('onRequest', (request, reply, done) => {
      if (!this.#begin(request, reply)) return
      const tooLarge = () => done(new AppError('body_too_large'))
      if (announcesTooMuch(request.raw)) return tooLarge()
      const isFaulty = headFaultOf(request.raw) !== null
      const { isCopy = false } = request.routeOptions.config
      if (!isFaulty && !isCopy && this.#answerPreflight(request, reply)) return
      const go = (isOpen: boolean) => {
        // The client knows from the end of the connection that this request was not processed.
        if (!isOpen) reply.hijack()
        else if (isFaulty) this.#refuseHead(request, reply)
        // A request for an unknown path is answered without reading its body.
        else if (request.is404) done(new AppError('not_found'))
        else if (!isCopy && wantsWebSocket(request)) done(new AppError('bad_request'))
        else inClass(classOf(request), done)
      }
      this.connections.inTurn(request.raw, reply.raw, { go, tooLarge })
    })
    // The events of the body do not run in the class that `go` has set.
    app.addHook('preValidation', (request, _reply, done) => inClass(classOf(request), done))
    app.setErrorHandler(this.errorHandler('problem'))
    app.setNotFoundHandler(async () => {
      throw new AppError('not_found')
    })
  }

  /** Answers a request whose URL Fastify cannot parse. Fastify runs no hooks for such a request. */
  answerUnreadable(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
    if (this.#begin(request, reply)) this.#answerError('problem', error, request, reply)
  }

  /** An error handler that answers in the given format. */
  errorHandler(format: ErrorFormat) {
    return (error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply =>
      this.#answerError(format, error, request, reply)
  }

  /** Logs an error that broke off a response after its status was sent. */
  logLateError(request: FastifyRequest, error: unknown): void {
    this.#errors.note(request, asRequestError(error, this.#parts.asUnavailable))
  }

  /**
   * Whether a request without a body may take the fast path. A request that ends its connection, and every
   * request while the server stops, goes through `#begin`, which has the rules for it.
   */
  mayAnswerFast(request: IncomingMessage): boolean {
    const { headers } = request
    return (
      headers['content-length'] === undefined &&
      headers['transfer-encoding'] === undefined &&
      this.#hasPlainHead(request)
    )
  }

  /** The same for a request whose body is announced by its length. */
  mayAnswerBodyFast(request: IncomingMessage): boolean {
    const { headers } = request
    return (
      headers['content-length'] !== undefined &&
      headers['content-encoding'] === undefined &&
      headers.expect === undefined &&
      !announcesTooMuch(request) &&
      this.#hasPlainHead(request)
    )
  }

  #hasPlainHead(request: IncomingMessage): boolean {
    return request.headers.upgrade === undefined && headFaultOf(request) === null && !this.#parts.isStopping()
  }

  /** The head of a route's fast-path responses, for `answerFast`. */
  newFastHead(contentType: string): FastHead {
    return ['x-request-id', '', ...everyAnswer, 'content-type', contentType, 'content-length', 0]
  }

  /**
   * Answers 200 on the fast path.
   * @param bytes the body, one character per byte (`latin1`)
   * @param session the public id of the session, where the log line names it
   */
  answerFast(fast: FastRequest, bytes: string, session: string | undefined): void {
    const { request, response, route, began } = fast
    const { head, target } = route
    const requestId = this.newRequestId(request)
    // writeHead copies the list before it returns, so one list serves all responses of a route.
    head[1] = requestId
    head[head.length - 1] = bytes.length
    const forOrigin = this.#crossOrigin.headersFor(request.headers)
    response.writeHead(200, forOrigin.length === 0 ? head : [...head, ...forOrigin])
    response.end(bytes, 'latin1')
    const isOver = isTaken(response)
    if (!isOver) this.connections.follow(request.socket, response)
    this.#lines.followFast(request, response, { began, isOver, requestId, target, session })
  }

  /**
   * Whether the request gets a response. RFC 9112, section 9.6: no request is processed after a response that
   * closes the connection.
   */
  #begin(request: FastifyRequest, reply: FastifyReply): boolean {
    this.#lines.follow(request, reply)
    const { isCopy = false } = request.routeOptions.config
    if (!this.#hasWarnedOfAddress && !isCopy) this.#warnOfIgnoredAddress(request.raw)
    if (this.connections.isClosing(request.raw.socket)) {
      reply.hijack()
      return false
    }
    this.connections.follow(request.raw.socket, reply.raw)
    const set = (name: string, value: string) => reply.header(name, value)
    reply.header('x-request-id', request.id)
    setEach(everyAnswer, set)
    setEach(this.#crossOrigin.headersFor(request.headers), set)
    // While the server stops, a client gets its response with `connection: close`, so that it sends its next
    // request elsewhere. After an `Upgrade` header Node drops the bytes that came in the same chunk: a client
    // that pipelined another request there would wait for its response for ever.
    if (this.#parts.isStopping() || request.raw.headers.upgrade !== undefined)
      reply.raw.shouldKeepAlive = false
    return true
  }

  /**
   * Warns once. The fast path does not ask: a token gets there by a request that went through here, and
   * people behind a proxy that is not on the list send many of them.
   */
  #warnOfIgnoredAddress(request: IncomingMessage): void {
    const ignored = ignoredAddress(request, this.#parts.isTrusted)
    if (ignored === null) return
    this.#hasWarnedOfAddress = true
    this.#parts.log.ignoredAddress(ignored)
  }

  /** A client whose request is malformed may also be wrong about its end, so the connection ends with it. */
  #refuseHead(request: FastifyRequest, reply: FastifyReply): void {
    reply.header('connection', 'close')
    this.#answerError('problem', new AppError('bad_request'), request, reply)
  }

  /** Answers a CORS preflight request, which costs neither a limit nor SQL. Returns whether it was one. */
  #answerPreflight(request: FastifyRequest, reply: FastifyReply): boolean {
    const headers = this.#crossOrigin.preflightFor(request.raw)
    if (headers === null) return false
    setEach(headers, (name, value) => reply.header(name, value))
    reply.code(204).send()
    return true
  }

  #answerError(
    format: ErrorFormat,
    error: unknown,
    request: FastifyRequest,
    reply: FastifyReply,
  ): FastifyReply {
    const known = asRequestError(error, this.#parts.asUnavailable)
    if (reply.hasHeader('connection') || known.code === 'body_too_large') this.#setConnection(request, reply)
    this.#errors.note(request, known)
    return format === 'classic'
      ? sendClassic(reply, known)
      : sendProblem(request, reply, known, this.#parts.clock)
  }

  /**
   * Fastify closes the connection when a body is invalid. After a body that has arrived whole, no bytes are
   * left that could be taken for the next request, so the connection stays open. The rest of an incomplete
   * body is not read.
   */
  #setConnection({ raw }: FastifyRequest, reply: FastifyReply): void {
    const staysOpen = raw.complete && reply.raw.shouldKeepAlive
    reply.header('connection', staysOpen ? 'keep-alive' : 'close')
    if (!raw.complete) this.connections.closeAfter(raw.socket)
  }
}

/**
 * Whether the operating system has taken all bytes of a response that was just written. Node reports the same
 * a moment later, but only to a listener.
 */
function isTaken({ socket, writableLength }: ServerResponse): boolean {
  // A pipelined request has no socket yet while the response before it is under way.
  return socket !== null && writableLength === 0 && !socket.destroyed && socket.errored === null
}

/** The class of a request's work, as far as its caller is known by now. */
function classOf({ raw, signedIn, serviceKey }: FastifyRequest): QueueClass {
  if (signedIn || serviceKey) return 'known'
  return isSafe(raw) ? 'reading' : 'changing'
}

/**
 * This server has no WebSockets. It may ignore offers of other protocols (RFC 9110, section 7.8): some
 * clients offer h2c with every request.
 */
function wantsWebSocket({ raw }: FastifyRequest): boolean {
  return raw.headers.upgrade !== undefined && /websocket/i.test(raw.headers.upgrade)
}
