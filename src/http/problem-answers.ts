// Problem responses in OpenAPI documents: the schema of problem details, an example of each code, and the
// codes that routes have in common.
import { Type } from 'typebox'
import { AppError, type ErrorCode, type ErrorFacts, errorCodes } from '../errors.ts'
import { problemOf } from './problem.ts'
import { at, later } from './v1/samples.ts'
import { nullable, Platform, time } from './v1/shapes.ts'

export const Problem = Type.Object(
  {
    type: Type.String({ examples: ['urn:hufu:problem:session_replaced'] }),
    title: Type.String({ description: 'For people, in the language of Accept-Language (zh-CN or en).' }),
    status: Type.Integer(),
    detail: Type.Optional(
      Type.String({
        description: 'What happened in this case, for people: 您的账号于 10:32 在 iPhone 15 登录。',
      }),
    ),
    code: Type.Enum([...errorCodes], {
      type: 'string',
      description: 'For programs. docs/errors.md explains each code.',
    }),
    request_id: Type.Optional(
      Type.String({ description: 'As in X-Request-Id; absent where the request could not be read.' }),
    ),
    fields: Type.Optional(
      Type.Array(
        Type.Object({
          pointer: Type.String({ description: 'JSON pointer (RFC 6901) into the body.' }),
          problem: Type.String({ examples: ['is_missing'] }),
          allowed: Type.Optional(
            Type.Array(Type.String(), {
              description: 'The values that the field may have; at most 20, then `…`.',
            }),
          ),
        }),
      ),
    ),
    rule: Type.Optional(Type.String({ description: 'Which rule a refused password breaks.' })),
    ended_at: Type.Optional(time('When the session ended.')),
    ended_by: Type.Optional(
      Type.Object(
        { platform: Platform, device_name: nullable(Type.String()) },
        { description: 'The device that ended the session.' },
      ),
    ),
    banned_until: Type.Optional(nullable(time(), 'End of the ban; null: permanent.')),
  },
  { $id: 'Problem', description: 'Problem details (RFC 9457).' },
)

/** The problem response of a route, with the codes that it can have. */
export function problem(...codes: string[]) {
  const examples = codes.map((code) => [code, { $ref: `#/components/examples/${code}` }])
  return {
    description: codes.join(', '),
    content: {
      'application/problem+json': { schema: Type.Ref('Problem'), examples: Object.fromEntries(examples) },
    },
  }
}

const ended = errorCodes.filter((code) => /^session_(?!not_found|limit)/.test(code))

/** Codes of a 401 that every route for signed-in callers may return. */
export const tokenRefused = ['token_missing', 'token_unknown', ...ended]

/** Problems that every route for signed-in callers may return. */
export const closed = {
  400: problem('bad_request', 'credentials_conflict', 'token_in_url', 'token_expected'),
  401: problem(...tokenRefused),
  500: problem('internal'),
  503: problem('unavailable'),
}

/** Problems that every route with a body may return. */
export const withBody = {
  400: problem('invalid_json', 'bad_request'),
  413: problem('body_too_large'),
  415: problem('unsupported_media_type'),
}

/** Problems that every route with a body for signed-in callers may return. */
export const closedWithBody = {
  ...closed,
  ...withBody,
  400: problem('invalid_json', 'bad_request', 'credentials_conflict', 'token_in_url', 'token_expected'),
}

/**
 * Problems that every writing route without a body for signed-in callers may return: such a route still
 * checks that the body is empty.
 */
export const closedWithoutBody = { ...closedWithBody, 422: problem('invalid_request') }

const endedAt = { endedAt: Date.parse(at) }
const endedByDevice = { ...endedAt, endedBy: { platform: 'ios', deviceName: 'iPhone 15' } }
const facts: Partial<Record<ErrorCode, ErrorFacts>> = {
  phone_number_invalid: { phone: { problem: 'has_no_country_code', region: 'CN' } },
  phone_number_not_mobile: { phone: { problem: 'is_not_mobile', region: 'CN' } },
  country_not_served: { phone: { problem: 'is_not_served', region: 'CN', served: ['CN', 'HK'] } },
  invalid_request: { fields: [{ pointer: '/phone_number', problem: 'is_missing' }] },
  password_refused: { rule: 'is_common' },
  rate_limited: { retryAfterSeconds: 30 },
  code_not_sent: { retryAfterSeconds: 30 },
  session_signed_out: endedByDevice,
  session_replaced: endedByDevice,
  session_kicked: endedByDevice,
  session_password_changed: endedByDevice,
  session_phone_changed: endedByDevice,
  session_account_closed: endedByDevice,
  session_phone_verified: endedByDevice,
  session_banned: endedAt,
  session_expired: endedAt,
  session_token_reused: endedAt,
  account_banned: { bannedUntil: Date.parse(later) },
}
const clock = { now: () => Date.parse(at) + 60_000, timeZone: 'Asia/Shanghai' }

/** `components.examples`: each problem once, for all routes that can return it. */
export function problemExamples(): Record<string, { value: unknown }> {
  const entries = errorCodes.map((code) => {
    const error = new AppError(code, facts[code] ?? {})
    return [code, { value: problemOf(error, { language: 'en', clock, requestId: 'q83PzT0b-1k' }) }] as const
  })
  return Object.fromEntries(entries)
}
