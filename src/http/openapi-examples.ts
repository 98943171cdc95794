// What /docs shows of each route: whole bodies and answers that a server could have taken and given. A test checks each
// of them against the schema of its route, and that no route is without.
import { AppError, type ErrorCode, type ErrorFacts, errorCodes } from '../errors.ts'
import { problemOf } from './respond.ts'
import { withoutTwin } from './twins.ts'

/** Under the names that people choose from. */
type Examples = Readonly<Record<string, unknown>>

interface RouteExamples {
  readonly body?: Examples
  /** By status; a problem needs none here, `problem` of v1-schemas.ts names those of its codes. */
  readonly answers?: Readonly<Record<number, Examples>>
}

const phone_number = '12345678901'
/** A number that gets codes; that of the tutorial is no mobile number. */
const mobile = '13800138000'
const code = '493817'
const password = 'a horse, a staple'
const token = 'hf_AaIBGLEAet2tp7E0JbgHfQ1fW1lUsX2shMW7BXOidT5kDfWKh068C44hxiUf2Iw9M'
/** What that one was rotated to: the same session and family, another end. */
const nextToken = 'hf_AaIBGLEAet2tp7E0JbgHfQ1fW1lUsX2shMW7BX5zSy027jvMKHdyt4ZV7sKhrgyWo'
const device = { platform: 'ios', id: '8C1F0A52-77B1-4E0A', name: 'iPhone 15', app_version: '2.1.0' }
const at = '2026-11-22T02:32:05.120Z'
const later = '2026-12-22T02:32:05.120Z'
/** HUFU_CLOSING_DAYS after `at`. */
const closesAt = '2026-12-07T02:32:05.120Z'
const id = '01a20118-b100-7e74-8bfc-a4850c38b84f'
const account = { id, phone_number: '+8612345678901', nickname: '测试用户1' }
const details = { ...account, avatar_url: null, locale: 'zh-CN', has_password: true, registered_at: at }
const session = {
  id: 'AaIBGLEAet2tp7E0JbgHfQ',
  platform: 'ios',
  device: { id: device.id, name: device.name, app_version: device.app_version },
  ip: '203.0.113.7',
  created_at: at,
  seen_at: at,
  expires_at: later,
  current: true,
}
const tablet = {
  ...session,
  id: 'AaIBGLEAdY-zPMNXdyZgbw',
  platform: 'android',
  device: { id: null, name: 'Xiaomi Pad 6', app_version: '2.0.3' },
  current: false,
}
const issued = {
  ...{ token, session, account, created: false },
  device_proof: 'hp_5y2m0gq1b3n7xkVt4WcR8sJdLhA9zEoUfPiNwYaQGTe',
}
const exported = {
  account: details,
  sessions: [
    {
      id: session.id,
      platform: session.platform,
      device_id: device.id,
      device_name: device.name,
      app_version: device.app_version,
      ip: session.ip,
      created_at: at,
      seen_at: at,
      ended_at: null,
      end_reason: null,
    },
  ],
  events: [
    {
      at,
      kind: 'signed_in',
      session_id: session.id,
      ip: session.ip,
      detail: { method: 'code', platform: 'ios' },
    },
  ],
}
const badToken = { code: 2, message: '验证信息错误' }

/** By `operationId`. */
const routes: Readonly<Record<string, RouteExamples>> = {
  createCode: {
    body: {
      'To sign in or up': { phone_number: mobile, purpose: 'sign_in', device },
      'To show that it is me': { phone_number, purpose: 'confirm' },
    },
    answers: { 202: { Sent: { resend_in: 60, expires_in: 300 } } },
  },
  createSession: {
    body: {
      'With a code': { phone_number: mobile, code, nickname: '测试用户1', device },
      'With a password': { phone_number, password, device },
    },
    answers: { 201: { 'Signed in': issued, 'Signed up': { ...issued, created: true } } },
  },
  getSession: { answers: { 200: { 'Signed in': { session, account } } } },
  rotateToken: { answers: { 200: { 'The next token': { token: nextToken, session } } } },
  listSessions: { answers: { 200: { 'Two devices': { sessions: [session, tablet] } } } },
  getAccount: { answers: { 200: { 'My account': details } } },
  updateAccount: {
    body: {
      'A new name': { nickname: '小虎' },
      'No picture any more': { avatar_url: null },
    },
    answers: { 200: { Changed: { ...details, nickname: '小虎' } } },
  },
  changePassword: {
    body: {
      'With the old one': { current_password: '123456', new_password: password },
      'With a code for confirm': { code, new_password: password },
    },
  },
  resetPassword: {
    body: { 'With a code for reset_password': { phone_number, code, new_password: password } },
  },
  changePhone: {
    body: {
      'And my password': { phone_number: mobile, code, confirmation: { password } },
      'And a code from the old number': {
        phone_number: mobile,
        code,
        confirmation: { code: '027164' },
      },
    },
    answers: { 200: { Moved: { ...details, phone_number: '+8613800138000' } } },
  },
  closeAccount: {
    body: { 'With a code for close_account': { code } },
    answers: { 202: { 'Will be removed': { closes_at: closesAt } } },
  },
  exportAccount: { answers: { 200: { Everything: exported } } },
  getLive: { answers: { 200: { Alive: { status: 'ok' } } } },
  getReady: {
    answers: {
      200: { Ready: { status: 'ok', database: 'ok', redis: 'not_used' } },
      503: {
        'Without its database': { status: 'not_ready', database: 'out_of_reach', redis: 'ok' },
        Stopping: { status: 'stopping', database: 'ok', redis: 'ok' },
      },
    },
  },
  sayHello: { answers: { 200: { Text: 'Hello World!' } } },
  classicSignIn: {
    body: { Anybody: { phone_number, password: '123456' } },
    answers: {
      200: {
        'Signed in': { code: 1, message: '成功登录', nickname: '测试用户1', token },
        'Wrong password': { code: 0, message: '密码错误' },
        'Unknown number': { code: 0, message: '没有此用户' },
      },
    },
  },
  classicUser: {
    answers: {
      200: {
        'Signed in': { code: 1, nickname: '测试用户1', phone_number },
        'Sign in again': badToken,
        'No token': { code: 0, message: '需要验证' },
      },
    },
  },
  classicSignOut: {
    answers: { 200: { 'Signed out': { code: 1, message: '成功注销' }, 'Sign in again': badToken } },
  },
}

const ended = { endedAt: Date.parse(at) }
const endedByDevice = { ...ended, endedBy: { platform: 'ios', deviceName: 'iPhone 15' } }
const facts: Partial<Record<ErrorCode, ErrorFacts>> = {
  phone_number_invalid: { phone: { problem: 'has_no_country_code', region: 'CN' } },
  phone_number_not_mobile: { phone: { problem: 'is_not_mobile', region: 'CN' } },
  country_not_served: { phone: { problem: 'is_not_served', region: 'CN', served: ['CN', 'HK'] } },
  invalid_request: { fields: [{ pointer: '/phone_number', problem: 'is_missing' }] },
  password_refused: { rule: 'is_common' },
  session_signed_out: endedByDevice,
  session_replaced: endedByDevice,
  session_kicked: endedByDevice,
  session_password_changed: endedByDevice,
  session_phone_changed: endedByDevice,
  session_account_closed: endedByDevice,
  session_phone_verified: endedByDevice,
  session_banned: ended,
  session_expired: ended,
  session_token_reused: ended,
  account_banned: { bannedUntil: Date.parse(later) },
}
const clock = { now: () => Date.parse(at) + 60_000, timeZone: 'Asia/Shanghai' }

/** `components.examples`: each problem once, for all routes that can answer it. */
export function problemExamples(): Record<string, { value: unknown }> {
  const entries = errorCodes.map((code) => {
    const error = new AppError(code, facts[code])
    return [code, { value: problemOf(error, { language: 'en', clock, requestId: 'q83PzT0b-1k' }) }] as const
  })
  return Object.fromEntries(entries)
}

/** As far as it matters here: an operation object of OpenAPI 3.1. */
export interface Operation {
  readonly operationId?: string
  readonly requestBody?: { readonly content: MediaTypes }
  readonly responses?: Readonly<Record<string, { readonly content?: MediaTypes }>>
}
type MediaTypes = Record<string, { examples?: unknown }>

/** Writes the examples of an operation into its description. */
export function addExamples(operation: Operation): void {
  const own = routes[withoutTwin(operation.operationId ?? '')]
  if (!own) return
  if (own.body) show(operation.requestBody?.content, own.body)
  for (const [status, examples] of Object.entries(own.answers ?? {})) {
    show(operation.responses?.[status]?.content, examples)
  }
}

function show(content: MediaTypes | undefined, examples: Examples): void {
  const named = Object.entries(examples).map(([name, value]) => [name, { value }])
  for (const mediaType of Object.values(content ?? {})) mediaType.examples = Object.fromEntries(named)
}
