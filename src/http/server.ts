// The HTTP server: its surfaces, and the options that Fastify gets.
import fastify, { type FastifyInstance } from 'fastify'
import type { KeyVerification } from '../service-keys/key-verification.ts'
import { bodyMax } from './body-limit.ts'
import { type ClassicParts, classicSurface } from './classic/classic.ts'
import { clientAddresses, trustIn } from './client-address.ts'
import { answerBeforeEnd } from './connection-ends.ts'
import { requestMs } from './connection-guard.ts'
import { limitConnections } from './connection-limit.ts'
import { docsSurface } from './docs/docs.ts'
import { answerFirst, FastChecks, type FastRoutes } from './fast-path.ts'
import { ForeignProtocols } from './foreign-protocols.ts'
import { type HealthParts, healthSurface } from './health/health.ts'
import { acceptJsonOnly } from './json-body.ts'
import { type LifecycleParts, RequestLifecycle } from './lifecycle.ts'
import { acceptEveryMethod } from './method-not-allowed.ts'
import { DescribedSurfaces } from './openapi.ts'
import { FastIntrospection } from './service/fast-introspection.ts'
import { withoutOriginalPath } from './service/forward-auth.ts'
import { type ServiceParts, serviceSurface } from './service/service.ts'
import { registerSurface, type Surface } from './surface.ts'
import { type V1Parts, v1Surface } from './v1/v1.ts'
import { LazyValidators } from './validators.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The OpenAPI documents of the surfaces. */
    readonly described: DescribedSurfaces
  }
}

export interface ServerParts
  extends V1Parts,
    ServiceParts,
    Omit<LifecycleParts, 'addressOf' | 'isTrusted' | 'isStopping'> {
  readonly keyVerification: KeyVerification
  /** Connections at once. */
  readonly maxConnections: number
  readonly version: string
  /** Addresses and CIDR blocks whose `X-Forwarded-For` the server trusts. */
  readonly trustedProxies: readonly string[]
  /** null: there is no classic API. */
  readonly classic: ClassicParts | null
  readonly health: HealthParts
}

const fixedOptions = {
  logger: false,
  bodyLimit: bodyMax,
  requestTimeout: requestMs,
  keepAliveTimeout: 75_000,
  http: {
    maxHeaderSize: 16_384,
    headersTimeout: 10_000,
    // By default, Node checks the timeouts only every 30 s: a limit of 10 s would then take up to 40 s.
    connectionsCheckingInterval: 5_000,
    // request-head.ts checks it.
    requireHostHeader: false,
  },
  forceCloseConnections: 'idle',
  // A request that arrives on a kept-alive connection while the server stops is answered like any other.
  return503OnClosing: false,
  routerOptions: { maxParamLength: 200 },
  // The validator converts, drops and fills in nothing: it checks exactly what the client sent. `verbose`
  // puts the schema into an error: request-errors.ts finds the field that a misspelt one was meant to be.
  ajv: { customOptions: { coerceTypes: false, removeAdditional: false, useDefaults: false, verbose: true } },
  exposeHeadRoutes: false,
} as const

/** All routes, ready to listen or to be called with `inject`. */
export async function buildServer(parts: ServerParts): Promise<FastifyInstance> {
  const isTrusted = trustIn(parts.trustedProxies)
  const addressOf = clientAddresses(isTrusted)
  const { isStopping } = parts.health
  const lifecycle = new RequestLifecycle({ ...parts, addressOf, isTrusted, isStopping })
  const foreignProtocols = new ForeignProtocols(parts.log)
  const validators = new LazyValidators()
  const app = fastify({
    ...fixedOptions,
    schemaController: { compilersFactory: validators.compilersFactory() },
    genReqId: lifecycle.newRequestId,
    rewriteUrl: ({ url = '/' }) => withoutOriginalPath(url),
    clientErrorHandler: (error, socket) => {
      foreignProtocols.logFrom(error, socket)
      lifecycle.connections.refuse(error, socket)
    },
    frameworkErrors: (error, request, reply) => lifecycle.answerUnreadable(error, request, reply),
  })
  acceptEveryMethod(app)
  acceptJsonOnly(app)
  lifecycle.attachTo(app)
  validators.attachTo(app)
  const { verification, keyVerification } = parts
  const described = new DescribedSurfaces(parts.version)
  app.decorate('described', described)
  const routes: FastRoutes = []
  const surfaces: Surface[] = [
    ...(parts.classic ? [classicSurface(parts.classic, routes)] : []),
    v1Surface(parts, routes, lifecycle),
    serviceSurface(parts),
    healthSurface(parts.health),
    docsSurface(described),
  ]
  const shared = { verification, keyVerification, lifecycle, described }
  for (const surface of surfaces) await registerSurface(app, surface, shared)
  answerFirst(app, [
    new FastChecks({ verification, routes, lifecycle }),
    new FastIntrospection({ ...parts, lifecycle, addressOf }),
  ])
  limitConnections(app.server, parts.maxConnections)
  answerBeforeEnd(app.server)
  return app
}
