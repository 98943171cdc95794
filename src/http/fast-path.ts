// "Who am I", where this process remembers the answer, in front of Fastify: routing, hooks and reply of a request cost three times as
// much as the check. A request that is not plain goes on to Fastify, which gives the same answer; a test compares the bytes.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Sessions } from '../sessions/sessions.ts'
import type { VerifiedToken } from '../sessions/verified-tokens.ts'
import type { SignedIn } from './authenticate.ts'
import type { FastHead, FastRequest, RequestLifecycle } from './lifecycle.ts'
import { whatPart } from './request-log.ts'

export interface FastRoute {
  /** As it stands in the request: no pattern, no query. */
  readonly path: string
  /** @throws where there is no plain token; Fastify's route says why */
  readonly tokenOf: (request: Pick<FastifyRequest, 'raw'>) => string
  /** It may depend on nothing but its argument: it is made once for each token that is remembered. */
  readonly answer: (signedIn: SignedIn) => object
  /** Whether the line in the log names the session. */
  readonly namesSession: boolean
}

/** Few: comparing is faster than a map, which would have to hash each request's address. */
export type FastRoutes = FastRoute[]

export interface FastPathParts {
  readonly sessions: Sessions
  readonly routes: FastRoutes
  readonly lifecycle: RequestLifecycle
}

/** Puts the fast path in front of a server's routes. */
export function answerFirst(app: FastifyInstance, parts: FastPathParts): void {
  const { server } = app
  const [handle] = server.listeners('request')
  if (handle === undefined) throw new Error('Fastify listens to its server in another way now')
  const fastPath = new FastPath(parts)
  server.removeAllListeners('request')
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    if (!fastPath.tryToAnswer(request, response)) handle.call(server, request, response)
  })
}

interface Route extends FastRoute {
  readonly what: string
  readonly head: FastHead
}

interface Asked extends FastRequest {
  readonly route: Route
}

class FastPath {
  readonly #sessions: Sessions
  readonly #lifecycle: RequestLifecycle
  readonly #routes: readonly Route[]

  constructor({ sessions, lifecycle, routes }: FastPathParts) {
    this.#sessions = sessions
    this.#lifecycle = lifecycle
    this.#routes = routes.map((route) => ({
      ...route,
      what: whatPart('GET', route.path),
      head: lifecycle.newFastHead('application/json; charset=utf-8'),
    }))
  }

  /** Whether it was answered, or will be. */
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
    const proved = this.#sessions.verifyFromMemory(token)
    if (proved === null) return false
    const asked = { request, response, route, began: performance.now() }
    if (proved instanceof Promise) {
      this.#lifecycle.connections.follow(request.socket, response)
      void proved.then((one) => this.#answer(asked, one))
    } else this.#answer(asked, proved)
    return true
  }

  #answer(asked: Asked, proved: VerifiedToken): void {
    const { route } = asked
    this.#lifecycle.answerFast(asked, bytesOf(route, proved), route.namesSession ? proved.id : undefined)
  }
}

/**
 * The bytes of the JSON, one character for each of them (`latin1`): as text with Chinese in it they would be twice as long in
 * memory, and encoded anew for each answer.
 */
function bytesOf(route: Route, proved: VerifiedToken): string {
  if (proved.answeredBy !== route) {
    proved.answer = Buffer.from(JSON.stringify(route.answer(proved.live))).toString('latin1')
    proved.answeredBy = route
  }
  return proved.answer
}
