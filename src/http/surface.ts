// A surface: routes with the same kind of caller, error format and OpenAPI document. server.ts lists them.
import type { FastifyInstance } from 'fastify'
import type { KeyVerification } from '../service-keys/key-verification.ts'
import type { Verification } from '../sessions/verification.ts'
import { authenticate, type CallerKind, refuseUnexpectedBody } from './authenticate.ts'
import type { ErrorFormat, RequestLifecycle } from './lifecycle.ts'
import { refuseOtherMethods } from './method-not-allowed.ts'
import { type DescribedSurfaces, describeRoutes, type SurfaceDocument } from './openapi.ts'
import { authenticateServices } from './service-caller.ts'

export interface Surface {
  readonly name: string
  /** The path of each route begins with it. */
  readonly prefix: string
  /** What a route requires of its caller, unless its own `config.caller` says otherwise. */
  readonly caller: CallerKind
  /**
   * The format of all errors of its paths: those of its handlers, of a body that is not JSON, and of a method
   * that a path does not have.
   */
  readonly errors: ErrorFormat
  /** The document's parts besides the routes; null: the surface has no document. */
  readonly document: SurfaceDocument | null
  /** Registers the routes. */
  readonly routes: (app: FastifyInstance) => void | Promise<void>
}

export interface SurfaceParts {
  readonly verification: Verification
  readonly keyVerification: Pick<KeyVerification, 'verify'>
  readonly lifecycle: RequestLifecycle
  /** Where the documents of all surfaces are collected. */
  readonly described: DescribedSurfaces
}

/**
 * Registers the routes of a surface, with a 405 for every other method of their paths.
 * @throws Error where a path does not begin with the prefix
 */
export async function registerSurface(
  root: FastifyInstance,
  surface: Surface,
  { verification, keyVerification, lifecycle, described }: SurfaceParts,
): Promise<void> {
  await root.register(async (app) => {
    app.addHook('onRoute', ({ url }) => {
      if (!url.startsWith(surface.prefix))
        throw new Error(`${url} is a route of ${surface.name} and must begin with ${surface.prefix}`)
    })
    app.setErrorHandler(lifecycle.errorHandler(surface.errors))
    const otherMethods = refuseOtherMethods(app)
    if (surface.document) describeRoutes(app, surface.name, surface.document, described)
    authenticate(app, surface.caller, verification)
    authenticateServices(app, surface.caller, keyVerification)
    refuseUnexpectedBody(app)
    // The routes get a scope of their own: hooks of the surface do not apply to the 405 routes.
    await app.register(async (inner) => surface.routes(inner))
    otherMethods.register()
  })
}
