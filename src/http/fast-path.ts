// `GET /v1/session` and `GET /user` for tokens that this process has verified recently, answered before
// Fastify: Fastify's routing, hooks and reply cost three times as much as the check. A request that is not
// plain goes on to Fastify, which gives the same response; a test compares the bytes.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Verification } from '../sessions/verification.ts'
import type { VerifiedToken } from '../sessions/verified-tokens.ts'
import type { SignedIn } from './authenticate.ts'
import type { FastHead, FastRequest, RequestLifecycle } from './lifecycle.ts'
import type { RequestTarget } from './request-log.ts'

export interface FastRoute {
  /** The exact path of the request: without a pattern and without a query. */
  readonly path: string
  /** @throws where the request has no plain token; Fastify's route then answers with the reason */
  readonly tokenOf: (request: Pick<FastifyRequest, 'raw'>) => string
  /** The result may depend on the argument only: it is computed once for each token in memory. */
  readonly answer: (signedIn: SignedIn) => object
  /** Whether the log line names the session. */
  readonly namesSession: boolean
}

/**
 * There are few routes, so comparing paths is faster than a map, which would have to hash the path of each
 * request.
 */
export type FastRoutes = FastRoute[]

export interface FastPathParts {
  readonly verification: Verification
  readonly routes: FastRoutes
  readonly lifecycle: RequestLifecycle
}

/** Answers requests before Fastify. */
export interface FastAnswers {
  /**
   * Whether it has answered the request, will answer it, or will call `goOn`.
   * @param goOn gives the request to Fastify
   */
  tryToAnswer(request: IncomingMessage, response: ServerResponse, goOn: () => void): boolean
}

/** Puts the fast path in front of a server's routes. */
export function answerFirst(app: FastifyInstance, inOrder: readonly FastAnswers[]): void {
  const { server } = app
  const [handle] = server.listeners('request')
  if (handle === undefined) throw new Error('Fastify listens to its server in another way now')
  server.removeAllListeners('request')
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const goOn = () => handle.call(server, request, response)
    if (!inOrder.some((fast) => fast.tryToAnswer(request, response, goOn))) goOn()
  })
}

interface Route extends FastRoute {
  readonly target: RequestTarget
  readonly head: FastHead
}

interface Asked extends FastRequest {
  readonly route: Route
}

/** The fast path of routes that take a token and no body. */
export class FastChecks implements FastAnswers {
  readonly #verification: Verification
  readonly #lifecycle: RequestLifecycle
  readonly #routes: readonly Route[]

  constructor({ verification, lifecycle, routes }: FastPathParts) {
    this.#verification = verification
    this.#lifecycle = lifecycle
    this.#routes = routes.map((route) => ({
      ...route,
      target: { method: 'GET', path: route.path },
      head: lifecycle.newFastHead('application/json; charset=utf-8'),
    }))
  }

  tryToAnswer(request: IncomingMessage, response: ServerResponse): boolean {
    if (request.method !== 'GET') return false
    const route = this.#routes.find(({ path }) => path === request.url)
    if (!route || !this.#lifecycle.mayAnswerFast(request)) return false
    let token: string
    try {
      token = route.tokenOf({ raw: request })
    } catch {
      return false
    }
    const verified = this.#verification.verifyFromMemory(token)
    if (verified === null) return false
    const asked = { request, response, route, began: performance.now() }
    if (verified instanceof Promise) {
      this.#lifecycle.connections.follow(request.socket, response)
      void verified.then((one) => this.#answer(asked, one))
    } else this.#answer(asked, verified)
    return true
  }

  #answer(asked: Asked, verified: VerifiedToken): void {
    const { route } = asked
    this.#lifecycle.answerFast(asked, bytesOf(route, verified), route.namesSession ? verified.id : undefined)
  }
}

/** What makes the answer of a token; it depends on its argument only. */
export type AnswerOf = Pick<FastRoute, 'answer'>

/**
 * The JSON as bytes, one character per byte (`latin1`): as a normal string, JSON with Chinese text would take
 * twice the memory and would be encoded again for each response.
 */
export function bytesOf(route: AnswerOf, verified: VerifiedToken): string {
  if (verified.answeredBy !== route) {
    verified.answer = Buffer.from(JSON.stringify(route.answer(verified.live))).toString('latin1')
    verified.answeredBy = route
  }
  return verified.answer
}
