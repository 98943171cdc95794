// The options of createClient, and their validation.
import { type Clock, deviceClock, findFetch, platformRandom, reportError } from './runtime.ts'
import type { Connection } from './send.ts'
import type { RandomBytes } from './sign-ins.ts'
import type { HufuStorage } from './storage.ts'
import { NotATransport, type Transport } from './transport.ts'
import { fetchTransport } from './transport-fetch.ts'

export interface ClientOptions {
  /** The URL of the server, for example `https://accounts.example.com`; it must not redirect. */
  readonly baseUrl: string
  /** Sends the requests. Default: `fetchTransport()`, by the platform's `fetch`. */
  readonly transport?: Transport
  /** Stores the token. Default: in memory, so that every start begins signed out. */
  readonly storage?: HufuStorage
  /** Default: the clock of the device. Only for times that the server does not report. */
  readonly clock?: Clock
  /**
   * Language of messages, as in Accept-Language: `zh-CN` or `en`. Default: the language that the platform
   * sends.
   */
  readonly language?: string
  /** The deadline of one request, in milliseconds. Default: 15000. */
  readonly timeoutMs?: number
  /**
   * A secure source of random bytes, for example `Crypto.getRandomBytes` of `expo-crypto`. Default: the
   * platform's `crypto.getRandomValues`. With neither, a sign-in whose response was lost cannot be repeated.
   */
  readonly randomBytes?: RandomBytes
  /**
   * Called with errors that no call can reject with: those of your listeners, and of the storage between
   * calls. None of them signs out. Default: `console.error`.
   */
  readonly onBackgroundError?: (error: unknown) => void
}

/** @throws TypeError for an option that cannot be used */
export function connectionOf(options: ClientOptions): Connection {
  // Callers without TypeScript may give anything.
  if (typeof options !== 'object' || options === null || typeof options.baseUrl !== 'string') {
    throw new TypeError('createClient: baseUrl is missing: createClient({ baseUrl: "https://…" })')
  }
  const { baseUrl, language = null, timeoutMs = 15_000 } = options
  const transport = options.transport ?? fetchTransport()
  if (!/^https?:\/\/[^/?#\s][^?#\s]*$/i.test(baseUrl)) {
    throw new TypeError('baseUrl must begin with https:// or http:// and have no ? and no #')
  }
  if (language !== null && !/^[\x20-\x7e]+$/.test(language)) {
    throw new TypeError('language must be a language tag, for example zh-CN')
  }
  assertUsable(options)
  if ((transport as unknown) === findFetch()) throw new NotATransport()
  return {
    baseUrl: baseUrl.replace(/\/+$/, ''),
    transport,
    language,
    timeoutMs,
    randomBytes: options.randomBytes ?? platformRandom,
    clock: options.clock ?? deviceClock,
    onBackgroundError: harmless(
      options.onBackgroundError ?? ((error) => reportError('background error', error)),
    ),
  }
}

/** Callers without TypeScript may give values of other types. @throws TypeError that names the option */
function assertUsable({
  transport,
  storage,
  clock,
  timeoutMs = 15_000,
  randomBytes,
  onBackgroundError,
}: ClientOptions) {
  // A timer of more than 2^31 - 1 ms would fire at once.
  if (typeof timeoutMs !== 'number' || !(timeoutMs > 0 && timeoutMs < 2 ** 31))
    throw new TypeError('timeoutMs must be a number of milliseconds, more than 0')
  assertMethods('storage', storage, ['get', 'set', 'remove'])
  assertMethods('clock', clock, ['now'])
  for (const [name, value] of [
    ['transport', transport],
    ['randomBytes', randomBytes],
    ['onBackgroundError', onBackgroundError],
  ] as const) {
    if (value !== undefined && typeof value !== 'function') throw new TypeError(`${name} must be a function`)
  }
}

function assertMethods(name: string, value: unknown, methods: readonly string[]): void {
  const hasAll = (object: object) =>
    methods.every((method) => typeof (object as Record<string, unknown>)[method] === 'function')
  if (value === undefined || (typeof value === 'object' && value !== null && hasAll(value))) return
  throw new TypeError(
    `${name} must be an object with the method${methods.length > 1 ? 's' : ''} ${methods.join(', ')}`,
  )
}

/** The error of a reporter cannot be reported. */
function harmless(report: (error: unknown) => void): (error: unknown) => void {
  return (error) => {
    try {
      report(error)
    } catch {}
  }
}
