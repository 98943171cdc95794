// Problem details (RFC 9457) as the bytes of a whole response, for what never reaches Fastify: bytes that are
// not HTTP, and connections over the limit.
import type { ErrorCode } from '../errors.ts'
import { everyAnswer, type HeaderList, headerLines } from './answer-headers.ts'

export interface RawProblem {
  /** Three digits and the reason: `400 Bad Request`. */
  readonly status: string
  readonly code: ErrorCode
  readonly title: string
  /** Headers beside those of every response. */
  readonly headers: HeaderList
}

/** The response. It ends its connection, and has no request id, because there is no request. */
export function rawProblem({ status, code, title, headers }: RawProblem): string {
  const type = `urn:hufu:problem:${code}`
  const body = JSON.stringify({ type, title, status: Number.parseInt(status, 10), code })
  const lines = [
    `HTTP/1.1 ${status}`,
    'content-type: application/problem+json; charset=utf-8',
    ...headerLines([...everyAnswer, ...headers]),
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ]
  return `${lines.join('\r\n')}\r\n\r\n${body}`
}
