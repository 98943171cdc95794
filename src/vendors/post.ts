// A request to a vendor over HTTP: one try, of three seconds at most, and "not sent" only where that is
// certain.
import { VendorError } from './vendor-error.ts'

/** How long a vendor may take to answer, to the last byte. */
export const vendorTimeoutMs = 3_000

/** Real answers are under 1 KiB; a longer one does not come from a vendor. */
const answerBytesMax = 64 * 1024

export interface VendorRequest {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  /** null: a POST without a body. */
  readonly body: string | null
  readonly timeoutMs: number
}

export interface VendorAnswer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

/**
 * One POST and its whole answer.
 * @throws VendorError `unavailable` where there is no such answer, `misconfigured` for a redirect
 */
export async function postToVendor(driver: string, request: VendorRequest): Promise<VendorAnswer> {
  const { url, headers, body, timeoutMs } = request
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers,
      body,
      // A redirect would send the code to an address that no setting names.
      redirect: 'manual',
      signal: AbortSignal.timeout(timeoutMs),
    })
    const text = await readText(driver, response)
    if (response.status >= 300 && response.status < 400) {
      throw new VendorError(driver, 'misconfigured', {
        surelyNotSent: false,
        vendorCode: `HTTP_${response.status}`,
      })
    }
    return { status: response.status, headers: response.headers, text }
  } catch (error) {
    if (error instanceof VendorError) throw error
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
    const isAway = failedToConnect(cause)
    const facts = { surelyNotSent: isAway, affectsEveryRecipient: isAway }
    throw new VendorError(driver, 'unavailable', facts, { cause })
  }
}

/** Whether the failure came before there was a connection, so that nothing can have been written to it. */
function failedToConnect(cause: unknown): boolean {
  // Node tried several addresses.
  if (cause instanceof AggregateError && cause.errors.length > 0) return cause.errors.every(failedToConnect)
  if (!(cause instanceof Error) || !('syscall' in cause)) return false
  return cause.syscall === 'connect' || cause.syscall === 'getaddrinfo'
}

async function readText(driver: string, response: Response): Promise<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let text = ''
  let bytes = 0
  // Leaving the loop cancels the rest of the body and closes the connection.
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength
    if (bytes > answerBytesMax) throw unreadable(driver, response.status)
    text += decoder.decode(chunk, { stream: true })
  }
  return text + decoder.decode()
}

/**
 * The members of an answer.
 * @throws VendorError `unavailable`, perhaps sent, where it is not a JSON object
 */
export function readJson(driver: string, { text, status }: VendorAnswer): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    if (isObject(value)) return value
  } catch {
    // The throw below reports it.
  }
  throw unreadable(driver, status)
}

/** An answer that does not say whether the message was sent. */
export function unreadable(driver: string, status: number): VendorError {
  return new VendorError(driver, 'unavailable', { surelyNotSent: false, vendorCode: `HTTP_${status}` })
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A member that must be text; null where it is not. */
export function textIn(object: Record<string, unknown>, name: string): string | null {
  const value = object[name]
  return typeof value === 'string' && value !== '' ? value : null
}

/**
 * `Retry-After` in seconds (RFC 9110, 10.2.3), a day at most; null where there is none, or where it is a
 * date.
 */
export function retryAfterSeconds(headers: Headers): number | null {
  const text = headers.get('retry-after') ?? ''
  return /^\d{1,9}$/.test(text) ? Math.min(Number(text), 86_400) : null
}
