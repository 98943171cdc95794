// The HTTP server: which routes there are, what every answer carries, and how errors are answered.
import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { AppError, type ErrorCode } from '../errors.ts'
import { acceptJsonOnly } from './body.ts'
import { type ClassicParts, classicRoutes } from './classic.ts'
import { type HealthParts, healthRoutes } from './health.ts'
import { refuseOtherMethods } from './methods.ts'
import { describeRoutes, serveDescription } from './openapi.ts'
import { asRequestError } from './request-errors.ts'
import { RequestLines, type RequestLog } from './request-log.ts'
import { sendClassic, sendProblem, type WallClock } from './respond.ts'
import { authenticate, type V1Parts } from './v1.ts'
import { v1AccountRoutes } from './v1-account.ts'
import { v1CodeRoutes } from './v1-codes.ts'
import { sharedSchemas } from './v1-schemas.ts'
import { v1SessionRoutes } from './v1-sessions.ts'

export interface ServerParts extends V1Parts {
  readonly version: string
  readonly clock: WallClock
  /** Addresses and CIDR blocks whose `X-Forwarded-For` is believed. */
  readonly trustedProxies: readonly string[]
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

/** All routes, ready to listen or to be asked with `inject`. */
export async function buildServer(parts: ServerParts): Promise<FastifyInstance> {
  const app = fastify({
    logger: false,
    // Only an explicit list: the client is the right-most hop that is not on it.
    trustProxy: parts.trustedProxies.length > 0 && [...parts.trustedProxies],
    bodyLimit: bodyLimitBytes,
    genReqId: requestIds(),
    requestTimeout: 15_000,
    keepAliveTimeout: 75_000,
    http: { maxHeaderSize: 16_384, headersTimeout: 10_000 },
    forceCloseConnections: 'idle',
    // What reaches us on a kept connection while we stop is answered like anything else.
    return503OnClosing: false,
    routerOptions: { maxParamLength: 200 },
    // Nothing is converted, dropped or filled in: what a client sends is what is checked.
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false, useDefaults: false } },
    exposeHeadRoutes: false,
    clientErrorHandler: refuseConnection,
    // Fastify runs no hooks for a URL that it cannot read.
    frameworkErrors: (error, request, reply) => {
      begin(request, reply)
      answerError(error, request, reply)
    },
  })

  function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply) {
    const known = asRequestError(error, parts.asUnavailable)
    if (isForOperators.has(known.code)) parts.log.trouble(request, known)
    return isClassic(request) ? sendClassic(reply, known) : sendProblem(request, reply, known, parts.clock)
  }

  function begin(request: FastifyRequest, reply: FastifyReply): void {
    lines.follow(request, reply)
    reply.header('x-request-id', request.id)
    reply.header('cache-control', 'no-store')
    // Whoever asks while we stop is answered, and told to take its next request elsewhere.
    if (parts.health.isStopping()) reply.header('connection', 'close')
  }

  const isClassic = (request: FastifyRequest) =>
    parts.classic !== null && !(request.routeOptions.url ?? request.raw.url ?? '').startsWith('/v1')

  acceptJsonOnly(app)
  for (const schema of sharedSchemas) app.addSchema(schema)
  const lines = new RequestLines(app, parts.log)
  app.addHook('onRequest', (request, reply, done) => {
    begin(request, reply)
    // Nothing is asked of the body of a request for nothing.
    done(request.is404 ? new AppError('not_found') : undefined)
  })
  app.setErrorHandler(answerError)
  app.setNotFoundHandler(async () => {
    throw new AppError('not_found')
  })
  const others = refuseOtherMethods(app, (url) => !url.startsWith('/docs'))
  await describeRoutes(app, parts.version)
  if (parts.classic) await app.register(classicRoutes(parts.classic))
  await app.register(async (v1) => {
    authenticate(v1, parts.sessions)
    await v1.register(v1CodeRoutes(parts))
    await v1.register(v1SessionRoutes(parts))
    await v1.register(v1AccountRoutes(parts))
  })
  await app.register(healthRoutes(parts.health))
  await serveDescription(app)
  others.finish()
  return app
}

/** The client's own X-Request-Id where it is harmless text, else one that no other request has. */
function requestIds() {
  const prefix = randomBytes(6).toString('base64url')
  let count = 0
  return ({ headers }: { headers: Record<string, string | string[] | undefined> }): string => {
    const given = headers['x-request-id']
    if (typeof given === 'string' && /^[\w.-]{1,64}$/.test(given)) return given
    count++
    return `${prefix}-${count.toString(36)}`
  }
}

const connectionErrors: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
}

/** What Node's parser could not read as HTTP: there is no request to answer, only a connection to close. */
function refuseConnection(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const status = connectionErrors[error.code ?? ''] ?? '400 Bad Request'
  const body = JSON.stringify({
    type: 'urn:hufu:problem:bad_request',
    title: status.slice(4),
    status: Number(status.slice(0, 3)),
    code: 'bad_request',
  })
  socket.end(
    `HTTP/1.1 ${status}\r\ncontent-type: application/problem+json; charset=utf-8\r\ncache-control: no-store\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  )
}
