// /v1/sessions: sign in, list the account's devices, and sign devices out.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import type { SignInService } from '../../authentication/sign-in.ts'
import type { Limiter } from '../../limits/limiter.ts'
import { type Device, type Sessions, sessionPageSize } from '../../sessions/sessions.ts'
import { idempotencyKeyPattern } from '../../sessions/sign-in-repeats.ts'
import { callerOf, originOf, signedIn } from '../authenticate.ts'
import { bodyOf, headersOf, paramsOf, queryOf } from '../checked-input.ts'
import { closed, closedWithoutBody, problem, withBody } from '../problem-answers.ts'
import { notePhone } from '../request-log.ts'
import { onlyFieldOf } from './exactly-one-of.ts'
import { account, session, token } from './samples.ts'
import { describeSignedIn, publicSession } from './session.ts'
import { DeviceProof, NewDevice } from './shapes.ts'
import { methodNames, readCredential, signInExamples, signInFields } from './sign-in-fields.ts'

const NewSession = Type.Object(
  {
    ...signInFields,
    device: Type.Optional(NewDevice),
    device_proof: Type.Optional(DeviceProof),
  },
  {
    $id: 'NewSession',
    additionalProperties: false,
    description: 'With either `password` or `code`.',
  },
)

const IssuedSession = Type.Object(
  {
    token: Type.String({
      description:
        'The secret of the session. Returned only here; keep it in the secure storage of the device.',
    }),
    session: Type.Ref('Session'),
    account: Type.Ref('Account'),
    created: Type.Boolean({ description: 'Whether this sign-in created the account.' }),
    device_proof: Type.Optional(
      Type.String({
        description:
          'Keep it with the app, also after signing out, and send it with the next `POST /v1/codes`, `/v1/sessions` and `/v1/password-resets` for this number. Returned only here; absent where the request contained a valid one.',
      }),
    ),
  },
  { $id: 'IssuedSession' },
)

const SessionList = Type.Object(
  {
    sessions: Type.Array(Type.Ref('Session'), { maxItems: sessionPageSize }),
    next: Type.Optional(
      Type.String({
        description: 'Present where there are more sessions: pass it as `?after=` for the next page.',
      }),
    ),
  },
  { $id: 'SessionList' },
)

export const sessionsSchemas = [NewSession, IssuedSession, SessionList]

const IdempotencyKey = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      pattern: idempotencyKeyPattern,
      description:
        '128 random bits in base64url, 22 characters, chosen before the first try. The same request with the same key, within two minutes and before the token is used, gets the same answer again.',
      examples: ['q7tX1bK0Tn2mG4hJ8sLdZw'],
    }),
  ),
})
const SessionId = Type.Object({ id: Type.String({ description: 'As in the list of sessions.' }) })
const Page = Type.Object(
  {
    after: Type.Optional(
      Type.String({ pattern: '^[A-Za-z0-9_-]{22}$', description: '`next` of the previous page.' }),
    ),
  },
  { additionalProperties: false },
)
const Which = Type.Object(
  {
    all: Type.Optional(
      Type.Enum(['true', 'false'], {
        type: 'string',
        description: '`true`: the session of this request ends too.',
      }),
    ),
  },
  { additionalProperties: false },
)

const tags = ['sessions']
const security = [{ token: [] }]
const tablet = {
  ...session,
  id: 'AaIBGLEAdY-zPMNXdyZgbw',
  platform: 'android',
  device: { id: null, name: 'Xiaomi Pad 6', app_version: '2.0.3' },
  current: false,
}
const issuedExample = {
  ...{ token, session, account, created: false },
  device_proof: 'hp_5y2m0gq1b3n7xkVt4WcR8sJdLhA9zEoUfPiNwYaQGTe',
}

const routes = {
  create: {
    schema: {
      tags,
      summary: 'Sign in or sign up 登录或注册',
      description:
        "With phone number and either password or code. A code for a number without an account creates one. Which older sessions end is the server's policy: by default those of the same platform.",
      operationId: 'createSession',
      headers: IdempotencyKey,
      body: Type.Ref('NewSession'),
      response: {
        201: { description: 'Signed in', ...Type.Ref('IssuedSession') },
        ...withBody,
        401: problem('credentials_wrong', 'code_wrong'),
        403: problem('account_banned', 'sign_up_closed'),
        409: problem('session_limit_reached'),
        422: problem('invalid_request', 'phone_number_invalid'),
        429: problem('rate_limited'),
        500: problem('internal'),
        503: problem('overloaded', 'unavailable'),
      },
    },
    config: {
      caller: 'none',
      examples: {
        body: signInExamples,
        answers: { 201: { 'Signed in': issuedExample, 'Signed up': { ...issuedExample, created: true } } },
      },
    },
  },
  list: {
    schema: {
      tags,
      summary: 'My devices 我的设备',
      operationId: 'listSessions',
      security,
      querystring: Page,
      response: {
        200: {
          description: 'The live sessions, oldest first, 200 at a time',
          ...Type.Ref('SessionList'),
        },
        ...closed,
      },
    },
    config: { examples: { answers: { 200: { 'Two devices': { sessions: [session, tablet] } } } } },
  },
  endAll: {
    schema: {
      tags,
      summary: 'Sign all other devices out 让其他设备退出登录',
      operationId: 'endSessions',
      security,
      querystring: Which,
      response: {
        204: { description: 'They have ended, on every server', type: 'null' },
        ...closedWithoutBody,
        429: problem('rate_limited'),
      },
    },
  },
  endOne: {
    schema: {
      tags,
      summary: 'Sign a device out 让一台设备退出登录',
      description:
        'For a session of the account that had already ended, the response is 204 as well, so that the request can be repeated.',
      operationId: 'endSessionById',
      security,
      params: SessionId,
      response: {
        204: { description: 'The session has ended, on every server', type: 'null' },
        ...closedWithoutBody,
        404: problem('session_not_found'),
        429: problem('rate_limited'),
      },
    },
  },
} as const

interface Parts {
  readonly signIn: SignInService
  readonly sessions: Sessions
  readonly limiter: Limiter
}

export function sessionsRoutes(app: FastifyInstance, parts: Parts): void {
  app.post('/v1/sessions', routes.create, createSession(parts))
  app.get('/v1/sessions', routes.list, listSessions(parts))
  app.delete('/v1/sessions', routes.endAll, endSessions(parts))
  app.delete('/v1/sessions/:id', routes.endOne, endSessionById(parts))
}

function createSession({ signIn }: Parts) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const body = bodyOf(request, NewSession)
    notePhone(request, body.phone_number)
    const context = {
      device: deviceOf(request, body.device),
      origin: originOf(request),
      deviceProof: body.device_proof ?? null,
      idempotencyKey: headersOf(request, IdempotencyKey)['idempotency-key'] ?? null,
    }
    const [method, value] = onlyFieldOf(body, methodNames)
    const issued = await signIn.by(method, context, readCredential[method](value, body))
    const { token, session, account, created, deviceProof } = issued
    return reply.code(201).send({
      ...{ token, ...describeSignedIn({ session, account }), created },
      ...(deviceProof !== null && { device_proof: deviceProof }),
    })
  }
}

/** The device in a request body, with the address that the request came from. */
function deviceOf(request: FastifyRequest, device: Static<typeof NewDevice> | undefined): Device {
  const { platform = 'other', id = null, name = null, app_version = null } = device ?? {}
  return { platform, deviceId: id, deviceName: name, appVersion: app_version, ip: request.clientAddress }
}

function listSessions({ sessions }: Parts) {
  return async (request: FastifyRequest) => {
    const { session: current } = signedIn(request)
    const { after = null } = queryOf(request, Page)
    const live = await sessions.list(current.accountId, after)
    const last = live.length < sessionPageSize ? undefined : live.at(-1)
    return {
      sessions: live.map((session) => publicSession(session, current.id)),
      ...(last && { next: last.id }),
    }
  }
}

function endSessions({ sessions, limiter }: Parts) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const by = callerOf(request)
    const { accountId, sessionId, origin } = by
    const except = queryOf(request, Which).all === 'true' ? null : sessionId
    // No limit refuses a sign-out, because a session can end itself only once.
    if (except !== null) await limiter.countWrite('end_session', { accountId, sessionId })
    await sessions.endAll({ by, origin, accountId, except, reason: 'kicked' })
    return reply.code(204).send()
  }
}

function endSessionById({ sessions, limiter }: Parts) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const by = callerOf(request)
    const { accountId, sessionId, origin } = by
    const { id } = paramsOf(request, SessionId)
    const reason = id === sessionId ? 'signed_out' : 'kicked'
    if (id !== sessionId) await limiter.countWrite('end_session', { accountId, sessionId })
    await sessions.end({ by, origin, id, accountId, reason })
    return reply.code(204).send()
  }
}
