// Client input, typed by the schema that has validated it.
import type { FastifyRequest, FastifySchema } from 'fastify'
import type { Static, TSchema } from 'typebox'

/**
 * The body of a request whose route checks it by this schema, given directly or by its `$id`.
 * @throws Error where the route has another schema, which is a bug
 */
export function bodyOf<Schema extends TSchema>(request: FastifyRequest, schema: Schema): Static<Schema> {
  return checked(request, 'body', schema)
}

/** The query of a request, as `bodyOf` returns the body. */
export function queryOf<Schema extends TSchema>(request: FastifyRequest, schema: Schema): Static<Schema> {
  return checked(request, 'querystring', schema)
}

/** The path parameters of a request, as `bodyOf` returns the body. */
export function paramsOf<Schema extends TSchema>(request: FastifyRequest, schema: Schema): Static<Schema> {
  return checked(request, 'params', schema)
}

/** The headers of a request, as `bodyOf` returns the body. */
export function headersOf<Schema extends TSchema>(request: FastifyRequest, schema: Schema): Static<Schema> {
  return checked(request, 'headers', schema)
}

/** The part of a request that each part of a route's schema checks. */
const sources = { body: 'body', querystring: 'query', params: 'params', headers: 'headers' } as const

function checked<Schema extends TSchema>(
  request: FastifyRequest,
  part: keyof typeof sources & keyof FastifySchema,
  schema: Schema,
): Static<Schema> {
  const byRoute: unknown = request.routeOptions.schema?.[part]
  const isSame = byRoute === schema || ('$id' in schema && refersTo(byRoute, schema.$id))
  if (!isSame) throw new Error(`${request.routeOptions.url} checks its ${part} by another schema`)
  // The route validates with this same schema, so the value has its shape.
  return request[sources[part]] as Static<Schema>
}

function refersTo(schema: unknown, id: unknown): boolean {
  return typeof schema === 'object' && schema !== null && '$ref' in schema && schema.$ref === id
}
