// "Who am I", where the answer is known at once, in front of Fastify: routing, hooks and reply of a request cost three times as
// much as the check. Whatever is not plain goes on to Fastify, which gives the same answer; a test compares the bytes.
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { ProvedToken } from '../sessions/proved-tokens.ts'
import type { Sessions } from '../sessions/sessions.ts'
import type { SignedIn } from './authenticate.ts'
import type { BrokenConnections } from './broken-connections.ts'
import type { CrossOrigin } from './cross-origin.ts'
import { type RequestLines, whatPart } from './request-log.ts'

export interface QuickRoute {
  /** As it stands in the request: no pattern, no query. */
  readonly path: string
  /** @throws where there is no plain token; Fastify's route says why */
  readonly tokenOf: (request: Pick<FastifyRequest, 'raw'>) => string
  /** It may depend on nothing but `who`: it is made once for each token that is remembered. */
  readonly answer: (who: SignedIn) => object
  /** Whether the line in the log names the session. */
  readonly namesSession: boolean
}

/** Few: comparing is faster than a map, which would have to hash each request's address. */
export type QuickRoutes = QuickRoute[]

export interface QuickChecksParts {
  readonly sessions: Sessions
  readonly routes: QuickRoutes
  readonly lines: RequestLines
  readonly broken: BrokenConnections
  readonly crossOrigin: CrossOrigin
  readonly newRequestId: (request: IncomingMessage) => string
  readonly isStopping: () => boolean
}

/** Puts them in front. */
export function answerQuickly(app: FastifyInstance, parts: QuickChecksParts): void {
  const { server } = app
  const [handle] = server.listeners('request')
  if (handle === undefined) throw new Error('Fastify listens to its server in another way now')
  const checks = new QuickChecks(parts)
  server.removeAllListeners('request')
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    if (!checks.tryToAnswer(request, response)) handle.call(server, request, response)
  })
}

interface Route extends QuickRoute {
  /** As the log tells what was asked for. */
  readonly what: string
}

class QuickChecks {
  readonly #parts: QuickChecksParts
  readonly #routes: readonly Route[]

  constructor(parts: QuickChecksParts) {
    this.#parts = parts
    this.#routes = parts.routes.map((route) => ({ ...route, what: whatPart('GET', route.path) }))
  }

  /** Whether it was answered, or will be. */
  tryToAnswer(request: IncomingMessage, response: ServerResponse): boolean {
    if (request.method !== 'GET') return false
    const route = this.#routes.find(({ path }) => path === request.url)
    if (!route || !isPlain(request.headers) || this.#parts.isStopping()) return false
    let token: string
    try {
      token = route.tokenOf({ raw: request })
    } catch {
      return false
    }
    const proved = this.#parts.sessions.recognize(token)
    if (proved === null) return false
    const asked = { request, response, route, began: performance.now() }
    if (proved instanceof Promise) {
      this.#parts.broken.follow(request.socket, response)
      void proved.then((one) => this.#answer(asked, one))
    } else this.#answer(asked, proved)
    return true
  }

  #answer({ request, response, route, began }: Asked, proved: ProvedToken): void {
    const requestId = this.#parts.newRequestId(request)
    const bytes = bytesOf(route, proved)
    // A list of names and values costs Node less than an object.
    const headers = [
      'x-request-id',
      requestId,
      'cache-control',
      'no-store',
      'content-type',
      'application/json; charset=utf-8',
      'content-length',
      bytes.length,
    ]
    const forOrigin = this.#parts.crossOrigin.headersFor(request.headers)
    if (forOrigin.length > 0) headers.push(...forOrigin)
    response.writeHead(200, headers)
    response.end(bytes, 'latin1')
    const isOver = isTaken(response)
    if (!isOver) this.#parts.broken.follow(request.socket, response)
    const session = route.namesSession ? proved.id : undefined
    this.#parts.lines.followQuick(request, response, { began, isOver, requestId, what: route.what, session })
  }
}

/** Whether the system has taken all of an answer that was just given. Node itself says so a moment later, to who listens. */
function isTaken({ socket, writableLength }: ServerResponse): boolean {
  // Who pipelines has an answer before this one: then there is no socket yet.
  return socket !== null && writableLength === 0 && !socket.destroyed && socket.errored === null
}

interface Asked {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly route: Route
  readonly began: number
}

/**
 * The bytes of the JSON, one character for each of them (`latin1`): as text with Chinese in it they would be twice as long in
 * memory, and encoded anew for each answer.
 */
function bytesOf(route: Route, proved: ProvedToken): string {
  if (proved.answeredBy !== route) {
    proved.answer = Buffer.from(JSON.stringify(route.answer(proved.live))).toString('latin1')
    proved.answeredBy = route
  }
  return proved.answer
}

/** Nothing comes behind the headers. */
function isPlain(headers: IncomingHttpHeaders): boolean {
  return (
    headers.upgrade === undefined &&
    headers['content-length'] === undefined &&
    headers['transfer-encoding'] === undefined
  )
}
