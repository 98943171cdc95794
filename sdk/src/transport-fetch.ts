// Requests by `fetch`: browsers, Node and React Native.
import { type Fetch, type FetchAnswer, type FetchInit, findFetch, newAbortController } from './runtime.ts'
import type { Transport, TransportAnswer } from './transport.ts'

/** @param fetch default: the platform's, as it is at the time of each request */
export function fetchTransport(fetch: Fetch = platformFetch): Transport {
  return ({ method, url, headers, body }) => {
    const controller = newAbortController()
    const answer = fetch(url, {
      method,
      headers: { ...headers },
      redirect: 'manual',
      credentials: 'omit',
      ...(body !== null && { body }),
      ...(controller && { signal: controller.signal }),
    }).then(readWhole)
    return { answer, abort: () => controller?.abort() }
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
