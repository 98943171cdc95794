// How requests travel: the contract between the client and what the platform has for HTTP.

export interface TransportRequest {
  /**
   * Nothing else: WeChat has no PATCH, Kuaishou and others have GET and POST only, and some lose the body of a DELETE. The
   * server does by POST all that it does by other methods.
   */
  readonly method: 'GET' | 'POST'
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  /** JSON text; null: no body. */
  readonly body: string | null
  /** When the client gives up, in milliseconds. It does so by itself; a platform with a limit of its own needs to know. */
  readonly timeoutMs: number
}

/** A whole answer, whatever its status. */
export interface TransportAnswer {
  readonly status: number
  /** Finds a header by its name in lower case; null where the answer has none. */
  header(name: string): string | null
  readonly text: string
}

/** A request on its way. */
export interface Exchange {
  /** Rejects where no whole answer came. */
  readonly answer: Promise<TransportAnswer>
  /** Nobody waits any more. */
  abort(): void
}

/**
 * Sends one request, without cookies. A redirect is an answer where the platform can be told so. Nothing is cached: the
 * server forbids it itself.
 */
export type Transport = (request: TransportRequest) => Exchange

/** The server can be reached, but the browser lets the page of this origin read none of its answers. */
export class OriginRefused extends Error {
  readonly origin: string
  /** What the browser said. */
  readonly reason: unknown

  constructor(origin: string, reason: unknown) {
    super(`the answer may not be read by a page of the origin ${origin}`)
    this.origin = origin
    this.reason = reason
  }
}
