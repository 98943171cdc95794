// Requests by `uni.request`, `wx.request`, `my.request`, `dd.httpRequest` and the like: uni-app and
// mini-programs.
import type { Exchange, Transport, TransportAnswer } from './transport.ts'

/** The options that the SDK passes to `uni.request`. */
export interface RequestOptions {
  readonly url: string
  readonly method: 'GET' | 'POST'
  readonly header: Record<string, string>
  /** The same for Alipay and DingTalk, which ignore `header`. */
  readonly headers: Record<string, string>
  readonly data?: string
  readonly dataType: string
  readonly timeout: number
  readonly success: (result: RequestResult) => void
  readonly fail: (failure: unknown) => void
}

/** The members of a result that the SDK reads. Their places differ between platforms. */
export interface RequestResult {
  readonly statusCode?: unknown
  readonly status?: unknown
  readonly error?: unknown
  readonly header?: unknown
  readonly headers?: unknown
  readonly data?: unknown
}

/** `uni.request`, `wx.request`, `my.request`, `dd.httpRequest`, or a function with the same interface. */
export type PlatformRequest = (options: RequestOptions) => unknown

/**
 * Sends by `uni.request`, `wx.request`, `my.request`, `dd.httpRequest` and the like. A result with an HTTP
 * status is a response, also where the platform reports a failure: Alipay and DingTalk do so for all statuses
 * but 200. These platforms follow redirects, which cannot be turned off.
 */
export function requestTransport(request: PlatformRequest): Transport {
  return ({ method, url, headers, body, timeoutMs }): Exchange => {
    let task: unknown
    const answer = new Promise<TransportAnswer>((resolve, reject) => {
      const settle = (result: unknown) => {
        const found = answerOf(result)
        if (found) resolve(found)
        else reject(new Error(sayingOf(result)))
      }
      try {
        task = request({
          url,
          method,
          header: { ...headers },
          headers: { ...headers },
          // Text, because platforms encode objects in different ways.
          ...(body !== null && { data: body }),
          // As a rule, platforms parse only "json".
          dataType: 'text',
          // Longer than the client's own deadline, so that the client reports the time-out.
          timeout: timeoutMs + 1_000,
          success: settle,
          fail: settle,
        })
        // Some platforms also return a promise, whose rejection must be handled.
        if (task instanceof Promise) task.catch(() => {})
      } catch (error) {
        settle(error)
      }
    })
    return { answer, abort: () => abort(task) }
  }
}

// Old platforms return no task, and a wrapper may return a promise.
function abort(task: unknown): void {
  if (typeof task !== 'object' || task === null || !('abort' in task)) return
  if (typeof task.abort === 'function') task.abort()
}

/** null where the result has no HTTP status: there was no response. */
function answerOf(result: unknown): TransportAnswer | null {
  if (typeof result !== 'object' || result === null) return null
  // Each member is checked before it is used.
  const { statusCode, status, error, header, headers, data } = result as RequestResult
  // Alipay has its own numbers in `error` (12: no network, 19: not 200), old versions of it in `status`.
  const found = [statusCode, status, error].map(Number).find((number) => number >= 100 && number < 600)
  if (found === undefined) return null
  const all = namesInLowerCase([header, headers])
  return { status: found, header: (name) => all.get(name) ?? null, text: textOf(data) }
}

/**
 * Headers are an object, or a list of objects, each with one header: by its name, or as `name` and `value`.
 */
function namesInLowerCase(headers: unknown): Map<string, string> {
  const found = new Map<string, string>()
  const add = (name: string, value: unknown) => void found.set(name.toLowerCase(), String(value))
  const visit = (item: unknown) => {
    if (Array.isArray(item)) return item.forEach(visit)
    if (typeof item !== 'object' || item === null) return
    const { name, key = name, value } = item as Readonly<Record<string, unknown>>
    if (typeof key === 'string' && value !== undefined) add(key, value)
    else for (const [name, value] of Object.entries(item)) add(name, value)
  }
  visit(headers)
  return found
}

// Some platforms always parse JSON.
function textOf(data: unknown): string {
  if (typeof data === 'string') return data
  return data === null || data === undefined ? '' : JSON.stringify(data)
}

function sayingOf(failure: unknown): string {
  if (failure instanceof Error) return failure.message
  if (typeof failure !== 'object' || failure === null) return String(failure)
  const { errMsg, errorMessage } = failure as { readonly errMsg?: unknown; readonly errorMessage?: unknown }
  return String(errMsg ?? errorMessage ?? 'the request failed')
}
