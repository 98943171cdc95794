// "Who am I", where the answer is known at once, in front of Fastify: routing, hooks and reply of a request cost three times as
// much as the check. Whatever is not plain goes on to Fastify, which gives the same answer; a test compares the bytes.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { whenKnown } from '../or-promise.ts'
import type { Sessions } from '../sessions/sessions.ts'
import type { BrokenConnections } from './broken-connections.ts'
import { jsonType, type KeptAnswers } from './kept-answers.ts'
import type { RequestLines } from './request-log.ts'

export interface QuickRoute {
  /** @throws where there is no plain token; Fastify's route says why */
  readonly tokenOf: (request: Pick<FastifyRequest, 'raw'>) => string
  readonly answers: KeptAnswers
  /** Whether the line in the log names the session. */
  readonly namesSession: boolean
}

/** By URL, as it stands in the request. */
export type QuickRoutes = Map<string, QuickRoute>

export interface QuickChecksParts {
  readonly sessions: Sessions
  readonly routes: QuickRoutes
  readonly lines: RequestLines
  readonly broken: BrokenConnections
  readonly newRequestId: (request: IncomingMessage) => string
  readonly isStopping: () => boolean
}

/** Puts them in front. Not behind a proxy: there the client's address is Fastify's business. */
export function answerQuickly(app: FastifyInstance, parts: QuickChecksParts): void {
  const { server } = app
  const [handle] = server.listeners('request')
  if (handle === undefined) throw new Error('Fastify listens to its server in another way now')
  server.removeAllListeners('request')
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    if (!tryToAnswer(request, response, parts)) handle.call(server, request, response)
  })
}

/** Whether it was answered, or will be. */
function tryToAnswer(request: IncomingMessage, response: ServerResponse, parts: QuickChecksParts): boolean {
  if (request.method !== 'GET') return false
  const route = parts.routes.get(request.url ?? '')
  if (!route || request.headers.upgrade !== undefined || hasBody(request) || parts.isStopping()) return false
  let token: string
  try {
    token = route.tokenOf({ raw: request })
  } catch {
    return false
  }
  const live = parts.sessions.recognize(token)
  if (!live) return false
  const requestId = parts.newRequestId(request)
  parts.broken.follow(request.socket, response)
  void whenKnown(live, (who) => {
    parts.lines.followQuick(request, response, requestId, route.namesSession ? who.session.id : undefined)
    const text = route.answers.textFor(who)
    response.writeHead(200, {
      'x-request-id': requestId,
      'cache-control': 'no-store',
      'content-type': jsonType,
      'content-length': Buffer.byteLength(text),
    })
    response.end(text)
  })
  return true
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined
}
