// /openapi.json (3.1) from the routes' own schemas, and /docs to read and try them, without anything from outside.
import swagger from '@fastify/swagger'
import fastify, { type FastifyInstance } from 'fastify'
import { AppError } from '../errors.ts'
import { refuseOtherMethods } from './methods.ts'
import { addExamples, type Operation, problemExamples } from './openapi-examples.ts'

/** Register before the routes that it describes. */
export async function describeRoutes(app: FastifyInstance, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Hufu 虎符',
        version,
        description:
          'Accounts and sessions for mobile apps. Sign in, keep the token, send it with every request.',
        license: { name: 'MIT', identifier: 'MIT' },
      },
      servers: [{ url: '/' }],
      tags: [
        { name: 'codes', description: 'Text messages with six digits.' },
        { name: 'sessions', description: 'Sign in, who am I, my devices, sign out.' },
        { name: 'account', description: 'Profile, password, phone number, export, closing.' },
        { name: 'classic', description: "The tutorial's routes. They answer HTTP 200 and tell by `code`." },
        { name: 'health', description: 'For balancers and supervisors.' },
      ],
      components: {
        examples: problemExamples(),
        securitySchemes: {
          classicToken: {
            type: 'apiKey',
            in: 'header',
            name: 'token',
            description: 'The token that `/login` gave.',
          },
          token: { type: 'http', scheme: 'bearer', description: 'The token that `POST /v1/sessions` gave.' },
        },
      },
    },
    transformObject: (document) => {
      if (!('openapiObject' in document)) throw new Error('the routes are described in OpenAPI 3 only')
      const items = Object.values(document.openapiObject.paths ?? {})
      // Our routes put nothing but operations into a path.
      for (const item of items)
        for (const operation of Object.values(item ?? {}) as Operation[]) addExamples(operation)
      return document.openapiObject
    },
    refResolver: {
      // Every shared schema has a name of its own: v1-schemas.ts.
      buildLocalReference: (json, _base, _fragment, index) => String(json.$id ?? `schema-${index}`),
    },
  })
}

// What the page may load and where it may talk to: this server only, whatever its scripts would like.
const policy =
  "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"

/** /openapi.json and /docs. */
export async function serveDescription(app: FastifyInstance): Promise<void> {
  let text: string | null = null
  app.get('/openapi.json', { schema: { hide: true } }, async (_request, reply) => {
    text ??= JSON.stringify(app.swagger())
    return reply.type('application/json; charset=utf-8').send(text)
  })
  await app.register(async (docs) => {
    const others = refuseOtherMethods(docs, (url) => url.startsWith('/docs'))
    for (const url of docsUrls) {
      docs.get(url, { schema: { hide: true } }, async (_request, reply) => {
        docsPages ??= readDocsPages()
        const page = (await docsPages).get(url)
        if (!page) throw new AppError('not_found')
        const { statusCode, headers, body } = page
        reply.headers(headers).header('content-security-policy', policy)
        // The script of the page is large and says nothing about anybody.
        if (url.endsWith('.js')) reply.header('cache-control', 'public, max-age=3600')
        return reply.code(statusCode).send(body)
      })
    }
    others.finish()
  })
}

const docsUrls = ['/docs', '/docs/', '/docs/js/scalar.js']

interface DocsPage {
  readonly statusCode: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

/**
 * Read by the first who asks: the script has megabytes, which no start waits for. They are the same bytes for everybody, because
 * who asks for them hundreds of times without reading must not have as many copies made.
 */
let docsPages: Promise<ReadonlyMap<string, DocsPage>> | null = null

async function readDocsPages(): Promise<ReadonlyMap<string, DocsPage>> {
  const { default: scalar } = await import('@scalar/fastify-api-reference')
  // A server of its own, which does not listen.
  const docs = fastify()
  await docs.register(scalar, {
    routePrefix: '/docs',
    configuration: {
      url: '/openapi.json',
      withDefaultFonts: false,
      hideClientButton: true,
      telemetry: false,
      showDeveloperTools: 'never',
      agent: { disabled: true },
      mcp: { disabled: true },
    },
  })
  const pages = new Map<string, DocsPage>()
  for (const url of docsUrls) {
    const { statusCode, headers, rawPayload } = await docs.inject({ url })
    const kept = ['content-type', 'location'].flatMap((name) => {
      const value = headers[name]
      return value === undefined ? [] : [[name, String(value)]]
    })
    pages.set(url, { statusCode, headers: Object.fromEntries(kept), body: rawPayload })
  }
  await docs.close()
  return pages
}
