// 405 with Allow for every known path, also where Fastify would say 404.
import { METHODS } from 'node:http'
import type { FastifyInstance, HTTPMethods } from 'fastify'
import { AppError } from '../errors.ts'

// CONNECT never becomes a request; Node's own list has every other method that its parser lets through.
const methods = METHODS.filter((method) => method !== 'CONNECT') as HTTPMethods[]

/** Call before the routes of `app` are registered; the answers are added when all of them are known. */
export function refuseOtherMethods(
  app: FastifyInstance,
  isOurs: (url: string) => boolean,
): { finish(): void } {
  for (const method of methods) if (!app.supportedMethods.includes(method)) app.addHttpMethod(method)
  const known = new Map<string, Set<HTTPMethods>>()
  app.addHook('onRoute', ({ url, method }) => {
    if (!isOurs(url)) return
    const of = known.get(url) ?? new Set<HTTPMethods>()
    for (const one of [method].flat()) of.add(one as HTTPMethods)
    known.set(url, of)
  })
  return {
    finish() {
      for (const [url, allowed] of [...known]) {
        const allow = [...allowed].sort()
        app.route({
          url,
          method: methods.filter((method) => !allowed.has(method)),
          schema: { hide: true },
          config: { open: true },
          // Before the body is looked at: a method that is not there has no body either.
          onRequest: async () => {
            throw new AppError('method_not_allowed', { allow })
          },
          handler: async () => {},
        })
      }
    },
  }
}
