// /v1/session: the caller's own session. Read it, rotate its token, and sign out.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { isoTime } from '../../iso-time.ts'
import type { Limiter } from '../../limits/limiter.ts'
import type { Session as DomainSession } from '../../sessions/session.ts'
import type { Sessions } from '../../sessions/sessions.ts'
import type { Verification } from '../../sessions/verification.ts'
import { bearerToken, callerOf, rotatedBy, type SignedIn, signedIn } from '../authenticate.ts'
import type { FastRoute } from '../fast-path.ts'
import { printableAscii } from '../patterns.ts'
import { closed, closedWithoutBody, problem } from '../problem-answers.ts'
import { account, session } from './samples.ts'
import { deviceLengths, nullable, Platform, time } from './shapes.ts'

const Account = Type.Object(
  {
    id: Type.String({ description: 'UUID.' }),
    phone_number: nullable(Type.String({ description: 'E.164.', examples: ['+8612345678901'] })),
    nickname: nullable(Type.String()),
  },
  { $id: 'Account' },
)

const Session = Type.Object(
  {
    id: Type.String({
      maxLength: 22,
      description: 'Identifies the session. It is public and grants no access.',
    }),
    platform: Platform,
    device: Type.Object({
      id: nullable(Type.String({ maxLength: deviceLengths.id, pattern: printableAscii })),
      name: nullable(Type.String({ maxLength: deviceLengths.name })),
      app_version: nullable(Type.String({ maxLength: deviceLengths.appVersion })),
    }),
    ip: nullable(Type.String({ maxLength: 45 }), 'Address of the sign-in.'),
    created_at: time('Time of the sign-in.'),
    seen_at: time('Time of the last use: in lists exact to a minute, otherwise to an hour.'),
    expires_at: nullable(time(), 'When the session expires unless it is used before; null: never.'),
    current: Type.Boolean({ description: 'Whether it is the session of this request.' }),
  },
  { $id: 'Session' },
)

const SignedInSchema = Type.Object(
  { session: Type.Ref('Session'), account: Type.Ref('Account') },
  { $id: 'SignedIn' },
)

const RotatedSession = Type.Object(
  {
    token: Type.String({
      description:
        'Replaces the previous token. Write it to the secure storage of the device before you use it.',
    }),
    session: Type.Ref('Session'),
  },
  { $id: 'RotatedSession' },
)

export const sessionSchemas = [Account, Session, SignedInSchema, RotatedSession]

const tags = ['sessions']
const security = [{ token: [] }]
/**
 * The token after a rotation of the sample token: the same session and family, and another secret at the end.
 */
const nextToken = 'hf_AaIBGLEAet2tp7E0JbgHfQ1fW1lUsX2shMW7BX5zSy027jvMKHdyt4ZV7sKhrgyWo'

const routes = {
  get: {
    schema: {
      tags,
      summary: 'Who am I 当前会话',
      operationId: 'getSession',
      security,
      response: {
        200: { description: 'The session and its account', ...Type.Ref('SignedIn') },
        ...closed,
      },
    },
    config: { examples: { answers: { 200: { 'Signed in': { session, account } } } } },
  },
  end: {
    schema: {
      tags,
      summary: 'Sign out 退出登录',
      operationId: 'endSession',
      security,
      response: { 204: { description: 'Signed out, on every server', type: 'null' }, ...closedWithoutBody },
    },
  },
  rotate: {
    schema: {
      tags,
      summary: 'New token 轮换令牌',
      description:
        'The previous token stays valid until the new one is first used, for 60 s at most; until then the same request returns the same new token again. A later use of the previous token ends the session.',
      operationId: 'rotateToken',
      security,
      response: {
        200: { description: 'The same session with a new token', ...Type.Ref('RotatedSession') },
        ...closedWithoutBody,
        429: problem('rate_limited'),
      },
    },
    config: { examples: { answers: { 200: { 'The next token': { token: nextToken, session } } } } },
  },
} as const

interface Parts {
  readonly sessions: Sessions
  readonly verification: Verification
  readonly limiter: Limiter
}

/** `GET /v1/session`, for the fast path. */
export const currentSessionFastRoute: FastRoute = {
  path: '/v1/session',
  tokenOf: bearerToken,
  answer: describeSignedIn,
  namesSession: true,
}

export function sessionRoutes(app: FastifyInstance, parts: Parts): void {
  app.get('/v1/session', routes.get, async (request) => describeSignedIn(signedIn(request)))
  app.delete('/v1/session', routes.end, endSession(parts))
  app.post('/v1/session/rotate', routes.rotate, rotateToken(parts))
}

function endSession({ sessions }: Parts) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const { id, accountId } = signedIn(request).session
    const by = callerOf(request)
    await sessions.end({ id, accountId, by, origin: by.origin, reason: 'signed_out' })
    return reply.code(204).send()
  }
}

function rotateToken({ verification, limiter }: Parts) {
  return async (request: FastifyRequest) => {
    await limiter.countWrite('rotate_token', callerOf(request))
    const { token, session } = await rotatedBy(bearerToken(request), verification)
    return { token, session: publicSession(session, session.id) }
  }
}

/** A session as the owner of its account sees it. */
export function publicSession(session: DomainSession, currentId: string) {
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

/** A session as its own app sees it. */
export function describeSignedIn({ session, account: { id, phoneNumber, nickname } }: SignedIn) {
  return {
    session: publicSession(session, session.id),
    account: { id, phone_number: phoneNumber, nickname },
  }
}
