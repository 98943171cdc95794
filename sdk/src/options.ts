// What createClient is given, checked.
import { type Clock, type Fetch, runtime } from './runtime.ts'
import type { Connection } from './send.ts'
import type { HufuStorage } from './storage.ts'

export interface ClientOptions {
  /** Where the server is, for example `https://accounts.example.com`; not an address that redirects. */
  readonly baseUrl: string
  /** Instead of the platform's own `fetch`. */
  readonly fetch?: Fetch
  /** Where the token is kept. Default: in memory, so that every start begins signed out. */
  readonly storage?: HufuStorage
  /** Default: the clock of the device. Only for times that the server does not tell. */
  readonly clock?: Clock
  /** Language of messages, as in Accept-Language: `zh-CN` or `en`. Default: what the platform sends by itself. */
  readonly language?: string
  /** How long one request may take, in milliseconds. Default: 15000. */
  readonly timeoutMs?: number
}

const platformFetch: Fetch = (url, init) => {
  if (!runtime.fetch) throw new TypeError('there is no fetch here: give one to createClient')
  return runtime.fetch(url, init)
}

/** @throws TypeError for an option that cannot be used */
export function connectionOf(options: ClientOptions): Connection {
  const { baseUrl, fetch = platformFetch, language = null, timeoutMs = 15_000 } = options
  if (!/^https?:\/\/[^/?#\s][^?#\s]*$/i.test(baseUrl)) {
    throw new TypeError('baseUrl must begin with https:// or http:// and have no ? and no #')
  }
  if (language !== null && !/^[\x20-\x7e]+$/.test(language)) {
    throw new TypeError('language must be a language tag, for example zh-CN')
  }
  // A longer timer than 2^31 - 1 would end at once.
  if (!(timeoutMs > 0 && timeoutMs < 2 ** 31)) {
    throw new TypeError('timeoutMs must be milliseconds, more than 0')
  }
  return {
    baseUrl: baseUrl.replace(/\/+$/, ''),
    fetch,
    language,
    timeoutMs,
    clock: options.clock ?? { now: () => Date.now() },
  }
}
