// OpenAPI 3.1 documents, one for each surface, from the schemas of its routes.
import swagger from '@fastify/swagger'
import type { FastifyInstance, RouteOptions } from 'fastify'
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
  | { readonly type: 'http'; readonly scheme: 'bearer'; readonly description: string }

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

/** The documents of a server's surfaces, by name. Each is generated on first use and then cached. */
export class DescribedSurfaces {
  readonly #version: string
  readonly #documents = new Map<string, () => Document>()

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

  add(surface: string, document: () => Document): void {
    this.#documents.set(surface, document)
  }

  /** The document of a surface. @throws Error where it has none */
  of(surface: string): Document {
    const document = this.#documents.get(surface)
    if (!document) throw new Error(`the surface ${surface} has no document`)
    return document()
  }

  /**
   * One document of several surfaces, side by side.
   * @throws Error where two of them have the same path, or use one name for different things
   */
  joined(surfaces: readonly string[]): Document {
    const documents = surfaces.filter((name) => this.#documents.has(name)).map((name) => this.of(name))
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

/** Collects the document of a surface. Register it before the routes that it describes. */
export async function describeRoutes(
  app: FastifyInstance,
  surface: string,
  document: SurfaceDocument,
  described: DescribedSurfaces,
): Promise<void> {
  const examples = new Map<string, RouteExamples>()
  app.addHook('onRoute', ({ schema, config }: RouteOptions) => {
    if (config?.examples && schema?.operationId) examples.set(schema.operationId, config.examples)
  })
  for (const schema of document.schemas ?? []) app.addSchema(schema)
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: described.info,
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
  // The plug-in's type also covers Swagger 2 and OpenAPI 3.0; the option above selects 3.1.
  described.add(surface, () => app.swagger() as Document)
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
