// /openapi.json, /openapi/service.json, and /docs to read and try the routes, with no resources from other
// servers.
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { AppError } from '../../errors.ts'
import type { DescribedSurfaces } from '../openapi.ts'
import type { Surface } from '../surface.ts'
import type { DocsPage, DocsUrl } from './docs-thread.ts'
import { sendStored, storeAnswer } from './stored-answer.ts'

/**
 * The surfaces that /openapi.json and the page show: everything that any client of this server may call.
 * Clients are generated from it, and an app that moves from the tutorial finds its four routes beside those
 * of /v1. A surface for callers of another kind (a back end, an operator) is not added here: it has a
 * document of its own, so that no app for phones is built with the types of an operator's tool. The SDK takes
 * its types from the document of v1 alone (sdk/scripts/document.ts).
 */
const publicSurfaces = ['classic', 'v1', 'health']

// The page may load from, and connect to, this server only, whatever its scripts try.
const policy =
  "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"

/** Those of docs-thread.ts, which is a program of its own: an import of it would run it here. */
const docsUrls: readonly DocsUrl[] = ['/docs', '/docs/', '/docs/js/scalar.js']

/** The documents and /docs. */
export function docsSurface(described: DescribedSurfaces): Surface {
  return {
    name: 'docs',
    prefix: '/',
    caller: 'none',
    errors: 'problem',
    document: null,
    routes: (app) => docsRoutes(app, described),
  }
}

/** The documents, with the surfaces that each describes. */
const documents = { '/openapi.json': publicSurfaces, '/openapi/service.json': ['service'] }

function docsRoutes(app: FastifyInstance, described: DescribedSurfaces): void {
  for (const [url, surfaces] of Object.entries(documents)) {
    const description = onFirstUse(async () => {
      const text = JSON.stringify(await described.joined(surfaces))
      return await storeAnswer(Buffer.from(text), {
        contentType: 'application/json; charset=utf-8',
        cacheControl: 'no-cache',
      })
    })
    app.get(url, { exposeHeadRoute: true }, async (request, reply) =>
      sendStored(request, reply, await description()),
    )
  }
  const pages = onFirstUse(pagesOfThread)
  for (const url of docsUrls) {
    app.get(url, { exposeHeadRoute: true }, async (request, reply) =>
      sendPage(request, reply, (await pages()).get(url)),
    )
  }
}

function sendPage(request: FastifyRequest, reply: FastifyReply, page: DocsPage | undefined): FastifyReply {
  if (!page) throw new AppError('not_found')
  if ('location' in page) return reply.redirect(page.location, 301)
  reply.header('content-security-policy', policy)
  return sendStored(request, reply, page)
}

async function pagesOfThread(): Promise<ReadonlyMap<DocsUrl, DocsPage>> {
  const name = import.meta.url.endsWith('.ts') ? './docs-thread.ts' : './docs-thread.js'
  const worker = new Worker(new URL(name, import.meta.url), { execArgv: [] })
  // The message that docs-thread.ts posts.
  const [pages] = (await once(worker, 'message')) as [ReadonlyMap<DocsUrl, DocsPage>]
  return pages
}

/**
 * Work that the first call does for all: a start does not wait for megabytes, and all requests share the same
 * bytes, because a client that sends hundreds of requests without reading the responses must not make the
 * server hold as many duplicates. A failure is not cached, so the next call tries again.
 */
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
