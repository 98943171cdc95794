// A POST route beside each v1 route whose method is not GET or POST. Mini-programs and some gateways pass on
// only these two methods, and bodies of DELETE get lost on the way. A header that overrides the method would
// be shorter, but then proxies, logs and limits in front of this server would see another method than the one
// that runs.
import type { FastifyInstance, HTTPMethods, RouteOptions } from 'fastify'

declare module 'fastify' {
  interface FastifyContextConfig {
    /**
     * The path of the POST route that does the same, where it differs from the path that the method implies.
     */
    twin?: string
  }
}

const plainMethods = new Set<HTTPMethods>(['GET', 'HEAD', 'POST'])
/** What a method adds to the path. */
const endings: Partial<Record<HTTPMethods, string>> = { PUT: '', PATCH: '/update', DELETE: '/end' }

/**
 * Registers, for each route of `app` with a method other than GET and POST, a POST route with the same
 * handler, schema and hooks. Call it before the routes are registered.
 * @throws Error when a route is registered with a method that implies no path
 */
export function addTwins(app: FastifyInstance): void {
  app.addHook('onRoute', function (route) {
    const methods = [route.method].flat()
    if (methods.some((method) => !plainMethods.has(method))) this.route(twinOf(route, methods))
  })
}

function twinOf({ url, schema = {}, config = {}, handler }: RouteOptions, methods: HTTPMethods[]) {
  const { twin, ...rest } = config
  const ending = endings[methods[0] ?? 'GET']
  if (methods.length !== 1 || ending === undefined) throw new Error(`${methods} ${url} has no POST route`)
  const original = `${methods[0]} ${url.replaceAll(/:(\w+)/g, '{$1}')}`
  const same = `The same as \`${original}\`, for platforms that send GET and POST only.`
  const description = schema.description === undefined ? same : `${schema.description} ${same}`
  const operationId = `${schema.operationId}ByPost`
  const twinSchema = { ...schema, description, operationId }
  return { method: 'POST', url: twin ?? url + ending, schema: twinSchema, config: rest, handler } as const
}
