// /openapi.json (3.1) from the routes' own schemas, and /docs to read and try them, without anything from outside.
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import swagger from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import { AppError } from '../errors.ts'
import type { DocsPage, DocsUrl } from './docs-thread.ts'
import { refuseOtherMethods } from './methods.ts'
import { addExamples, type Operation, problemExamples } from './openapi-examples.ts'
import { sendStored, storeAnswer } from './stored-answer.ts'

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
  const makeDescription = async () =>
    await storeAnswer(Buffer.from(JSON.stringify(app.swagger())), {
      contentType: 'application/json; charset=utf-8',
      cacheControl: 'no-cache',
    })
  const description = onFirstUse(makeDescription)
  app.get('/openapi.json', { schema: { hide: true }, exposeHeadRoute: true }, async (request, reply) =>
    sendStored(request, reply, await description()),
  )
  await app.register(async (docs) => {
    const others = refuseOtherMethods(docs, (url) => url.startsWith('/docs'))
    for (const url of docsUrls) {
      docs.get(url, { schema: { hide: true }, exposeHeadRoute: true }, async (request, reply) => {
        const page = (await docsPages()).get(url)
        if (!page) throw new AppError('not_found')
        if ('location' in page) return reply.redirect(page.location, 301)
        reply.header('content-security-policy', policy)
        return sendStored(request, reply, page)
      })
    }
    others.finish()
  })
}

const docsUrls: readonly DocsUrl[] = ['/docs', '/docs/', '/docs/js/scalar.js']

/**
 * Made by the first request: no start waits for megabytes. All requests share the same bytes, because a client that asks for them
 * hundreds of times without reading must not have as many copies made.
 */
const docsPages = onFirstUse(async () => {
  const name = import.meta.url.endsWith('.ts') ? './docs-thread.ts' : './docs-thread.js'
  const worker = new Worker(new URL(name, import.meta.url), { execArgv: [] })
  // What docs-thread.ts posts.
  const [pages] = (await once(worker, 'message')) as [ReadonlyMap<DocsUrl, DocsPage>]
  return pages
})

/** Work that the first call does for all; a failure is forgotten, so that the next call tries again. */
function onFirstUse<T>(work: () => Promise<T>): () => Promise<T> {
  let done: Promise<T> | null = null
  return () => {
    done ??= work().catch((error) => {
      done = null
      throw error
    })
    return done
  }
}
