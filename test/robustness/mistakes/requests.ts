// Mistakes in requests, as with curl.
import type { Language, Mistake } from './mistake.ts'

interface Sent {
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly body?: string
}

interface Problem {
  readonly title: string
  readonly detail?: string
  readonly fields?: readonly { readonly pointer: string }[]
}

const languages: Readonly<Record<Language, string>> = { 'zh-CN': 'zh-CN', en: 'en' }
const json = { 'content-type': 'application/json' }
const good = '{"phone_number":"13800005223","password":"correct horse battery"}'

/** Sends a request. The message is the title and the detail of the response, and the fields. */
function request(path: string, { headers, ...rest }: Sent = {}): Mistake['make'] {
  return async ({ server }, language) => {
    const response = await fetch(server.url + path, {
      ...rest,
      headers: { 'accept-language': languages[language], ...headers },
    })
    // Every response to a mistake is problem details.
    const { title, detail, fields = [] } = (await response.json()) as Problem
    const text = detail === undefined ? title : `${title}. ${detail}`
    return [text, ...fields.map(({ pointer }) => pointer)].join(' ')
  }
}

export const requestMistakes: readonly Mistake[] = [
  {
    mistake: 'curl -d without a content type, which sends a form',
    make: request('/v1/sessions', {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: good,
    }),
    en: 'The body must be application/json, without compression. The body came as application/x-www-form-urlencoded. Send JSON with Content-Type: application/json, for example curl -H \'Content-Type: application/json\' -d \'{"name":"value"}\'.',
    zh: '请求体必须是 application/json，且不能压缩. 请求体的类型是 application/x-www-form-urlencoded：请发送 JSON，并带上 Content-Type: application/json，例如 curl -H \'Content-Type: application/json\' -d \'{"name":"value"}\'。',
    wrong: 'application/x-www-form-urlencoded',
    instead: 'Content-Type: application/json',
  },
  {
    mistake: 'single quotes around the body in a Windows command prompt',
    make: request('/v1/sessions', { method: 'POST', headers: json, body: `'{phone_number:13800005223}'` }),
    en: 'The body is not valid JSON. Send a JSON object in UTF-8 … -d @body.json.',
    zh: '请求体不是有效的 JSON. 请求体应为 UTF-8 的 JSON 对象…-d @body.json。',
    wrong: 'JSON',
    instead: '-d "{\\"name\\":\\"value\\"}"',
  },
  {
    mistake: 'a POST without a body',
    make: request('/v1/sessions', { method: 'POST', headers: json }),
    en: 'The body is not valid JSON. The body is empty. Send a JSON object, for example {"name":"value"}.',
    zh: '请求体不是有效的 JSON. 请求体是空的：请发送 JSON 对象，例如 {"name":"value"}。',
    wrong: 'JSON',
    instead: '{"name":"value"}',
  },
  {
    mistake: 'GET in the place of POST',
    make: request('/v1/codes'),
    en: 'Method not allowed. GET is not possible here; use POST.',
    zh: '此接口不支持该请求方法. 不支持 GET：请用 POST。',
    wrong: 'GET',
    instead: 'POST',
  },
  {
    mistake: 'a slash at the end of the address',
    make: request('/v1/sessions/', { method: 'POST', headers: json, body: good }),
    en: 'There is nothing at this address. The request was for /v1/sessions/; is /v1/sessions meant? All addresses are listed at /docs.',
    zh: '接口不存在. 请求的是 /v1/sessions/，是否应为 /v1/sessions？全部接口见 /docs。',
    wrong: '/v1/sessions/',
    instead: '/docs',
  },
  {
    mistake: 'the version twice in the address',
    make: request('/v1/v1/sessions', { method: 'POST', headers: json, body: good }),
    en: 'There is nothing at this address. The request was for /v1/v1/sessions; is /v1/sessions meant? All addresses are listed at /docs.',
    zh: '接口不存在. 请求的是 /v1/v1/sessions，是否应为 /v1/sessions？全部接口见 /docs。',
    wrong: '/v1/v1/sessions',
    instead: '/docs',
  },
  {
    mistake: 'a base address that ends with a slash, so that there are two',
    make: request('//v1/sessions', { method: 'POST', headers: json, body: good }),
    en: 'There is nothing at this address. The request was for //v1/sessions; is /v1/sessions meant? All addresses are listed at /docs.',
    zh: '接口不存在. 请求的是 //v1/sessions，是否应为 /v1/sessions？全部接口见 /docs。',
    wrong: '//v1/sessions',
    instead: '/docs',
  },
  {
    mistake: '/api in front of the address',
    make: request('/api/v1/sessions', { method: 'POST', headers: json, body: good }),
    en: 'There is nothing at this address. The request was for /api/v1/sessions; is /v1/sessions meant? All addresses are listed at /docs.',
    zh: '接口不存在. 请求的是 /api/v1/sessions，是否应为 /v1/sessions？全部接口见 /docs。',
    wrong: '/api/v1/sessions',
    instead: '/docs',
  },
  {
    mistake: 'an address of the tutorial under /v1',
    make: request('/v1/login', { method: 'POST', headers: json, body: good }),
    en: 'There is nothing at this address. The request was for /v1/login; is /v1/sessions meant? All addresses are listed at /docs.',
    zh: '接口不存在. 请求的是 /v1/login，是否应为 /v1/sessions？全部接口见 /docs。',
    wrong: '/v1/login',
    instead: '/docs',
  },
  {
    mistake: 'no token',
    make: request('/v1/session'),
    en: 'Sign in first: send the token as "Authorization: Bearer …"',
    zh: '请先登录：请求须带 Authorization: Bearer <令牌>',
    wrong: 'Authorization',
    instead: 'Authorization: Bearer ',
  },
  {
    mistake: 'a token without Bearer',
    make: request('/v1/session', { headers: { authorization: 'hf_hunter2' } }),
    en: 'Sign in first: … The header Authorization does not begin with Bearer and a space. Send Authorization: Bearer <token>.',
    zh: '请先登录：… Authorization 头没有以 Bearer 和空格开头：请发送 Authorization: Bearer <令牌>。',
    wrong: 'Authorization',
    instead: 'Authorization: Bearer <',
  },
  {
    mistake: 'Bearer without a token, from an empty variable of the shell',
    make: request('/v1/session', { headers: { authorization: 'Bearer ' } }),
    en: 'Sign in first: … There is no token after Bearer. Did the sign-in before it succeed?',
    zh: '请先登录：… Bearer 后面没有令牌。之前的登录成功了吗？',
    wrong: 'Bearer',
    instead: { en: 'Did the sign-in before it succeed?', 'zh-CN': '之前的登录成功了吗？' },
  },
  {
    mistake: 'a part of a token',
    make: request('/v1/session', { headers: { authorization: 'Bearer hf_hunter2' } }),
    en: 'Please sign in again. This is not a whole token.',
    zh: '令牌无效，请重新登录. 这不是一个完整的令牌。',
    wrong: null,
    instead: { en: 'a whole token', 'zh-CN': '完整的令牌' },
  },
  {
    mistake: 'a token of the right form that no session has',
    make: request('/v1/session', { headers: { authorization: `Bearer hf_${'A'.repeat(65)}` } }),
    en: 'Please sign in again',
    zh: '令牌无效，请重新登录',
    wrong: null,
    instead: { en: 'sign in', 'zh-CN': '登录' },
  },
  {
    mistake: "the tutorial's header token at /v1",
    make: request('/v1/session', { headers: { token: 'hf_hunter2' } }),
    en: 'Sign in first: … /v1 does not read the header token. Send Authorization: Bearer <token>.',
    zh: '请先登录：… /v1 不读取 token 头：请发送 Authorization: Bearer <令牌>。',
    wrong: 'token',
    instead: 'Authorization: Bearer <',
  },
  {
    mistake: 'a token in the query',
    make: request('/v1/session?token=hf_hunter2'),
    en: 'A token must not be in the URL; send it in the Authorization header',
    zh: '不要把令牌放在网址里，请使用 Authorization 头',
    wrong: null,
    instead: 'Authorization',
  },
  {
    mistake: 'a number of another country without +',
    make: request('/v1/codes', {
      method: 'POST',
      headers: json,
      body: '{"phone_number":"07400123456","purpose":"sign_in"}',
    }),
    en: 'Enter a valid phone number. This is not a mobile number of China (is it a landline, or are digits missing?). Use a mobile number; for another country write + and its code, for example +44 7400 123456. /phone_number',
    zh: '手机号格式错误. 这不是中国的手机号（是座机号，或者位数有误？）。请使用手机号；其他国家或地区的号码请写上 + 和国家代码，例如 +44 7400 123456。 /phone_number',
    wrong: '/phone_number',
    instead: '+44 7400 123456',
  },
  {
    mistake: 'a landline with the country code',
    make: request('/v1/codes', {
      method: 'POST',
      headers: json,
      body: '{"phone_number":"+862162345678","purpose":"sign_in"}',
    }),
    en: 'Enter a valid phone number. This is not a mobile number of China (is it a landline, or are digits missing?). Use a mobile number; for another country write + and its code, for example +44 7400 123456. /phone_number',
    zh: '手机号格式错误. 这不是中国的手机号（是座机号，或者位数有误？）。请使用手机号；其他国家或地区的号码请写上 + 和国家代码，例如 +44 7400 123456。 /phone_number',
    wrong: '/phone_number',
    instead: '+44 7400 123456',
  },
  {
    mistake: 'a landline as it is dialled',
    make: request('/v1/codes', {
      method: 'POST',
      headers: json,
      body: '{"phone_number":"021-62345678","purpose":"sign_in"}',
    }),
    en: 'Enter a valid phone number. This is not a mobile number of China (is it a landline, or are digits missing?). Use a mobile number; for another country write + and its code, for example +44 7400 123456. /phone_number',
    zh: '手机号格式错误. 这不是中国的手机号（是座机号，或者位数有误？）。请使用手机号；其他国家或地区的号码请写上 + 和国家代码，例如 +44 7400 123456。 /phone_number',
    wrong: '/phone_number',
    instead: '+44 7400 123456',
  },
  {
    mistake: 'a code that is wrong',
    make: request('/v1/sessions', {
      method: 'POST',
      headers: json,
      body: '{"phone_number":"13800005299","code":"000000"}',
    }),
    en: 'That code is wrong or has expired. Check the six digits, or get a new code.',
    zh: '验证码错误或已失效. 请检查六位数字，或重新获取验证码。',
    wrong: null,
    instead: { en: 'get a new code', 'zh-CN': '重新获取验证码' },
  },
]
