// Requests by `fetch`: browsers, Node and React Native.
import {
  type Fetch,
  type FetchAnswer,
  type FetchInit,
  findFetch,
  newAbortController,
  pageOrigin,
} from './runtime.ts'
import { OriginRefused, type Transport, type TransportAnswer } from './transport.ts'

/** @param fetch default: the platform's, looked up for each request */
export function fetchTransport(fetch: Fetch = platformFetch): Transport {
  let hasAnswered = false
  return ({ method, url, headers, body }) => {
    const controller = newAbortController()
    let isAborted = false
    const read = async (sent: Promise<FetchAnswer>): Promise<TransportAnswer> => {
      try {
        const answer = await readWhole(await sent)
        hasAnswered = true
        return answer
      } catch (error) {
        // A server that has allowed this page before still allows it: the response came from something in
        // front of it.
        const origin = hasAnswered || isAborted ? null : await refusedOrigin(fetch, url)
        throw origin === null ? error : new OriginRefused(origin, error)
      }
    }
    const answer = read(
      fetch(url, {
        method,
        headers: { ...headers },
        redirect: 'manual',
        credentials: 'omit',
        ...(body !== null && { body }),
        ...(controller && { signal: controller.signal }),
      }),
    )
    const abort = () => {
      isAborted = true
      controller?.abort()
    }
    return { answer, abort }
  }
}

/**
 * The origin of this page, where the server can be reached but the page may not read its responses. Browsers
 * report that like a missing network, but a `no-cors` request shows whether a response came.
 */
async function refusedOrigin(fetch: Fetch, url: string): Promise<string | null> {
  const origin = pageOrigin()
  if (origin === null || /^https?:\/\/[^/]+/i.exec(url)?.[0] === origin) return null
  try {
    await fetch(url, { method: 'GET', headers: {}, mode: 'no-cors', redirect: 'follow', credentials: 'omit' })
    return origin
  } catch {
    return null
  }
}

function platformFetch(url: string, init: FetchInit): Promise<FetchAnswer> {
  const fetch = findFetch()
  if (!fetch) throw new TypeError('there is no fetch here: give createClient a transport')
  return fetch(url, init)
}

async function readWhole(answer: FetchAnswer): Promise<TransportAnswer> {
  const { status, headers } = answer
  return { status, header: (name) => headers.get(name), text: await answer.text() }
}
