// /v1/account: read and change the caller's profile, and close the caller's account.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Account, Accounts } from '../../accounts/accounts.ts'
import type { AccountLifecycle } from '../../accounts/lifecycle.ts'
import type { Credentials } from '../../authentication/credentials.ts'
import { isoTime } from '../../iso-time.ts'
import { callerOf, originOf, signedIn } from '../authenticate.ts'
import { bodyOf } from '../checked-input.ts'
import { httpsUrl, languageTag } from '../patterns.ts'
import { closed, closedWithBody, problem, tokenRefused } from '../problem-answers.ts'
import { code, details } from './samples.ts'
import { Code, Nickname, nullable, time } from './shapes.ts'

const AccountDetails = Type.Object(
  {
    id: Type.String({ description: 'UUID.' }),
    phone_number: nullable(Type.String({ description: 'E.164.', examples: ['+8612345678901'] })),
    nickname: nullable(Type.String()),
    avatar_url: nullable(Type.String()),
    locale: nullable(Type.String({ description: 'BCP 47.', examples: ['zh-CN'] })),
    has_password: Type.Boolean(),
    registered_at: time(),
  },
  { $id: 'AccountDetails' },
)

const AccountChange = Type.Object(
  {
    nickname: Type.Optional(nullable(Nickname)),
    avatar_url: Type.Optional(nullable(Type.String({ maxLength: 512, pattern: httpsUrl }), 'https only.')),
    locale: Type.Optional(nullable(Type.String({ maxLength: 16, pattern: languageTag }), 'BCP 47.')),
  },
  {
    $id: 'AccountChange',
    additionalProperties: false,
    description: 'A field that is absent keeps its value.',
  },
)

const Closing = Type.Object({ code: Code }, { $id: 'Closing', additionalProperties: false })
const ClosingAccount = Type.Object(
  { closes_at: time('When the account is removed permanently; signing in before then cancels the closing.') },
  { $id: 'ClosingAccount' },
)

export const accountSchemas = [AccountDetails, AccountChange, Closing, ClosingAccount]

const tags = ['account']
const security = [{ token: [] }]

const routes = {
  get: {
    schema: {
      tags,
      summary: 'My account 我的账号',
      operationId: 'getAccount',
      security,
      response: { 200: { description: 'The account', ...Type.Ref('AccountDetails') }, ...closed },
    },
    config: { examples: { answers: { 200: { 'My account': details } } } },
  },
  update: {
    schema: {
      tags,
      summary: 'Change my profile 修改资料',
      operationId: 'updateAccount',
      security,
      body: Type.Ref('AccountChange'),
      response: {
        200: { description: 'The account after the change', ...Type.Ref('AccountDetails') },
        ...closedWithBody,
        409: problem('phone_number_missing'),
        422: problem('invalid_request'),
        429: problem('rate_limited'),
      },
    },
    config: {
      examples: {
        body: {
          'A new name': { nickname: '小虎' },
          'Without a picture': { avatar_url: null },
        },
        answers: { 200: { Changed: { ...details, nickname: '小虎' } } },
      },
    },
  },
  close: {
    schema: {
      tags,
      summary: 'Close my account 注销账号',
      description:
        'With a code for `close_account`. All sessions end now; signing in before `closes_at` cancels the closing.',
      operationId: 'closeAccount',
      security,
      body: Type.Ref('Closing'),
      response: {
        202: { description: 'The account will be removed', ...Type.Ref('ClosingAccount') },
        ...closedWithBody,
        401: problem(...tokenRefused, 'code_wrong'),
        422: problem('invalid_request'),
        429: problem('rate_limited'),
      },
    },
    config: {
      twin: '/v1/account/close',
      examples: {
        body: { 'With a code for close_account': { code } },
        // The sample time plus HUFU_CLOSING_DAYS.
        answers: { 202: { 'Will be removed': { closes_at: '2026-12-07T02:32:05.120Z' } } },
      },
    },
  },
} as const

interface Parts {
  readonly accounts: Accounts
  readonly credentials: Credentials
  readonly accountLifecycle: AccountLifecycle
}

export function accountRoutes(app: FastifyInstance, parts: Parts): void {
  app.get('/v1/account', routes.get, getAccount(parts))
  app.patch('/v1/account', routes.update, updateAccount(parts))
  app.delete('/v1/account', routes.close, closeAccount(parts))
}

function getAccount({ accounts }: Parts) {
  return async (request: FastifyRequest) =>
    describeAccount(await accounts.getById(signedIn(request).account.id))
}

function updateAccount({ accounts }: Parts) {
  return async (request: FastifyRequest) => {
    const { nickname, avatar_url: avatarUrl, locale } = bodyOf(request, AccountChange)
    const change = {
      ...(nickname !== undefined && { nickname }),
      ...(avatarUrl !== undefined && { avatarUrl }),
      ...(locale !== undefined && { locale }),
    }
    return describeAccount(await accounts.update(callerOf(request), change, originOf(request)))
  }
}

function closeAccount({ credentials, accountLifecycle }: Parts) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const caller = callerOf(request)
    const right = await credentials.checkClosingCode(caller, bodyOf(request, Closing).code)
    const closesAt = await accountLifecycle.close(right, caller)
    return reply.code(202).send({ closes_at: isoTime(closesAt) })
  }
}

/** An account as its owner sees it. */
export function describeAccount(account: Account) {
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
