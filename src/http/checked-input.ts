// What a client sent, in the types of the schemas that have let it through.
import type { FastifyRequest, FastifySchema } from 'fastify'
import type { Static, TSchema } from 'typebox'

/**
 * The body of a request whose route checks it by this schema, given itself or by its `$id`.
 * @throws Error where the route has another schema, a fault of ours
 */
export function bodyOf<Schema extends TSchema>(request: FastifyRequest, schema: Schema): Static<Schema> {
  return checked(request, 'body', schema)
}

/** The same of the query. */
export function queryOf<Schema extends TSchema>(request: FastifyRequest, schema: Schema): Static<Schema> {
  return checked(request, 'querystring', schema)
}

/** The same of the parameters in the path. */
export function paramsOf<Schema extends TSchema>(request: FastifyRequest, schema: Schema): Static<Schema> {
  return checked(request, 'params', schema)
}

/** The same of the headers. */
export function headersOf<Schema extends TSchema>(request: FastifyRequest, schema: Schema): Static<Schema> {
  return checked(request, 'headers', schema)
}

/** The part of a request that each part of a route's schema is for. */
const sources = { body: 'body', querystring: 'query', params: 'params', headers: 'headers' } as const

function checked<Schema extends TSchema>(
  request: FastifyRequest,
  part: keyof typeof sources & keyof FastifySchema,
  schema: Schema,
): Static<Schema> {
  const byRoute: unknown = request.routeOptions.schema?.[part]
  const isSame = byRoute === schema || ('$id' in schema && refersTo(byRoute, schema.$id))
  if (!isSame) throw new Error(`${request.routeOptions.url} checks its ${part} by another schema`)
  // The route's schema, which is this one, has let only this shape through.
  return request[sources[part]] as Static<Schema>
}

function refersTo(schema: unknown, id: unknown): boolean {
  return typeof schema === 'object' && schema !== null && '$ref' in schema && schema.$ref === id
}
