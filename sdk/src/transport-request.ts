// Requests by `uni.request`, `wx.request` and their likes: uni-app and mini-programs.
import { type Exchange, MethodUnavailable, type Transport, type TransportAnswer } from './transport.ts'

/** What the SDK asks of `uni.request`. */
export interface RequestOptions {
  readonly url: string
  // PATCH is missing in the types, also of platforms that have it.
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly header: Record<string, string>
  readonly data?: string
  readonly dataType: string
  readonly timeout: number
  readonly success: (result: RequestResult) => void
  readonly fail: (failure: unknown) => void
}

/** What the SDK reads of its answer. Alipay says `status` and `headers`. */
export interface RequestResult {
  readonly statusCode?: number
  readonly status?: number
  readonly header?: unknown
  readonly headers?: unknown
  readonly data?: unknown
}

/** `uni.request`, `wx.request`, or another function of that shape. */
export type PlatformRequest = (options: RequestOptions) => unknown

/**
 * Sends by `uni.request` or `wx.request`. What the platform cannot be told: it follows redirects.
 * Some platforms lack PATCH (WeChat), or PUT and DELETE, too (Alipay, Kuaishou): such calls fail with `method_unavailable`.
 */
export function requestTransport(request: PlatformRequest): Transport {
  return ({ method, url, headers, body, timeoutMs }): Exchange => {
    let task: unknown
    const answer = new Promise<TransportAnswer>((resolve, reject) => {
      const fail = (failure: unknown) => reject(errorOf(failure, method))
      try {
        task = request({
          url,
          // See RequestOptions; a platform without PATCH says so.
          method: method as RequestOptions['method'],
          header: { ...headers },
          // Text, because objects are turned into whatever the platform takes for right.
          ...(body !== null && { data: body }),
          // Anything but "json" is not parsed, as a rule.
          dataType: 'text',
          // Behind the client's own limit, so that the client says what happened.
          timeout: timeoutMs + 1_000,
          success: (result) => resolve(answerOf(result)),
          fail,
        })
      } catch (error) {
        fail(error)
      }
    })
    return { answer, abort: () => abort(task) }
  }
}

// Old platforms give no task, and a wrapper may give a promise.
function abort(task: unknown): void {
  if (typeof task !== 'object' || task === null || !('abort' in task)) return
  if (typeof task.abort === 'function') task.abort()
}

function answerOf({ statusCode, status, header, headers, data }: RequestResult): TransportAnswer {
  const all = namesInLowerCase(header ?? headers)
  return { status: statusCode ?? status ?? 0, header: (name) => all.get(name) ?? null, text: textOf(data) }
}

function namesInLowerCase(headers: unknown): Map<string, string> {
  const entries = typeof headers === 'object' && headers !== null ? Object.entries(headers) : []
  return new Map(entries.map(([name, value]) => [name.toLowerCase(), String(value)]))
}

// Some platforms parse JSON, whatever they are told.
function textOf(data: unknown): string {
  if (typeof data === 'string') return data
  return data === null || data === undefined ? '' : JSON.stringify(data)
}

function errorOf(failure: unknown, method: string): Error {
  const said = sayingOf(failure)
  const isRare = method !== 'GET' && method !== 'POST'
  return isRare && /method|not support|不支持/i.test(said) ? new MethodUnavailable(said) : new Error(said)
}

function sayingOf(failure: unknown): string {
  if (failure instanceof Error) return failure.message
  if (typeof failure !== 'object' || failure === null) return String(failure)
  const { errMsg, errorMessage } = failure as { readonly errMsg?: unknown; readonly errorMessage?: unknown }
  return String(errMsg ?? errorMessage ?? 'the request failed')
}
