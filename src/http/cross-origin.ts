// CORS (https://fetch.spec.whatwg.org/#http-cors-protocol): which pages of another origin may read responses,
// and the browser's preflight requests. The API uses no cookies, so nothing is ever allowed "with
// credentials".
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { HeaderList } from './answer-headers.ts'

const nothing: HeaderList = []
// A cache that keeps a response for one origin must not give it to another.
const vary = ['vary', 'Origin'] as const
/** By default, a script may read only a few response headers. */
const exposed = 'Retry-After, WWW-Authenticate, X-Request-Id'
const methods = 'GET, HEAD, POST, PUT, PATCH, DELETE'
/** Chromium caches no preflight response for longer. */
const preflightSeconds = '7200'
// RFC 9110, section 5.6.2: header names, separated by commas. A browser sends the list without spaces.
const headerNames = /^[\w!#$%&'*+.^`|~-]+(?:, ?[\w!#$%&'*+.^`|~-]+)*$/

export class CrossOrigin {
  readonly #lists: ReadonlyMap<string, HeaderList>
  /** The headers of a response for an origin that is not allowed. */
  readonly #others: HeaderList

  /** @param origins exactly as browsers send them; none: no answer carries any header of CORS */
  constructor(origins: readonly string[]) {
    this.#lists = new Map(
      origins.map((origin) => [
        origin,
        [...vary, 'access-control-allow-origin', origin, 'access-control-expose-headers', exposed],
      ]),
    )
    this.#others = origins.length > 0 ? vary : nothing
  }

  /**
   * The headers of the response to a request with these headers; null where the request could not be parsed.
   */
  headersFor(headers: IncomingHttpHeaders | null): HeaderList {
    const { origin } = headers ?? {}
    return (origin === undefined ? undefined : this.#lists.get(origin)) ?? this.#others
  }

  /**
   * The further headers of a preflight response: they allow any header that the page wants to send, because
   * the server ignores those that it does not know, and tracing libraries add theirs to each request. Null
   * where the request is no preflight of an allowed origin.
   */
  preflightFor({ method, headers }: Pick<IncomingMessage, 'method' | 'headers'>): HeaderList | null {
    if (method !== 'OPTIONS' || headers['access-control-request-method'] === undefined) return null
    if (headers.origin === undefined || !this.#lists.has(headers.origin)) return null
    const wanted = headers['access-control-request-headers']
    const allowsHeaders = wanted !== undefined && wanted.length <= 1024 && headerNames.test(wanted)
    return [
      'access-control-allow-methods',
      methods,
      ...(allowsHeaders ? ['access-control-allow-headers', wanted] : []),
      'access-control-max-age',
      preflightSeconds,
    ]
  }
}
