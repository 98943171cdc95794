// A thread that builds the pages of /docs and ends: loading a script of 4.9 MB as text and compressing it
// takes a second, in which the event loop could answer nothing.
import { parentPort } from 'node:worker_threads'
import fastify from 'fastify'
import { type StoredAnswer, storeAnswer } from './stored-answer.ts'

const docsUrls = ['/docs', '/docs/', '/docs/js/scalar.js'] as const
export type DocsUrl = (typeof docsUrls)[number]

/** A response, or the target of a redirect. */
export type DocsPage = StoredAnswer | { readonly location: string }

/**
 * The page names its script without a version, so the browser revalidates the script after an hour, by its
 * ETag.
 */
const cacheControl = { page: 'no-cache', script: 'public, max-age=3600' }

/** Builds all pages. */
async function buildPages(): Promise<Map<DocsUrl, DocsPage>> {
  const { default: scalar } = await import('@scalar/fastify-api-reference')
  // A separate server, which does not listen.
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
  const pages = new Map<DocsUrl, DocsPage>()
  for (const url of docsUrls) {
    const { headers, rawPayload } = await docs.inject({ url })
    const isScript = url.endsWith('.js')
    const about = {
      contentType: String(headers['content-type']),
      cacheControl: isScript ? cacheControl.script : cacheControl.page,
    }
    // Every browser accepts gzip, and a client that requests the 4.9 MB again and again gets a quarter of
    // them.
    const answer = () => storeAnswer(rawPayload, about, { alwaysCompressed: isScript })
    pages.set(url, headers.location ? { location: String(headers.location) } : await answer())
  }
  await docs.close()
  return pages
}

parentPort?.postMessage(await buildPages())
