// /v1/introspect: whose token is this? (RFC 7662)
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { AppError } from '../../errors.ts'
import type { KeyAllowance } from '../../service-keys/key-allowance.ts'
import type { Verified } from '../../sessions/session.ts'
import type { Verification } from '../../sessions/verification.ts'
import { problem } from '../problem-answers.ts'
import { lookUpToken, serviceKey } from '../service-caller.ts'
import { acceptFormsOnly } from './form-body.ts'
import { type ActiveToken, describeToken, type InactiveToken } from './introspection-answer.ts'

const batchMax = 100
/** Tokens of a batch that are verified at once. */
const atOnce = 20

/** Hufu has one kind of token, so `token_type_hint` and other parameters change nothing. */
const IntrospectionForm = Type.Object(
  { token: Type.String({ minLength: 1 }), token_type_hint: Type.Optional(Type.String()) },
  { additionalProperties: true },
)

const IntrospectionBatch = Type.Object(
  { tokens: Type.Array(Type.String({ minLength: 1 }), { minItems: 1, maxItems: batchMax }) },
  { additionalProperties: false },
)

const Introspection = Type.Object(
  {
    active: Type.Boolean({ description: 'Whether the token is valid now.' }),
    sub: Type.Optional(Type.String({ description: 'The id of the account.' })),
    sid: Type.Optional(Type.String({ description: 'The id of the session.' })),
    jti: Type.Optional(Type.String({ description: 'The same as `sid`.' })),
    exp: Type.Optional(
      Type.Integer({ description: 'Seconds since 1970 UTC; absent: the session does not expire.' }),
    ),
    iat: Type.Optional(Type.Integer({ description: 'When the session began, in seconds since 1970 UTC.' })),
    client_id: Type.Optional(Type.String({ description: 'The platform of the session.' })),
    token_type: Type.Optional(Type.String({ description: 'Always `Bearer`.' })),
    scope: Type.Optional(Type.String({ description: 'Empty: tokens have no scopes.' })),
    phone_number: Type.Optional(
      Type.Union([Type.String(), Type.Null()], { description: 'E.164; only with `introspect:phone`.' }),
    ),
    reason: Type.Optional(
      Type.String({ description: 'Why the token is not valid, a code; only with `introspect:reason`.' }),
    ),
    ended_at: Type.Optional(Type.String({ format: 'date-time', description: 'Beside `reason`.' })),
    unavailable: Type.Optional(
      Type.Boolean({ description: 'In a batch: this token could not be checked. It may be valid.' }),
    ),
  },
  { $id: 'Introspection' },
)

const IntrospectedBatch = Type.Object(
  { results: Type.Array(Type.Ref('Introspection'), { description: 'In the order of the tokens.' }) },
  { $id: 'IntrospectedBatch' },
)

export const introspectionSchemas = [Introspection, IntrospectedBatch]

const refusals = {
  400: problem('bad_request', 'credentials_conflict', 'key_expected'),
  401: problem('key_missing', 'key_unknown', 'key_revoked', 'key_expired'),
  403: problem('key_network_refused', 'key_scope_missing'),
  413: problem('body_too_large'),
  422: problem('invalid_request'),
  429: problem('rate_limited'),
  500: problem('internal'),
  503: problem('unavailable'),
}

const active = {
  active: true,
  sub: '01a20118-b100-7e74-8bfc-a4850c38b84f',
  sid: 'AaIBGLEAet2tp7E0JbgHfQ',
  jti: 'AaIBGLEAet2tp7E0JbgHfQ',
  exp: 1797993125,
  iat: 1795401125,
  client_id: 'ios',
  token_type: 'Bearer',
  scope: '',
}
const tags = ['introspection']
const security = [{ serviceKey: [] }, { serviceKeyBasic: [] }]

const routes = {
  one: {
    schema: {
      tags,
      summary: 'Whose token is this? 查询令牌',
      description:
        'RFC 7662. A token that is not valid gives `{"active":false}` and nothing more. Where the server cannot tell, the answer is 503 and never `active: false`. It counts as a use of the session.',
      operationId: 'introspect',
      security,
      consumes: ['application/x-www-form-urlencoded'],
      body: IntrospectionForm,
      response: {
        200: { description: 'Whether the token is valid, and whose it is', ...Type.Ref('Introspection') },
        ...refusals,
        415: problem('form_expected'),
      },
    },
    config: {
      scope: 'introspect',
      examples: {
        body: {
          'A token': { token: 'hf_AaIBGLEAet2tp7E0JbgHfQ1fW1lUsX2shMW7BXOidT5kDfWKh068C44hxiUf2Iw9M' },
        },
        answers: { 200: { Valid: active, 'Not valid': { active: false } } },
      },
    },
  },
  batch: {
    schema: {
      tags,
      summary: 'Whose tokens are these? 批量查询令牌',
      description: `Up to ${batchMax} tokens in one request.`,
      operationId: 'introspectBatch',
      security,
      body: IntrospectionBatch,
      response: {
        200: { description: 'One result for each token', ...Type.Ref('IntrospectedBatch') },
        ...refusals,
        400: problem('invalid_json', 'bad_request', 'credentials_conflict', 'key_expected'),
        415: problem('unsupported_media_type'),
      },
    },
    config: {
      scope: 'introspect',
      examples: {
        body: {
          'Two tokens': {
            tokens: ['hf_AaIBGLEAet2tp7E0JbgHfQ1fW1lUsX2shMW7BXOidT5kDfWKh068C44hxiUf2Iw9M', 'made up'],
          },
        },
        answers: { 200: { 'One is valid': { results: [active, { active: false }] } } },
      },
    },
  },
} as const

interface Parts {
  readonly verification: Verification
  readonly keyAllowance: KeyAllowance
  readonly asUnavailable: (error: unknown) => unknown
}

export async function introspectionRoutes(app: FastifyInstance, parts: Parts): Promise<void> {
  await app.register(async (forms) => {
    acceptFormsOnly(forms)
    forms.post('/v1/introspect', routes.one, introspect(parts))
  })
  app.post('/v1/introspect/batch', routes.batch, introspectBatch(parts))
}

function introspect({ verification, keyAllowance }: Parts) {
  return async (request: FastifyRequest) => {
    const { id, scopes } = serviceKey(request)
    // The schema has checked it.
    const { token } = request.body as { token: string }
    keyAllowance.take(id, 1)
    return describeToken(await lookUpToken(() => verification.verify(token)), scopes)
  }
}

type Result = ActiveToken | InactiveToken | typeof unavailable
const unavailable = { unavailable: true } as const

/**
 * Once a token could not be checked, those behind it are not tried: each of them could wait for a database
 * that does not answer.
 */
function introspectBatch(parts: Parts) {
  return async (request: FastifyRequest) => {
    const { id, scopes } = serviceKey(request)
    // The schema has checked it.
    const { tokens } = request.body as { tokens: string[] }
    parts.keyAllowance.take(id, tokens.length)
    const results: Result[] = []
    while (results.length < tokens.length && !results.includes(unavailable)) {
      const some = tokens.slice(results.length, results.length + atOnce)
      const verified = await Promise.all(some.map((token) => verifyOrNull(token, parts)))
      results.push(...verified.map((one) => (one === null ? unavailable : describeToken(one, scopes))))
    }
    if (results.every((result) => result === unavailable))
      throw new AppError('unavailable', { retryAfterSeconds: 1 })
    return { results: tokens.map((_token, i) => results[i] ?? unavailable) }
  }
}

/** null: the server cannot tell. */
async function verifyOrNull(token: string, { verification, asUnavailable }: Parts): Promise<Verified | null> {
  try {
    return await lookUpToken(() => verification.verify(token))
  } catch (error) {
    const known = asUnavailable(error)
    if (known instanceof AppError && known.code === 'unavailable') return null
    throw error
  }
}
