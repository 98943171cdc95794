// /v1: sign in, who am I, a new token, my devices, sign out.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import type { Session, SignedInAccount } from '../sessions/session.ts'
import { sessionPageSize } from '../sessions/sessions.ts'
import { idempotencyKeyPattern } from '../sessions/sign-in-repeats.ts'
import { bearerToken, originOf, rotatedBy, type SignedIn } from './authenticate.ts'
import type { QuickRoutes } from './quick-checks.ts'
import { notePhone } from './request-log.ts'
import { isoTime } from './respond.ts'
import {
  callerOf,
  closed,
  closedWithoutBody,
  deviceOf,
  eitherOf,
  security,
  signedIn,
  type V1Parts,
  withBody,
} from './v1.ts'
import { type NewSession, problem } from './v1-schemas.ts'

const tags = ['sessions']
const IdempotencyKey = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      pattern: idempotencyKeyPattern,
      description:
        '128 random bits in base64url, 22 characters, chosen before the first try. The same request with the same key, within two minutes and while nobody has used the token, gets another token for the same session.',
      examples: ['q7tX1bK0Tn2mG4hJ8sLdZw'],
    }),
  ),
})
const SessionId = Type.Object({ id: Type.String({ description: 'As in the list of sessions.' }) })

const schemas = {
  create: {
    tags,
    summary: 'Sign in or up 登录或注册',
    description:
      "With phone number and either password or code. A code for a number without an account makes one. Which older sessions end is the server's policy: by default those of the same platform.",
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
  current: {
    tags,
    summary: 'Who am I 我是谁',
    operationId: 'getSession',
    security,
    response: { 200: { description: 'The session and its account', ...Type.Ref('SignedIn') }, ...closed },
  },
  endCurrent: {
    tags,
    summary: 'Sign out 注销',
    operationId: 'endSession',
    security,
    response: { 204: { description: 'Signed out, on every server', type: 'null' }, ...closedWithoutBody },
  },
  rotate: {
    tags,
    summary: 'New token 换令牌',
    description:
      'The old token stays good until the new one is first used, for 60 s at most, and until then gives the same new token again. Shown later, it ends the session.',
    operationId: 'rotateToken',
    security,
    response: {
      200: { description: 'The same session with a new token', ...Type.Ref('RotatedSession') },
      ...closedWithoutBody,
      429: problem('rate_limited'),
    },
  },
  list: {
    tags,
    summary: 'My devices 我的设备',
    operationId: 'listSessions',
    security,
    querystring: Type.Object(
      {
        after: Type.Optional(
          Type.String({ pattern: '^[A-Za-z0-9_-]{22}$', description: '`next` of the page before.' }),
        ),
      },
      { additionalProperties: false },
    ),
    response: {
      200: {
        description: 'The live sessions, oldest first, 200 at a time',
        ...Type.Ref('SessionList'),
      },
      ...closed,
    },
  },
  endAll: {
    tags,
    summary: 'Sign all other devices out 移除其他设备',
    operationId: 'endSessions',
    security,
    querystring: Type.Object(
      {
        all: Type.Optional(
          Type.Enum(['true', 'false'], { type: 'string', description: '`true`: this one too.' }),
        ),
      },
      { additionalProperties: false },
    ),
    response: {
      204: { description: 'They are over, on every server', type: 'null' },
      ...closedWithoutBody,
      429: problem('rate_limited'),
    },
  },
  endOther: {
    tags,
    summary: 'Sign a device out 移除设备',
    description:
      'A session of the account that is over already answers 204 as well, so that a lost answer may be asked again.',
    operationId: 'endSessionById',
    security,
    params: SessionId,
    response: {
      204: { description: 'The session is over, on every server', type: 'null' },
      ...closedWithoutBody,
      404: problem('session_not_found'),
      429: problem('rate_limited'),
    },
  },
} as const

/** The routes of /v1/session and /v1/sessions. */
export function v1SessionRoutes(
  { signIn, sessions, limiter }: Pick<V1Parts, 'signIn' | 'sessions' | 'limiter'>,
  quick: QuickRoutes,
) {
  return async (app: FastifyInstance): Promise<void> => {
    quick.push({ path: '/v1/session', tokenOf: bearerToken, answer: describe, namesSession: true })
    app.post('/v1/sessions', { schema: schemas.create, config: { open: true } }, createSession)
    app.get('/v1/session', { schema: schemas.current }, async (request) => describe(signedIn(request)))
    app.delete('/v1/session', { schema: schemas.endCurrent }, endCurrent)
    app.post('/v1/session/rotate', { schema: schemas.rotate }, rotateCurrent)
    app.get('/v1/sessions', { schema: schemas.list }, listSessions)
    app.delete('/v1/sessions', { schema: schemas.endAll }, endSessions)
    app.delete('/v1/sessions/:id', { schema: schemas.endOther }, endOther)

    async function createSession(request: FastifyRequest, reply: FastifyReply) {
      // The schemas have let only these shapes through.
      const body = request.body as Static<typeof NewSession>
      const headers = request.headers as Static<typeof IdempotencyKey>
      notePhone(request, body.phone_number)
      const arrival = {
        phoneNumber: body.phone_number,
        device: deviceOf(request, body.device),
        origin: originOf(request),
        deviceProof: body.device_proof ?? null,
        idempotencyKey: headers['idempotency-key'] ?? null,
      }
      const proof = eitherOf(body, 'password', 'code')
      const { token, session, account, created, deviceProof } =
        'code' in proof
          ? await signIn.byCode(arrival, proof.code, body.nickname ?? null)
          : await signIn.byPassword(arrival, proof.password)
      return reply.code(201).send({
        ...{ token, ...describe({ session, account }), created },
        ...(deviceProof !== null && { device_proof: deviceProof }),
      })
    }

    async function endCurrent(request: FastifyRequest, reply: FastifyReply) {
      const { id, accountId } = signedIn(request).session
      await sessions.end({ ...ofCaller(request), id, accountId, reason: 'signed_out' })
      return reply.code(204).send()
    }

    async function rotateCurrent(request: FastifyRequest) {
      await limiter.countWrite('rotate_token', callerOf(request))
      const { token, session } = await rotatedBy(bearerToken(request), sessions)
      return { token, session: publicSession(session, session.id) }
    }

    async function listSessions(request: FastifyRequest) {
      const { session: current } = signedIn(request)
      // The schema has let only this shape through.
      const { after = null } = request.query as { after?: string }
      const live = await sessions.list(current.accountId, after)
      const last = live.length < sessionPageSize ? undefined : live.at(-1)
      return {
        sessions: live.map((session) => publicSession(session, current.id)),
        ...(last && { next: last.id }),
      }
    }

    async function endSessions(request: FastifyRequest, reply: FastifyReply) {
      const { id, accountId } = signedIn(request).session
      // The schema has let only this shape through.
      const { all } = request.query as { all?: string }
      const except = all === 'true' ? null : id
      // Signing out is never refused by a limit: a session can end itself once.
      if (except !== null) await limiter.countWrite('end_session', { accountId, sessionId: id })
      await sessions.endAll({ ...ofCaller(request), accountId, except, reason: 'kicked' })
      return reply.code(204).send()
    }

    async function endOther(request: FastifyRequest, reply: FastifyReply) {
      const { session: current } = signedIn(request)
      // The schema has let only this shape through.
      const { id } = request.params as Static<typeof SessionId>
      const reason = id === current.id ? 'signed_out' : 'kicked'
      const { accountId } = current
      if (id !== current.id) await limiter.countWrite('end_session', { accountId, sessionId: current.id })
      await sessions.end({ ...ofCaller(request), id, accountId, reason })
      return reply.code(204).send()
    }
  }
}

/** On whose behalf a session ends, and where the request comes from. */
function ofCaller(request: FastifyRequest) {
  const by = callerOf(request)
  return { by, origin: by.origin }
}

function publicSession(session: Session, currentId: string) {
  return {
    id: session.id,
    platform: session.platform,
    device: { id: session.deviceId, name: session.deviceName, app_version: session.appVersion },
    ip: session.ip,
    created_at: isoTime(session.createdAt),
    seen_at: isoTime(session.seenAt),
    expires_at: isoTime(session.expiresAt),
    current: session.id === currentId,
  }
}

/** What a session's own app is told. */
function describe({ session, account }: SignedIn) {
  return { session: publicSession(session, session.id), account: publicAccount(account) }
}

function publicAccount({ id, phoneNumber, nickname }: SignedInAccount) {
  return { id, phone_number: phoneNumber, nickname }
}
