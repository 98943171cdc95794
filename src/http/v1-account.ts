// /v1/account and /v1/password-resets: see and change who I am, and leave.
import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import type { Account, AccountExport, SessionRecord } from '../accounts/accounts.ts'
import type { Event } from '../events/events.ts'
import { originOf } from './authenticate.ts'
import { notePhone } from './request-log.ts'
import { isoTime } from './respond.ts'
import {
  callerOf,
  closed,
  closedWithBody,
  eitherOf,
  security,
  signedIn,
  tokenRefused,
  type V1Parts,
  withBody,
} from './v1.ts'
import {
  type AccountChange,
  type Closing,
  type NewPassword,
  type NewPhone,
  type PasswordReset,
  problem,
} from './v1-schemas.ts'

const tags = ['account']
const proofRefused = ['credentials_wrong', 'code_wrong']

const schemas = {
  get: {
    tags,
    summary: 'My account 我的账号',
    operationId: 'getAccount',
    security,
    response: { 200: { description: 'The account', ...Type.Ref('AccountDetails') }, ...closed },
  },
  update: {
    tags,
    summary: 'Change my profile 修改资料',
    operationId: 'updateAccount',
    security,
    body: Type.Ref('AccountChange'),
    response: {
      200: { description: 'The account as it is now', ...Type.Ref('AccountDetails') },
      ...closedWithBody,
      422: problem('invalid_request'),
      429: problem('rate_limited'),
    },
  },
  changePassword: {
    tags,
    summary: 'Set or change my password 设置或修改密码',
    description: 'All other sessions end.',
    operationId: 'changePassword',
    security,
    body: Type.Ref('NewPassword'),
    response: {
      204: { description: 'Changed', type: 'null' },
      ...closedWithBody,
      401: problem(...tokenRefused, ...proofRefused),
      422: problem('invalid_request', 'password_refused'),
      429: problem('rate_limited'),
      503: problem('unavailable', 'overloaded'),
    },
  },
  resetPassword: {
    tags,
    summary: 'Forgotten password 忘记密码',
    description: 'With a code for `reset_password`. All sessions end.',
    operationId: 'resetPassword',
    body: Type.Ref('PasswordReset'),
    response: {
      204: { description: 'Changed; sign in with it', type: 'null' },
      ...withBody,
      401: problem('code_wrong'),
      403: problem('account_banned'),
      422: problem('invalid_request', 'phone_number_invalid', 'password_refused'),
      429: problem('rate_limited'),
      500: problem('internal'),
      503: problem('unavailable', 'overloaded'),
    },
  },
  changePhone: {
    tags,
    summary: 'Move to another number 更换手机号',
    description: 'All other sessions end, and the old number is told.',
    operationId: 'changePhone',
    security,
    body: Type.Ref('NewPhone'),
    response: {
      200: { description: 'The account with its new number', ...Type.Ref('AccountDetails') },
      ...closedWithBody,
      401: problem(...tokenRefused, ...proofRefused),
      409: problem('phone_number_taken'),
      422: problem('invalid_request', 'phone_number_invalid'),
      429: problem('rate_limited'),
      503: problem('unavailable', 'overloaded'),
    },
  },
  close: {
    tags,
    summary: 'Close my account 注销账号',
    description:
      'With a code for `close_account`. All sessions end now; signing in before `closes_at` takes it back.',
    operationId: 'closeAccount',
    security,
    body: Type.Ref('Closing'),
    response: {
      202: { description: 'It will be removed', ...Type.Ref('ClosingAccount') },
      ...closedWithBody,
      401: problem(...tokenRefused, 'code_wrong'),
      422: problem('invalid_request'),
      429: problem('rate_limited'),
    },
  },
  export: {
    tags,
    summary: 'All that is known of me 导出个人信息',
    operationId: 'exportAccount',
    security,
    response: {
      200: { description: 'Account, sessions, events', ...Type.Ref('AccountExport') },
      ...closed,
      429: problem('rate_limited'),
    },
  },
} as const

export interface LateErrors {
  /** Logs what kept an answer from being finished after its status was sent. */
  readonly tellLate: (request: FastifyRequest, error: unknown) => void
}

/** The routes of /v1/account and /v1/password-resets. */
export function v1AccountRoutes({ accounts, credentials, standing, tellLate }: V1Parts & LateErrors) {
  return async (app: FastifyInstance): Promise<void> => {
    app.get('/v1/account', { schema: schemas.get }, getAccount)
    app.patch('/v1/account', { schema: schemas.update }, updateAccount)
    app.put('/v1/account/password', { schema: schemas.changePassword }, changePassword)
    app.post('/v1/password-resets', { schema: schemas.resetPassword, config: { open: true } }, resetPassword)
    app.put('/v1/account/phone', { schema: schemas.changePhone }, changePhone)
    app.delete('/v1/account', { schema: schemas.close, config: { twin: '/v1/account/close' } }, closeAccount)
    app.get('/v1/account/export', { schema: schemas.export }, exportAccount)

    async function getAccount(request: FastifyRequest) {
      return details(await accounts.getById(signedIn(request).account.id))
    }

    async function updateAccount(request: FastifyRequest) {
      // The schema has let only this shape through.
      const { nickname, avatar_url: avatarUrl, locale } = request.body as Static<typeof AccountChange>
      const change = {
        ...(nickname !== undefined && { nickname }),
        ...(avatarUrl !== undefined && { avatarUrl }),
        ...(locale !== undefined && { locale }),
      }
      return details(await accounts.update(callerOf(request), change, originOf(request)))
    }

    async function changePassword(request: FastifyRequest, reply: FastifyReply) {
      // The schema has let only this shape through.
      const body = request.body as Static<typeof NewPassword>
      const proof = eitherOf(body, 'current_password', 'code')
      const stepUp = 'code' in proof ? proof : { password: proof.current_password }
      await credentials.changePassword(callerOf(request), body.new_password, stepUp)
      return reply.code(204).send()
    }

    async function resetPassword(request: FastifyRequest, reply: FastifyReply) {
      // The schema has let only this shape through.
      const {
        phone_number,
        code,
        new_password,
        device_proof: deviceProof = null,
      } = request.body as Static<typeof PasswordReset>
      notePhone(request, phone_number)
      const reset = { phoneNumber: phone_number, code, newPassword: new_password, deviceProof }
      await credentials.resetPassword(reset, originOf(request))
      return reply.code(204).send()
    }

    async function changePhone(request: FastifyRequest) {
      // The schema has let only this shape through.
      const { phone_number, code, confirmation: given } = request.body as Static<typeof NewPhone>
      notePhone(request, phone_number)
      const confirmation = eitherOf(given, 'password', 'code', '/confirmation')
      const change = { phoneNumber: phone_number, code, confirmation }
      return details(await credentials.changePhone(callerOf(request), change))
    }

    async function closeAccount(request: FastifyRequest, reply: FastifyReply) {
      // The schema has let only this shape through.
      const { code } = request.body as Static<typeof Closing>
      const who = callerOf(request)
      const right = await credentials.checkClosingCode(who, code)
      const closesAt = await standing.close(right, who)
      return reply.code(202).send({ closes_at: isoTime(closesAt) })
    }

    async function exportAccount(request: FastifyRequest, reply: FastifyReply) {
      const pieces = exportPieces(await accounts.export(callerOf(request), originOf(request)))
      // A piece is made when the client has taken those before it, and none any more when the client has gone.
      const stream = Readable.from(pieces)
      // The status is sent by then, so that the client sees a connection that breaks.
      stream.on('error', (error) => reply.raw.headersSent && tellLate(request, error))
      return reply.type('application/json; charset=utf-8').send(stream)
    }
  }
}

/** The JSON of an export, in pieces of some tens of kilobytes. */
async function* exportPieces({ account, sessions, events }: AccountExport): AsyncGenerator<string> {
  yield `{"account":${JSON.stringify(details(account))},"sessions":[`
  yield* listPieces(sessions, exportedSession)
  yield '],"events":['
  yield* listPieces(events, exportedEvent)
  yield ']}'
}

const itemsInPiece = 100

/** The items of a JSON array, with their commas. */
async function* listPieces<T>(items: AsyncIterable<T>, shown: (item: T) => object): AsyncGenerator<string> {
  let texts: string[] = []
  let before = ''
  for await (const item of items) {
    texts.push(JSON.stringify(shown(item)))
    if (texts.length < itemsInPiece) continue
    yield before + texts.join(',')
    before = ','
    texts = []
  }
  if (texts.length > 0) yield before + texts.join(',')
}

function details(account: Account) {
  return {
    id: account.id,
    phone_number: account.phoneNumber,
    nickname: account.nickname,
    avatar_url: account.avatarUrl,
    locale: account.locale,
    has_password: account.hasPassword,
    registered_at: isoTime(account.registeredAt),
  }
}

function exportedEvent({ at, kind, sessionId, ip, detail }: Event) {
  return { at: isoTime(at), kind, session_id: sessionId, ip, detail }
}

function exportedSession(session: SessionRecord) {
  return {
    id: session.id,
    platform: session.platform,
    device_id: session.deviceId,
    device_name: session.deviceName,
    app_version: session.appVersion,
    ip: session.ip,
    created_at: isoTime(session.createdAt),
    seen_at: isoTime(session.seenAt),
    ended_at: isoTime(session.endedAt),
    end_reason: session.endReason,
  }
}
