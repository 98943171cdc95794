// What a client sees of an error: status, text in two languages, and the public facts. The default format is
// problem details (RFC 9457).
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { AppError, ErrorCode, ErrorFacts, FieldFault } from '../errors.ts'
import { isoTime } from '../iso-time.ts'
import { allowedValues, fieldAdvice, type Language, type Words } from './field-words.ts'
import { requestAdvice } from './request-advice.ts'

interface PublicError {
  readonly status: number
  readonly zh: string
  readonly en: string
}

/** Every code, so that a new one does not compile without its text. docs/errors.md lists exactly these. */
export const publicErrors: Readonly<Record<ErrorCode, PublicError>> = {
  invalid_json: { status: 400, zh: '请求体不是有效的 JSON', en: 'The body is not valid JSON' },
  invalid_request: {
    status: 422,
    zh: '请求内容不符合要求',
    en: 'Some fields are missing or invalid',
  },
  bad_request: { status: 400, zh: '请求格式错误', en: 'The request is malformed' },
  unsupported_media_type: {
    status: 415,
    zh: '请求体必须是 application/json，且不能压缩',
    en: 'The body must be application/json, without compression',
  },
  form_expected: {
    status: 415,
    zh: '请求体必须是 application/x-www-form-urlencoded，且不能压缩',
    en: 'The body must be application/x-www-form-urlencoded, without compression',
  },
  body_too_large: {
    status: 413,
    zh: '请求体过大，上限 16 KiB',
    en: 'The body is too large; the limit is 16 KiB',
  },
  not_found: { status: 404, zh: '接口不存在', en: 'There is nothing at this address' },
  method_not_allowed: {
    status: 405,
    zh: '此接口不支持该请求方法',
    en: 'Method not allowed',
  },
  token_missing: {
    status: 401,
    zh: '请先登录：请求须带 Authorization: Bearer <令牌>',
    en: 'Sign in first: send the token as "Authorization: Bearer …"',
  },
  token_in_url: {
    status: 400,
    zh: '不要把令牌放在网址里，请使用 Authorization 头',
    en: 'A token must not be in the URL; send it in the Authorization header',
  },
  credentials_conflict: {
    status: 400,
    zh: '请求带有多个凭证，请只发送一个',
    en: 'The request has more than one credential; send exactly one',
  },
  token_unknown: { status: 401, zh: '令牌无效，请重新登录', en: 'Please sign in again' },
  session_signed_out: { status: 401, zh: '已退出登录', en: 'This session was signed out' },
  session_replaced: {
    status: 401,
    zh: '您的账号已在另一台设备上登录',
    en: 'You were signed out because your account signed in on another device',
  },
  session_kicked: {
    status: 401,
    zh: '此设备已被强制退出登录，请重新登录',
    en: 'This device was signed out',
  },
  session_banned: { status: 401, zh: '此账号已被封禁', en: 'This account is banned' },
  session_password_changed: {
    status: 401,
    zh: '密码已修改，请重新登录',
    en: 'The password was changed; sign in again',
  },
  session_phone_changed: {
    status: 401,
    zh: '手机号已更换，请重新登录',
    en: 'The phone number was changed; sign in again',
  },
  session_account_closed: {
    status: 401,
    zh: '此账号正在注销，重新登录可撤销',
    en: 'This account is being closed; sign in to keep it',
  },
  session_phone_verified: {
    status: 401,
    zh: '机主已验证此手机号，请重新登录',
    en: 'This phone number has been verified by its owner. Please sign in again',
  },
  session_expired: {
    status: 401,
    zh: '登录已过期，请重新登录',
    en: 'This session has expired; sign in again',
  },
  session_token_reused: {
    status: 401,
    zh: '旧令牌被再次使用，为安全起见已退出登录，请重新登录',
    en: 'An old token of this session was used again, so it was ended for safety; sign in again',
  },
  session_not_found: { status: 404, zh: '没有这个会话', en: 'There is no such session' },
  session_limit_reached: {
    status: 409,
    zh: '登录设备数已达上限，请先退出其他设备',
    en: 'Too many devices are signed in; sign out on another one first',
  },
  credentials_wrong: { status: 401, zh: '手机号或密码错误', en: 'The phone number or the password is wrong' },
  code_wrong: {
    status: 401,
    zh: '验证码错误或已失效',
    en: 'That code is wrong or has expired',
  },
  code_not_sent: {
    status: 503,
    zh: '验证码未能发送，请稍后再试',
    en: 'The code could not be sent; try again shortly',
  },
  rate_limited: {
    status: 429,
    zh: '操作过于频繁，请稍后再试',
    en: 'Too many attempts. Please try again later',
  },
  sign_up_closed: { status: 403, zh: '暂不开放注册', en: 'Sign-up is closed' },
  phone_number_invalid: { status: 422, zh: '手机号格式错误', en: 'Enter a valid phone number' },
  phone_number_not_mobile: {
    status: 422,
    zh: '此号码不能接收验证码，请使用手机号',
    en: 'This number cannot receive codes; use a mobile number',
  },
  country_not_served: {
    status: 422,
    zh: '暂不向该国家或地区的号码发送验证码',
    en: 'Codes are not sent to numbers of this country or region',
  },
  phone_number_taken: { status: 409, zh: '此手机号已注册', en: 'This phone number has an account already' },
  phone_number_missing: { status: 409, zh: '此账号没有绑定手机号', en: 'This account has no phone number' },
  password_refused: { status: 422, zh: '密码不符合要求', en: 'This password is not acceptable' },
  account_not_found: { status: 404, zh: '没有这个账号', en: 'There is no such account' },
  account_banned: { status: 403, zh: '此账号已被封禁', en: 'This account is banned' },
  key_missing: {
    status: 401,
    zh: '此接口需要服务密钥：Authorization: Bearer hfk_…',
    en: 'Send a service key as "Authorization: Bearer hfk_…"',
  },
  key_unknown: { status: 401, zh: '服务密钥无效', en: 'This service key is not valid' },
  key_revoked: { status: 401, zh: '此服务密钥已吊销', en: 'This service key was revoked' },
  key_expired: { status: 401, zh: '此服务密钥已过期', en: 'This service key has expired' },
  key_network_refused: {
    status: 403,
    zh: '此服务密钥不能在这个网络使用',
    en: 'This service key may not be used from this network',
  },
  key_scope_missing: {
    status: 403,
    zh: '此服务密钥没有这个接口所需的权限',
    en: 'This service key does not have the scope that this route needs',
  },
  key_expected: {
    status: 400,
    zh: '此接口需要服务密钥，收到的是用户令牌',
    en: "This route needs a service key; the request has a user's token",
  },
  gateway_key_refused: {
    status: 403,
    zh: '网关的服务密钥（Hufukey 头）无效',
    en: "The gateway's service key, in the header Hufukey, is not accepted",
  },
  token_expected: {
    status: 400,
    zh: '此接口需要用户令牌，收到的是服务密钥',
    en: "This route needs a user's token; the request has a service key",
  },
  key_not_found: { status: 404, zh: '没有这个服务密钥', en: 'There is no such service key' },
  key_rotating: {
    status: 409,
    zh: '此服务密钥上次轮换前的密钥仍然有效',
    en: 'The secret before the last rotation of this service key is still valid',
  },
  key_limit_reached: { status: 409, zh: '服务密钥数量已达上限', en: 'There are too many service keys' },
  key_rights_exceeded: {
    status: 403,
    zh: '新密钥的权限不能超过创建它的密钥',
    en: 'A key cannot have more rights than the key that creates it',
  },
  overloaded: { status: 503, zh: '服务繁忙，请稍后再试', en: 'The server is busy; try again shortly' },
  unavailable: {
    status: 503,
    zh: '服务暂时不可用，请稍后再试',
    en: 'Service temporarily unavailable. Please try again shortly',
  },
  internal: { status: 500, zh: '服务器内部错误', en: 'Something went wrong inside the server' },
}

/**
 * The supported language that an Accept-Language header (RFC 9110, section 12.5.4) prefers; English where it
 * names none.
 */
function languageOf(acceptLanguage: string | undefined): Language {
  const wanted = (acceptLanguage ?? '')
    .slice(0, 200)
    .split(',')
    .map((item) => {
      const [tag = '', ...parameters] = item.trim().toLowerCase().split(';')
      const quality = /^\s*q=([01](?:\.\d{1,3})?)\s*$/.exec(parameters[0] ?? 'q=1')?.[1]
      return {
        language: /^zh\b/.test(tag) ? 'zh-CN' : /^en\b/.test(tag) ? 'en' : null,
        quality: Number(quality ?? 0),
      }
    })
    .filter(({ language, quality }) => language !== null && quality > 0)
    .sort((a, b) => b.quality - a.quality)
  return wanted[0]?.language === 'zh-CN' ? 'zh-CN' : 'en'
}

function publicField({ pointer, problem, allowed }: FieldFault) {
  return { pointer, problem, ...(allowed && { allowed: allowedValues(allowed) }) }
}

/** The facts that a problem may show. Facts that are not listed here stay internal. */
function publicFacts({ fields, phone, rule, endedAt, endedBy, bannedUntil }: ErrorFacts) {
  return {
    ...(fields && { fields: fields.map(publicField) }),
    ...(phone && { fields: [{ pointer: '/phone_number', problem: phone.problem }] }),
    ...(rule && { rule }),
    ...(endedAt !== undefined && { ended_at: isoTime(endedAt) }),
    ...(endedBy && { ended_by: { platform: endedBy.platform, device_name: endedBy.deviceName } }),
    ...(bannedUntil !== undefined && { banned_until: isoTime(bannedUntil) }),
  }
}

/** The headers that belong to an error, whatever the format of its body. */
export function setErrorHeaders(reply: FastifyReply, { code, facts }: AppError): void {
  if (facts.retryAfterSeconds !== undefined) reply.header('retry-after', String(facts.retryAfterSeconds))
  if (facts.allow) reply.header('allow', facts.allow.join(', '))
  if (publicErrors[code].status !== 401 || code === 'credentials_wrong' || code === 'code_wrong') return
  // RFC 6750, section 3.1: no error code where no credential was sent.
  const bearer =
    code === 'token_missing' || code === 'key_missing' ? 'Bearer' : 'Bearer error="invalid_token"'
  // RFC 7617: services may also use Basic.
  reply.header('www-authenticate', code.startsWith('key_') ? `${bearer}, Basic realm="hufu"` : bearer)
}

/** The code in headers as well: a gateway may replace the body of a refusal by its own. */
function setGatewayHeaders(reply: FastifyReply, { code }: AppError): void {
  reply.header('hufucode', code)
  if (publicErrors[code].status !== 401) return
  const error = code === 'token_missing' ? '' : 'error="invalid_token", '
  reply.header('www-authenticate', `Bearer ${error}error_description="${code}"`)
}

/** The time, and the time zone for Chinese texts. */
export interface WallClock {
  /** Milliseconds since 1970 UTC. */
  readonly now: () => number
  /** A name of the IANA database. */
  readonly timeZone: string
}

/** For people, where the device has no name. `classic` and `other` have no description. */
const platformNames: Readonly<Record<string, Words>> = {
  ios: { 'zh-CN': 'iOS 设备', en: 'an iOS device' },
  android: { 'zh-CN': 'Android 设备', en: 'an Android device' },
  harmony: { 'zh-CN': '鸿蒙设备', en: 'a HarmonyOS device' },
  mini_program: { 'zh-CN': '小程序', en: 'a mini program' },
  web: { 'zh-CN': '网页', en: 'the web' },
  desktop: { 'zh-CN': '电脑', en: 'a computer' },
}

type PhoneProblem = NonNullable<ErrorFacts['phone']>['problem']

type Advice = (region: string, served: string) => string

/** For a number of a region that has no mobile numbers of this length. */
const notOfRegion: Readonly<Record<Language, (region: string) => string>> = {
  'zh-CN': (region) =>
    `这不是${region}的手机号（是座机号，或者位数有误？）。请使用手机号；其他国家或地区的号码请写上 + 和国家代码，例如 +44 7400 123456。`,
  en: (region) =>
    `This is not a mobile number of ${region} (is it a landline, or are digits missing?). Use a mobile number; for another country write + and its code, for example +44 7400 123456.`,
}

/**
 * What a person can do about a refused phone number, with the names of the server's default region and of the
 * served regions.
 */
const phoneAdvice: Readonly<Record<PhoneProblem, Readonly<Record<Language, Advice>>>> = {
  has_wrong_form: {
    'zh-CN': () => '请只输入数字，可以有空格、连字符和括号；国家代码前面写 +。',
    en: () => 'Use digits, spaces, hyphens and brackets only, and + in front of a country code.',
  },
  has_no_country_code: notOfRegion,
  is_not_mobile: {
    'zh-CN': (region) =>
      `验证码只能发到手机。其他国家或地区的手机号请写上 + 和国家代码，否则按${region}的号码处理。`,
    en: (region) =>
      `Codes are text messages and go to mobile numbers only. A number without + and a country code is read as a number of ${region}.`,
  },
  is_not_served: {
    'zh-CN': (_region, served) => `验证码只发往：${served}。`,
    en: (_region, served) => `Codes go to: ${served}.`,
  },
  is_not_possible: {
    'zh-CN': () => '没有这样的手机号：请检查国家代码和位数。',
    en: () => 'There is no such mobile number: check the country code and the number of digits.',
  },
}

/** At most this many of the regions that may receive codes are listed. */
const namedRegions = 10

/** What to do about the phone number of an error, for people; null where the error is not about a number. */
export function phoneAdviceOf({ facts: { phone } }: AppError, language: Language): string | null {
  if (!phone) return null
  const names = new Intl.DisplayNames(language, { type: 'region' })
  const nameOf = (region: string) => names.of(region) ?? region
  const served = phone.served?.slice(0, namedRegions).map(nameOf) ?? []
  const more = (phone.served?.length ?? 0) > namedRegions ? ['…'] : []
  const list = [...served, ...more].join(language === 'zh-CN' ? '、' : ', ')
  if (phone.lengthOf !== undefined) return notOfRegion[language](nameOf(phone.lengthOf))
  return phoneAdvice[phone.problem][language](nameOf(phone.region), list)
}

/** What a person can do about a refused password. */
const passwordAdvice: Readonly<Record<NonNullable<ErrorFacts['rule']>, Words>> = {
  too_short: { 'zh-CN': '密码太短：至少 8 个字符。', en: 'It is too short. Use at least 8 characters.' },
  too_long: { 'zh-CN': '密码太长：最多 256 个字符。', en: 'It is too long. Use at most 256 characters.' },
  is_phone_number: {
    'zh-CN': '密码不能是手机号：请换一个。',
    en: 'It is the phone number. Choose another one.',
  },
  is_common: {
    'zh-CN': '密码太常见，很容易被猜到：请换一个。',
    en: 'It is a common one and easy to guess. Choose another one.',
  },
}

/**
 * Words inside a Chinese sentence, which has a space beside a Latin letter or a digit and none beside a
 * Chinese one.
 */
const spaced = (words: string): string =>
  `${/^[\p{Script=Latin}\d]/u.test(words) ? ' ' : ''}${words}${/[\p{Script=Latin}\d]$/u.test(words) ? ' ' : ''}`

/** The refusals whose end a person waits for. The others pass within seconds. */
const waits: ReadonlySet<ErrorCode> = new Set(['rate_limited', 'code_not_sent'])

/** The seconds are those of `Retry-After`. */
const waitAdvice: Readonly<Record<Language, (seconds: number) => string>> = {
  'zh-CN': (seconds) => `请等待 ${seconds} 秒。`,
  en: (seconds) => `Wait ${seconds} s.`,
}

/** What happened in this case, where the title alone does not say it. */
function detailOf(error: AppError, language: Language, clock: WallClock): string | undefined {
  const { code, facts } = error
  if (facts.refusedKey) return publicErrors[facts.refusedKey][language === 'en' ? 'en' : 'zh']
  if (facts.phone) return phoneAdviceOf(error, language) ?? undefined
  if (facts.rule) return passwordAdvice[facts.rule][language]
  const seconds = facts.retryAfterSeconds
  if (seconds !== undefined && waits.has(code)) return waitAdvice[language](seconds)
  if (code === 'invalid_request' && facts.fields?.[0]) return fieldAdvice(facts.fields[0], language)
  if (code !== 'session_replaced' || facts.endedAt === undefined) return undefined
  return replacedDetail(facts.endedAt, facts.endedBy, language, clock)
}

/** On which device, and when, the sign-in was that replaced a session. */
function replacedDetail(
  endedAt: number,
  endedBy: ErrorFacts['endedBy'],
  language: Language,
  clock: WallClock,
): string {
  const isToday = clock.now() - endedAt < 20 * 3_600_000
  const time = new Intl.DateTimeFormat(language, {
    // Readers of English may be anywhere, so a time in the installation's zone would mean nothing to them
    // without the zone's name.
    timeZone: language === 'en' ? 'UTC' : clock.timeZone,
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
    ...(!isToday && { month: 'short', day: 'numeric' }),
  }).format(endedAt)
  const { deviceName, platform } = endedBy ?? {}
  const device = deviceName ?? platformNames[platform ?? '']?.[language] ?? null
  if (language === 'zh-CN') {
    return `您的账号于 ${time} 在${spaced(device ?? '另一台设备')}登录。如非本人操作，请尽快修改密码。`
  }
  return `Your account signed in on ${device ?? 'another device'} at ${time} UTC. If this was not you, change your password.`
}

/** The problem details (RFC 9457) of an error. */
export function problemOf(
  error: AppError,
  {
    language,
    clock,
    requestId,
    advice,
  }: { language: Language; clock: WallClock; requestId: string; advice?: string | undefined },
) {
  const { status, zh, en } = publicErrors[error.code]
  const detail = detailOf(error, language, clock) ?? advice
  return {
    type: `urn:hufu:problem:${error.code}`,
    title: language === 'zh-CN' ? zh : en,
    status,
    ...(detail !== undefined && { detail }),
    code: error.code,
    request_id: requestId,
    ...publicFacts(error.facts),
  }
}

/** Sends problem details. */
export function sendProblem(
  request: FastifyRequest,
  reply: FastifyReply,
  error: AppError,
  clock: WallClock,
): FastifyReply {
  const language = languageOf(request.headers['accept-language'])
  const advice = requestAdvice(request, error)?.[language]
  setErrorHeaders(reply, error)
  if (request.routeOptions.config?.isCopy) setGatewayHeaders(reply, error)
  return reply
    .code(publicErrors[error.code].status)
    .header('content-language', language)
    .type('application/problem+json; charset=utf-8')
    .send(JSON.stringify(problemOf(error, { language, clock, requestId: request.id, advice })))
}
