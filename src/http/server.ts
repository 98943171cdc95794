// The HTTP server: which routes there are, what every answer carries, and how errors are answered.
import { randomBytes } from 'node:crypto'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { AppError, type ErrorCode } from '../errors.ts'
import { acceptJsonOnly } from './body.ts'
import { BrokenConnections } from './broken-connections.ts'
import { type ClassicParts, classicRoutes } from './classic.ts'
import { clientAddresses, tellClientAddress } from './client-address.ts'
import { answerBeforeEnd } from './connection-ends.ts'
import { limitConnections } from './connection-limit.ts'
import { CrossOrigin, setEach } from './cross-origin.ts'
import { type HealthParts, healthRoutes } from './health.ts'
import { refuseOtherMethods } from './methods.ts'
import { describeRoutes, serveDescription } from './openapi.ts'
import { answerQuickly, type QuickRoutes } from './quick-checks.ts'
import { asRequestError } from './request-errors.ts'
import { RequestLines, type RequestLog } from './request-log.ts'
import { sendClassic, sendProblem, type WallClock } from './respond.ts'
import { addTwins } from './twins.ts'
import { authenticate, refuseUnexpectedBody, type V1Parts } from './v1.ts'
import { v1AccountRoutes } from './v1-account.ts'
import { v1CodeRoutes } from './v1-codes.ts'
import { sharedSchemas } from './v1-schemas.ts'
import { v1SessionRoutes } from './v1-sessions.ts'

export interface ServerParts extends V1Parts {
  /** Connections at once. */
  readonly maxConnections: number
  readonly version: string
  readonly clock: WallClock
  /** Addresses and CIDR blocks whose `X-Forwarded-For` is believed. */
  readonly trustedProxies: readonly string[]
  /** Origins of pages that may call from elsewhere, as browsers send them. */
  readonly allowedOrigins: readonly string[]
  /** null: no classic API. */
  readonly classic: ClassicParts | null
  readonly health: HealthParts
  readonly log: RequestLog
  /** Turns an error of the database that may pass into `unavailable`, and leaves every other error as it is. */
  readonly asUnavailable: (error: unknown) => unknown
}

const bodyLimitBytes = 16 * 1024
/** What a client can do nothing about, so that somebody should read why it happened. */
const isForOperators = new Set<ErrorCode>(['internal', 'unavailable', 'code_not_sent'])

const fixedOptions = {
  logger: false,
  bodyLimit: bodyLimitBytes,
  requestTimeout: 15_000,
  keepAliveTimeout: 75_000,
  // Node looks every 30 s by itself: then a limit of 10 s is one of 40 s.
  http: { maxHeaderSize: 16_384, headersTimeout: 10_000, connectionsCheckingInterval: 5_000 },
  forceCloseConnections: 'idle',
  // What reaches us on a kept connection while we stop is answered like anything else.
  return503OnClosing: false,
  routerOptions: { maxParamLength: 200 },
  // Nothing is converted, dropped or filled in: what a client sends is what is checked.
  ajv: { customOptions: { coerceTypes: false, removeAdditional: false, useDefaults: false } },
  exposeHeadRoutes: false,
} as const

/** All routes, ready to listen or to be asked with `inject`. */
export async function buildServer(parts: ServerParts): Promise<FastifyInstance> {
  const crossOrigin = new CrossOrigin(parts.allowedOrigins)
  const broken = new BrokenConnections(crossOrigin)
  const newRequestId = requestIds()
  const quick: QuickRoutes = []
  const app = fastify({
    ...fixedOptions,
    genReqId: newRequestId,
    clientErrorHandler: (error, socket) => broken.refuse(error, socket),
    // Fastify runs no hooks for a URL that it cannot read.
    frameworkErrors: (error, request, reply) => {
      if (begin(request, reply)) answerError(error, request, reply)
    },
  })

  function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply) {
    const known = asRequestError(error, parts.asUnavailable)
    if (reply.hasHeader('connection')) sayWhetherItEnds(request, reply)
    if (isForOperators.has(known.code)) parts.log.trouble(request, known)
    return isClassic(request) ? sendClassic(reply, known) : sendProblem(request, reply, known, parts.clock)
  }

  /**
   * Fastify ends the connection where a body is wrong. Of one that has come whole nothing is left that could be taken for the next
   * request, which may be under way; of any other nobody wants the rest.
   */
  function sayWhetherItEnds({ raw }: FastifyRequest, reply: FastifyReply): void {
    if (raw.complete) reply.header('connection', reply.raw.shouldKeepAlive ? 'keep-alive' : 'close')
    else broken.closeAfter(raw.socket)
  }

  /** Whether the request is to be answered. RFC 9112, section 9.6: not behind an answer that ends the connection. */
  function begin(request: FastifyRequest, reply: FastifyReply): boolean {
    lines.follow(request, reply)
    if (broken.isClosing(request.raw.socket)) {
      reply.hijack()
      return false
    }
    broken.follow(request.raw.socket, reply.raw)
    reply.header('x-request-id', request.id)
    reply.header('cache-control', 'no-store')
    setEach(crossOrigin.headersFor(request.headers), (name, value) => reply.header(name, value))
    // Whoever asks while we stop is answered, and told to take its next request elsewhere. Behind an offer of another
    // protocol Node drops what came in the same piece, so that who waits for an answer to it would wait for ever.
    if (parts.health.isStopping() || request.raw.headers.upgrade !== undefined)
      reply.raw.shouldKeepAlive = false
    return true
  }

  const isClassic = (request: FastifyRequest) =>
    parts.classic !== null && !(request.routeOptions.url ?? request.raw.url ?? '').startsWith('/v1')

  // Answers are plain small objects: their schemas are for the documents, JSON.stringify writes them.
  app.setSerializerCompiler(() => JSON.stringify)
  app.server.on('connect', (_request, socket) => broken.refuseTunnel(socket))
  acceptJsonOnly(app)
  for (const schema of sharedSchemas) app.addSchema(schema)
  const addressOf = clientAddresses(parts.trustedProxies)
  tellClientAddress(app, addressOf)
  const lines = new RequestLines(app, parts.log, addressOf)
  app.addHook('onRequest', (request, reply, done) => {
    if (!begin(request, reply) || answerPreflight(crossOrigin, request, reply)) return
    // Nothing is asked of the body of a request for nothing.
    if (request.is404) done(new AppError('not_found'))
    else done(wantsWebSocket(request) ? new AppError('bad_request') : undefined)
  })
  app.setErrorHandler(answerError)
  await registerRoutes(app, parts, quick)
  const { isStopping } = parts.health
  answerQuickly(app, {
    sessions: parts.sessions,
    routes: quick,
    lines,
    broken,
    crossOrigin,
    newRequestId,
    isStopping,
  })
  limitConnections(app.server, parts.maxConnections)
  answerBeforeEnd(app.server)
  return app
}

/** Whether it was a browser's question before a request, which costs neither a limit nor SQL. */
function answerPreflight(crossOrigin: CrossOrigin, request: FastifyRequest, reply: FastifyReply): boolean {
  const headers = crossOrigin.preflightFor(request.raw)
  if (headers === null) return false
  setEach(headers, (name, value) => reply.header(name, value))
  reply.code(204).send()
  return true
}

async function registerRoutes(app: FastifyInstance, parts: ServerParts, quick: QuickRoutes): Promise<void> {
  app.setNotFoundHandler(async () => {
    throw new AppError('not_found')
  })
  const others = refuseOtherMethods(app, (url) => !url.startsWith('/docs'))
  await describeRoutes(app, parts.version)
  if (parts.classic) await app.register(classicRoutes(parts.classic, quick))
  await app.register(v1Routes(parts, quick))
  await app.register(healthRoutes(parts.health))
  await serveDescription(app)
  others.finish()
}

function v1Routes(parts: ServerParts, quick: QuickRoutes) {
  const tellLate = (request: FastifyRequest, error: unknown) => {
    const known = asRequestError(error, parts.asUnavailable)
    if (isForOperators.has(known.code)) parts.log.trouble(request, known)
  }
  return async (app: FastifyInstance): Promise<void> => {
    authenticate(app, parts.sessions)
    refuseUnexpectedBody(app)
    addTwins(app)
    await app.register(v1CodeRoutes(parts))
    await app.register(v1SessionRoutes(parts, quick))
    await app.register(v1AccountRoutes({ ...parts, tellLate }))
  }
}

/** There is none here. Other protocols may be offered and not taken (RFC 9110, section 7.8): some clients offer h2c each time. */
function wantsWebSocket({ raw }: FastifyRequest): boolean {
  return raw.headers.upgrade !== undefined && /websocket/i.test(raw.headers.upgrade)
}

/** Two digits of a request's id. */
const endings = Array.from({ length: 36 ** 2 }, (_, i) => i.toString(36).padStart(2, '0'))

/** The client's own X-Request-Id where it is harmless text, else one that no other request has. */
function requestIds() {
  const prefix = randomBytes(6).toString('base64url')
  let count = 0
  // Writing a number with 36 digits costs as much as a look into a map of tokens: it is done once for so many requests.
  let start = ''
  return ({ headers }: { headers: Record<string, string | string[] | undefined> }): string => {
    const given = headers['x-request-id']
    if (typeof given === 'string' && /^[\w.-]{1,64}$/.test(given)) return given
    const ending = count % endings.length
    if (ending === 0) start = `${prefix}-${(count / endings.length).toString(36)}`
    count++
    return start + endings[ending]
  }
}
