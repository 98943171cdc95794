// The HTTP server: its surfaces, and what Fastify is told.
import fastify, { type FastifyInstance } from 'fastify'
import { type ClassicParts, classicSurface } from './classic/classic.ts'
import { clientAddresses } from './client-address.ts'
import { answerBeforeEnd } from './connection-ends.ts'
import { limitConnections } from './connection-limit.ts'
import { docsSurface } from './docs/docs.ts'
import { answerFirst, type FastRoutes } from './fast-path.ts'
import { type HealthParts, healthSurface } from './health/health.ts'
import { acceptJsonOnly } from './json-body.ts'
import { type LifecycleParts, RequestLifecycle } from './lifecycle.ts'
import { acceptEveryMethod } from './method-not-allowed.ts'
import { DescribedSurfaces } from './openapi.ts'
import { registerSurface, type Surface } from './surface.ts'
import { type V1Parts, v1Surface } from './v1/v1.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The OpenAPI documents of the surfaces. */
    readonly described: DescribedSurfaces
  }
}

export interface ServerParts extends V1Parts, Omit<LifecycleParts, 'addressOf' | 'isStopping'> {
  /** Connections at once. */
  readonly maxConnections: number
  readonly version: string
  /** Addresses and CIDR blocks whose `X-Forwarded-For` is believed. */
  readonly trustedProxies: readonly string[]
  /** null: no classic API. */
  readonly classic: ClassicParts | null
  readonly health: HealthParts
}

const fixedOptions = {
  logger: false,
  bodyLimit: 16 * 1024,
  requestTimeout: 15_000,
  keepAliveTimeout: 75_000,
  // Node looks every 30 s by itself: then a limit of 10 s is one of 40 s.
  http: { maxHeaderSize: 16_384, headersTimeout: 10_000, connectionsCheckingInterval: 5_000 },
  forceCloseConnections: 'idle',
  // A request that arrives on a kept connection while the server stops is answered like any other.
  return503OnClosing: false,
  routerOptions: { maxParamLength: 200 },
  // Nothing is converted, dropped or filled in: what a client sends is what is checked.
  ajv: { customOptions: { coerceTypes: false, removeAdditional: false, useDefaults: false } },
  exposeHeadRoutes: false,
} as const

/** All routes, ready to listen or to be asked with `inject`. */
export async function buildServer(parts: ServerParts): Promise<FastifyInstance> {
  const addressOf = clientAddresses(parts.trustedProxies)
  const lifecycle = new RequestLifecycle({ ...parts, addressOf, isStopping: parts.health.isStopping })
  const app = fastify({
    ...fixedOptions,
    genReqId: lifecycle.newRequestId,
    clientErrorHandler: (error, socket) => lifecycle.connections.refuse(error, socket),
    frameworkErrors: (error, request, reply) => lifecycle.answerUnreadable(error, request, reply),
  })
  // Answers are plain small objects: their schemas are for the documents, JSON.stringify writes them.
  app.setSerializerCompiler(() => JSON.stringify)
  acceptEveryMethod(app)
  acceptJsonOnly(app)
  lifecycle.attachTo(app)
  const { sessions } = parts
  const described = new DescribedSurfaces(parts.version)
  app.decorate('described', described)
  const routes: FastRoutes = []
  const surfaces: Surface[] = [
    ...(parts.classic ? [classicSurface(parts.classic, routes)] : []),
    v1Surface(parts, routes, lifecycle),
    healthSurface(parts.health),
    docsSurface(described),
  ]
  for (const surface of surfaces) await registerSurface(app, surface, { sessions, lifecycle, described })
  answerFirst(app, { sessions, routes, lifecycle })
  limitConnections(app.server, parts.maxConnections)
  answerBeforeEnd(app.server)
  return app
}
