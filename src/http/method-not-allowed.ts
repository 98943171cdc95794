// 405 with Allow for every known path, also where Fastify would answer 404.
import { METHODS } from 'node:http'
import type { FastifyInstance, FastifyRequest, HTTPMethods } from 'fastify'
import { AppError } from '../errors.ts'

// CONNECT never becomes a request; Node's list has every other method that its parser accepts.
export const everyMethod = METHODS.filter((method) => method !== 'CONNECT') as HTTPMethods[]

/** Lets a server route every method that Node's parser knows. Call once, before any route is registered. */
export function acceptEveryMethod(app: FastifyInstance): void {
  for (const method of everyMethod) if (!app.supportedMethods.includes(method)) app.addHttpMethod(method)
}

/** Call it before the routes of `app` are registered, and the result's `register` when all of them are. */
export function refuseOtherMethods(app: FastifyInstance): { register(): void } {
  const known = new Map<string, Set<HTTPMethods>>()
  app.addHook('onRoute', ({ url, method }) => {
    const of = known.get(url) ?? new Set<HTTPMethods>()
    for (const one of [method].flat()) of.add(one as HTTPMethods)
    known.set(url, of)
  })
  return {
    register() {
      for (const [url, allowed] of [...known]) {
        if (allowed.size === everyMethod.length) continue
        const allow = [...allowed].sort()
        app.route({
          url,
          method: everyMethod.filter((method) => !allowed.has(method)),
          schema: { hide: true },
          config: { caller: 'none' },
          // This runs before the body is read: a method that a path does not have takes no body either.
          onRequest: async ({ raw }: FastifyRequest) => {
            // /v1/sessions/ matches /v1/sessions/:id with an empty id, so it is an unknown path.
            if (!url.endsWith('/') && /[^/]\/(\?|$)/.test(raw.url ?? '')) throw new AppError('not_found')
            throw new AppError('method_not_allowed', { allow })
          },
          handler: async () => {},
        })
      }
    },
  }
}
