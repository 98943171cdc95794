// Asking a gateway over HTTP: once, for three seconds at most, and never sure that it did not send unless it is certain.
import { type SmsDriverName, SmsError } from '../sms/sms.ts'

/** How long a gateway has to answer, to the last byte. */
export const gatewayTimeoutMs = 3_000

/** Real answers are under 1 KiB; what is longer is not a gateway's. */
const answerBytesMax = 64 * 1024

export interface GatewayRequest {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  /** null: a POST without a body. */
  readonly body: string | null
  readonly timeoutMs: number
}

export interface GatewayAnswer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

/**
 * One POST and its whole answer.
 * @throws SmsError `unavailable` where there is no such answer, `misconfigured` where it leads elsewhere
 */
export async function postToGateway(driver: SmsDriverName, request: GatewayRequest): Promise<GatewayAnswer> {
  const { url, headers, body, timeoutMs } = request
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers,
      body,
      // A redirect would carry the code to a place that nobody has set.
      redirect: 'manual',
      signal: AbortSignal.timeout(timeoutMs),
    })
    const text = await readText(driver, response)
    if (response.status >= 300 && response.status < 400) {
      throw new SmsError(driver, 'misconfigured', {
        surelyNotSent: false,
        gatewayCode: `HTTP_${response.status}`,
      })
    }
    return { status: response.status, headers: response.headers, text }
  } catch (error) {
    if (error instanceof SmsError) throw error
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
    const isAway = failedToConnect(cause)
    const facts = { surelyNotSent: isAway, affectsEveryNumber: isAway }
    throw new SmsError(driver, 'unavailable', facts, { cause })
  }
}

/** Whether the fault came before there was a connection, so that nothing can have been written to it. */
function failedToConnect(cause: unknown): boolean {
  // Several addresses were tried.
  if (cause instanceof AggregateError && cause.errors.length > 0) return cause.errors.every(failedToConnect)
  if (!(cause instanceof Error) || !('syscall' in cause)) return false
  return cause.syscall === 'connect' || cause.syscall === 'getaddrinfo'
}

async function readText(driver: SmsDriverName, response: Response): Promise<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let text = ''
  let bytes = 0
  // Leaving the loop cancels the rest of the body, and closes the connection.
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength
    if (bytes > answerBytesMax) throw unreadable(driver, response.status)
    text += decoder.decode(chunk, { stream: true })
  }
  return text + decoder.decode()
}

/** The members of an answer. @throws SmsError `unavailable`, perhaps sent, where it is not a JSON object */
export function readJson(driver: SmsDriverName, { text, status }: GatewayAnswer): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    if (isObject(value)) return value
  } catch {
    // Said below.
  }
  throw unreadable(driver, status)
}

/** An answer that does not tell whether the message was sent. */
export function unreadable(driver: SmsDriverName, status: number): SmsError {
  return new SmsError(driver, 'unavailable', { surelyNotSent: false, gatewayCode: `HTTP_${status}` })
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A member that must be text to be of use; null where it is not. */
export function textIn(object: Record<string, unknown>, name: string): string | null {
  const value = object[name]
  return typeof value === 'string' && value !== '' ? value : null
}

/** `Retry-After` in seconds (RFC 9110, 10.2.3), a day at most; null where there is none, or a date. */
export function retryAfterSeconds(headers: Headers): number | null {
  const text = headers.get('retry-after') ?? ''
  return /^\d{1,9}$/.test(text) ? Math.min(Number(text), 86_400) : null
}
