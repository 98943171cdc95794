// OpenAPI 3.1 documents, one for each surface, from the schemas of its routes.
import fastify, { type FastifyInstance, type RouteOptions } from 'fastify'
import type { TSchema } from 'typebox'

/** The part of an OpenAPI 3.1 operation object that this file uses. */
interface Operation {
  readonly operationId?: string
  readonly requestBody?: { readonly content: MediaTypes }
  readonly responses?: Readonly<Record<string, { readonly content?: MediaTypes }>>
}
type MediaTypes = Record<string, { examples?: unknown }>

/**
 * The part of an OpenAPI 3.1 document that this file uses. Its paths have nothing but operations, by method.
 */
export interface Document {
  readonly openapi: string
  readonly info: object
  readonly tags?: readonly object[]
  readonly paths?: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components?: Readonly<
    Partial<Record<'schemas' | 'securitySchemes' | 'examples', Readonly<Record<string, object>>>>
  >
}

type SecurityScheme =
  | { readonly type: 'apiKey'; readonly in: 'header'; readonly name: string; readonly description: string }
  | { readonly type: 'http'; readonly scheme: 'bearer' | 'basic'; readonly description: string }

/** Whole bodies and responses that a server could have received and sent, by the name that /docs shows. */
type Examples = Readonly<Record<string, unknown>>

/**
 * The examples that /docs shows for a route. A test checks each example against the schema, and that every
 * route has examples.
 */
interface RouteExamples {
  readonly body?: Examples
  /** By status. A problem needs none: `components.examples` has one for each code. */
  readonly answers?: Readonly<Record<number, Examples>>
}

declare module 'fastify' {
  interface FastifyContextConfig {
    examples?: RouteExamples
  }
}

/** The parts of a surface's document besides its routes. */
export interface SurfaceDocument {
  readonly tags: readonly { readonly name: string; readonly description: string }[]
  readonly securitySchemes?: Readonly<Record<string, SecurityScheme>>
  /** Examples of problems, for routes to refer to. */
  readonly examples?: Readonly<Record<string, { value: unknown }>>
  /** Schemas with an `$id`, for routes to refer to. */
  readonly schemas?: readonly TSchema[]
}

/** The documents of a server's surfaces, by name. Each is generated when it is requested. */
export class DescribedSurfaces {
  readonly #version: string
  readonly #documents = new Map<string, () => Promise<Document>>()

  constructor(version: string) {
    this.#version = version
  }

  get info() {
    return {
      title: 'Hufu 虎符',
      version: this.#version,
      description:
        'Accounts and sessions for mobile apps. Sign in, keep the token, send it with every request.',
      license: { name: 'MIT', identifier: 'MIT' },
    }
  }

  add(surface: string, document: () => Promise<Document>): void {
    this.#documents.set(surface, document)
  }

  /** The document of a surface. @throws Error where it has none */
  async of(surface: string): Promise<Document> {
    const document = this.#documents.get(surface)
    if (!document) throw new Error(`the surface ${surface} has no document`)
    return await document()
  }

  /**
   * One document of several surfaces, side by side.
   * @throws Error where two of them have the same path, or use one name for different things
   */
  async joined(surfaces: readonly string[]): Promise<Document> {
    const known = surfaces.filter((name) => this.#documents.has(name))
    const documents = await Promise.all(known.map((name) => this.of(name)))
    const [first] = documents
    if (!first) throw new Error('none of these surfaces has a document')
    const components = documents.map((document) => document.components ?? {})
    return {
      ...first,
      tags: documents.flatMap(({ tags = [] }) => tags),
      paths: disjoint(documents.map(({ paths = {} }) => paths)),
      components: {
        schemas: disjoint(components.map(({ schemas = {} }) => schemas)),
        securitySchemes: disjoint(components.map(({ securitySchemes = {} }) => securitySchemes)),
        examples: disjoint(components.map(({ examples = {} }) => examples)),
      },
    }
  }
}

function disjoint<T>(records: readonly Readonly<Record<string, T>>[]): Record<string, T> {
  const all = records.flatMap((record) => Object.entries(record))
  const names = new Set(all.map(([name]) => name))
  if (names.size < all.length) throw new Error('two documents have a name in common')
  return Object.fromEntries(all)
}

/** Collects the routes of a surface for its document. Call it before the routes are registered. */
export function describeRoutes(
  app: FastifyInstance,
  surface: string,
  document: SurfaceDocument,
  described: DescribedSurfaces,
): void {
  const routes: RouteOptions[] = []
  app.addHook('onRoute', (route: RouteOptions) => {
    if (!route.schema?.hide) routes.push(route)
  })
  for (const schema of document.schemas ?? []) app.addSchema(schema)
  described.add(surface, () => documentOf(routes, document, described.info))
}

/**
 * Generates a document from routes. It registers them in a separate server, which does not listen: the
 * plug-in that describes them takes a tenth of a start to load, and most servers are never asked for a
 * document.
 */
async function documentOf(
  routes: readonly RouteOptions[],
  document: SurfaceDocument,
  info: DescribedSurfaces['info'],
): Promise<Document> {
  const examples = new Map<string, RouteExamples>()
  for (const { schema, config } of routes)
    if (config?.examples && schema?.operationId) examples.set(schema.operationId, config.examples)
  const { default: swagger } = await import('@fastify/swagger')
  const app = fastify({ exposeHeadRoutes: false })
  for (const schema of document.schemas ?? []) app.addSchema(schema)
  // No request arrives here.
  app.setValidatorCompiler(() => () => true)
  app.setSerializerCompiler(() => JSON.stringify)
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info,
      servers: [{ url: '/' }],
      tags: [...document.tags],
      components: {
        securitySchemes: { ...document.securitySchemes },
        examples: { ...document.examples },
      },
    },
    transformObject: (made) => {
      if (!('openapiObject' in made)) throw new Error('the routes are described in OpenAPI 3 only')
      for (const item of Object.values((made.openapiObject as Document).paths ?? {}))
        for (const operation of Object.values(item))
          addExamples(operation, examples.get(operation.operationId ?? ''))
      return made.openapiObject
    },
    refResolver: {
      // Every shared schema has a name of its own.
      buildLocalReference: (json, _base, _fragment, index) => String(json.$id ?? `schema-${index}`),
    },
  })
  for (const { method, url, schema } of routes)
    app.route({ method, url, ...(schema && { schema }), handler: async () => {} })
  await app.ready()
  // The plug-in's type also covers Swagger 2 and OpenAPI 3.0; the option above selects 3.1.
  const result = app.swagger() as Document
  await app.close()
  return result
}

/** Writes the examples of a route into its description. */
function addExamples(operation: Operation, examples: RouteExamples | undefined): void {
  if (examples?.body) show(operation.requestBody?.content, examples.body)
  for (const [status, answers] of Object.entries(examples?.answers ?? {}))
    show(operation.responses?.[status]?.content, answers)
}

function show(content: MediaTypes | undefined, examples: Examples): void {
  const named = Object.entries(examples).map(([name, value]) => [name, { value }])
  for (const mediaType of Object.values(content ?? {})) mediaType.examples = Object.fromEntries(named)
}
