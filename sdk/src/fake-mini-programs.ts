// The HTTP functions of mini-program platforms, for tests: each behaves as its own documents describe.
import type { PlatformRequest } from './transport-request.ts'

export interface PlatformAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
}

/** The request as a server gets it, with the headers that the platform sends. */
export interface PlatformAsked {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | null
}

/** null: there is no network. */
export type PlatformServer = (asked: PlatformAsked) => PlatformAnswer | null

type Platform = (server: PlatformServer) => PlatformRequest

/** A platform like WeChat: every response is a success, and the option is called `header`. */
function likeWeChat(failure: object, { parses = false } = {}): Platform {
  return (server) => (options) => {
    const { method, url, header, data, success, fail } = options
    void Promise.resolve().then(() => {
      const answer = server({ method, url, headers: header, body: data ?? null })
      if (answer === null) return fail(failure)
      const { status: statusCode, headers, text } = answer
      success({ statusCode, header: headers, data: parses ? parsed(text) : text })
    })
    return { abort() {} }
  }
}

/** A platform like Alipay: the option is called `headers`, and every status but 200 is a failure. */
function likeAlipay(shape: (answer: PlatformAnswer) => object, failure: object): Platform {
  return (server) => (options) => {
    const { method, url, headers, data, success, fail } = options
    void Promise.resolve().then(() => {
      const answer = server({ method, url, headers, body: data ?? null })
      if (answer === null) fail(failure)
      else if (answer.status === 200) success(shape(answer))
      else fail({ error: 19, errorMessage: 'http status error', ...shape(answer) })
    })
    return { abort() {} }
  }
}

/** `dataType` should turn parsing off; these platforms parse anyway. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** The platforms by name, with shapes from their documents and from bug reports. */
export const platforms: Readonly<Record<string, Platform>> = {
  'wx.request': likeWeChat({ errMsg: 'request:fail ', errno: 600_001 }),
  'uni.request in an app': likeWeChat({ errMsg: 'request:fail abort statusCode:-1 Unable to resolve host' }),
  'tt.request (Douyin)': likeWeChat({ errMsg: 'request:fail network error', errNo: 103 }, { parses: true }),
  'swan.request (Baidu)': likeWeChat({ errMsg: 'request:fail', errCode: 202 }, { parses: true }),
  'ks.request (Kuaishou)': likeWeChat({ errMsg: 'request:fail' }),
  'my.request (Alipay)': likeAlipay(({ status, headers, text }) => ({ status, headers, data: text }), {
    error: 12,
    errorMessage: '网络异常，请稍后再试',
  }),
  'my.httpRequest (Alipay, old)': likeAlipay(
    ({ status, headers, text }) => ({ status, headers, data: parsed(text) }),
    { error: 12, status: 12 },
  ),
  'dd.httpRequest (DingTalk)': likeAlipay(
    ({ status, headers, text }) => ({
      status,
      // On Android, each header is an object.
      headers: Object.entries(headers).map(([name, value]) => ({ [name]: value })),
      data: parsed(text),
    }),
    { error: 12, errorMessage: 'network error' },
  ),
  'a platform with the status in error, and no headers': likeAlipay(
    ({ status, text }) => ({ error: status, data: text }),
    { error: 9, errorMessage: 'request:fail abort' },
  ),
  'Taro.request on Alipay': (server) => (options) => {
    const { method, url, headers, data } = options
    const answer = server({ method, url, headers, body: data ?? null })
    const { status: statusCode, headers: header, text } = answer ?? {}
    const result = { statusCode, header, data: text, errMsg: 'request:ok' }
    options.success(result)
    // It also returns a promise, and without a network a success without a status.
    return Promise.resolve(result)
  },
}
