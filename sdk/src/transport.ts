// The contract between the client and the platform's HTTP functions.

export interface TransportRequest {
  /**
   * No other methods: WeChat has no PATCH, Kuaishou and others have only GET and POST, and some lose the body
   * of a DELETE. The server has a POST route for each route of another method.
   */
  readonly method: 'GET' | 'POST'
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  /** JSON text; null: no body. */
  readonly body: string | null
  /**
   * The client's deadline in milliseconds. The client enforces it; a platform with a deadline of its own
   * needs to know it.
   */
  readonly timeoutMs: number
}

/** A complete response, whatever its status. */
export interface TransportAnswer {
  readonly status: number
  /** The header with this name in lower case; null where the response has none. */
  header(name: string): string | null
  readonly text: string
}

/** A request under way. */
export interface Exchange {
  /** Rejects where no complete response arrived. */
  readonly answer: Promise<TransportAnswer>
  /** Aborts the request, because no caller waits for it any more. */
  abort(): void
}

/**
 * Sends one request, without cookies. A redirect is a response, where the platform allows it. Nothing is
 * cached, because the server forbids it.
 */
export type Transport = (request: TransportRequest) => Exchange

/** The server can be reached, but the browser does not let the page of this origin read its responses. */
export class OriginRefused extends Error {
  readonly origin: string
  /** The browser's error. */
  readonly reason: unknown

  constructor(origin: string, reason: unknown) {
    super(`the answer may not be read by a page of the origin ${origin}`)
    this.origin = origin
    this.reason = reason
  }
}

/** The transport is a `fetch`: a mistake of the program, not of the network. */
export class NotATransport extends TypeError {
  constructor() {
    super('transport must return { answer, abort }: for a fetch, use fetchTransport(fetch)')
  }
}
