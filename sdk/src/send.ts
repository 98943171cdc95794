// Sends one request and waits for its complete response, up to a deadline. It does not depend on sessions.

import type { paths } from './api-types.ts'
import { HufuError } from './errors.ts'
import { say } from './messages.ts'
import { notHufu, type Reader, readAnswer } from './response.ts'
import { later } from './runtime.ts'
import type { RandomBytes } from './sign-ins.ts'
import {
  type Exchange,
  NotATransport,
  OriginRefused,
  type Transport,
  type TransportAnswer,
  type TransportRequest,
} from './transport.ts'
import type { Json } from './wire.ts'

/** A path of the server's document; `id` replaces `{id}`. */
export interface Call<T> {
  readonly method: TransportRequest['method']
  readonly path: keyof paths
  readonly id?: string
  /** With its question mark. */
  readonly query?: `?${string}`
  readonly body?: object
  /** Identifies a repeat of this request; null: it cannot be repeated. */
  readonly idempotencyKey?: string | null
  /** null: the request carries no token. */
  readonly token: string | null
  /** Reads the response; null where it does not have the expected form. */
  read(answer: Json | null): T | null
}

export interface Connection extends Reader {
  /** Without a trailing slash. */
  readonly baseUrl: string
  readonly transport: Transport
  readonly timeoutMs: number
  readonly randomBytes: RandomBytes
  /** Called with errors that no call can reject with. Never throws. */
  readonly onBackgroundError: (error: unknown) => void
}

/**
 * Sends one request.
 * @throws HufuError with the server's code, `network`, `timeout` or `not_hufu`
 */
export async function send<T>(connection: Connection, call: Call<T>): Promise<T> {
  const answer = await exchange(connection, requestOf(connection, call))
  const value = call.read(readAnswer(answer, connection))
  if (value === null) throw notHufu(answer, connection)
  return value
}

async function exchange(connection: Connection, request: TransportRequest): Promise<TransportAnswer> {
  const { transport, language, timeoutMs } = connection
  let cancelLimit = () => {}
  try {
    const { answer, abort } = exchangeOf(transport(request))
    // Not every platform can abort, so the deadline is a race as well.
    const late = new Promise<never>((_resolve, reject) => {
      cancelLimit = later(() => {
        reject(new HufuError({ code: 'timeout', message: say('timeout', language) }))
        abort()
      }, timeoutMs)
    })
    return await Promise.race([answer, late])
  } catch (cause) {
    if (cause instanceof HufuError || cause instanceof NotATransport) throw cause
    throw networkError(cause, language)
  } finally {
    cancelLimit()
  }
}

/**
 * Callers without TypeScript may give a `fetch` of another package as the transport.
 * @throws NotATransport for that
 */
function exchangeOf(exchange: Exchange): Exchange {
  if (typeof exchange.abort === 'function') return exchange
  // The promise of such a `fetch` may reject.
  Promise.resolve(exchange as unknown).catch(() => {})
  throw new NotATransport()
}

function networkError(cause: unknown, language: string | null): HufuError {
  const code = 'network'
  if (!(cause instanceof OriginRefused)) return new HufuError({ code, message: say(code, language), cause })
  const { origin, reason } = cause
  const message = say(origin === 'null' ? 'origin_null' : 'origin_refused', language)
  return new HufuError({ code, message: message.replace('{origin}', origin), cause: reason })
}

function requestOf(connection: Connection, call: Call<unknown>): TransportRequest {
  const { baseUrl, language, timeoutMs } = connection
  const { method, path, id = '', query = '', body, idempotencyKey = null, token } = call
  return {
    method,
    url: baseUrl + path.replace('{id}', encodeURIComponent(id)) + query,
    headers: {
      accept: 'application/json, application/problem+json',
      ...(language !== null && { 'accept-language': language }),
      ...(body && { 'content-type': 'application/json' }),
      ...(idempotencyKey !== null && { 'idempotency-key': idempotencyKey }),
      ...(token !== null && { authorization: `Bearer ${token}` }),
    },
    body: body ? JSON.stringify(body) : null,
    timeoutMs,
  }
}
