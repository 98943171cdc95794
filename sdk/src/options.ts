// What createClient is given, checked.
import { type Clock, deviceClock, platformRandom, reportTrouble } from './runtime.ts'
import type { Connection } from './send.ts'
import type { RandomBytes } from './sign-ins.ts'
import type { HufuStorage } from './storage.ts'
import type { Transport } from './transport.ts'
import { fetchTransport } from './transport-fetch.ts'

export interface ClientOptions {
  /** Where the server is, for example `https://accounts.example.com`; not an address that redirects. */
  readonly baseUrl: string
  /** How requests travel. Default: `fetchTransport()`, by the platform's `fetch`. */
  readonly transport?: Transport
  /** Where the token is kept. Default: in memory, so that every start begins signed out. */
  readonly storage?: HufuStorage
  /** Default: the clock of the device. Only for times that the server does not tell. */
  readonly clock?: Clock
  /** Language of messages, as in Accept-Language: `zh-CN` or `en`. Default: what the platform sends by itself. */
  readonly language?: string
  /** How long one request may take, in milliseconds. Default: 15000. */
  readonly timeoutMs?: number
  /**
   * A secure source of random bytes, for example `Crypto.getRandomBytes` of `expo-crypto`. Default: the platform's
   * `crypto.getRandomValues`. With neither, a sign-in whose answer was lost cannot be repeated.
   */
  readonly randomBytes?: RandomBytes
  /**
   * Told of failures that no call can fail with: of your listeners, and of the storage while something else is done.
   * None of them signs out. Default: `console.error`.
   */
  readonly onTrouble?: (error: unknown) => void
}

/** @throws TypeError for an option that cannot be used */
export function connectionOf(options: ClientOptions): Connection {
  const { baseUrl, language = null, timeoutMs = 15_000 } = options
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
    transport: options.transport ?? fetchTransport(),
    language,
    timeoutMs,
    randomBytes: options.randomBytes ?? platformRandom,
    clock: options.clock ?? deviceClock,
    onTrouble: harmless(options.onTrouble ?? ((error) => reportTrouble('something failed', error))),
  }
}

/** A reporter that fails has nobody to tell. */
function harmless(report: (error: unknown) => void): (error: unknown) => void {
  return (error) => {
    try {
      report(error)
    } catch {}
  }
}
