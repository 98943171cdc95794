// The tutorial's API, exactly as published, so that its apps move by changing a base URL.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { SignInService } from '../../authentication/sign-in.ts'
import { AppError } from '../../errors.ts'
import type { NationalNumbers } from '../../phone/phone.ts'
import type { Sessions } from '../../sessions/sessions.ts'
import type { Verification } from '../../sessions/verification.ts'
import { originOf, type SignedIn, signedInBy } from '../authenticate.ts'
import { bodyOf } from '../checked-input.ts'
import type { FastRoutes } from '../fast-path.ts'
import { notePhone } from '../request-log.ts'
import type { Surface } from '../surface.ts'

export interface ClassicParts {
  readonly signIn: SignInService
  readonly sessions: Sessions
  readonly verification: Verification
  readonly numbers: NationalNumbers
  /** Whether `/login` distinguishes an unknown number from a wrong password. */
  readonly tellsUnknownNumber: boolean
}

const tags = ['classic']
const security = [{ classicToken: [] }]
const Failed = Type.Object(
  {
    code: Type.Union([Type.Literal(0), Type.Literal(2)], {
      description: '0: failed, see `message`. 2: the token is not valid, sign in again.',
    }),
    message: Type.String(),
  },
  { title: 'Failed' },
)
const LoggedIn = Type.Object({
  code: Type.Literal(1),
  message: Type.String(),
  nickname: Type.Union([Type.String(), Type.Null()]),
  token: Type.String(),
})
const User = Type.Object({
  code: Type.Literal(1),
  nickname: Type.Union([Type.String(), Type.Null()]),
  phone_number: Type.Union([Type.String(), Type.Null()]),
})
const LoggedOut = Type.Object({ code: Type.Literal(1), message: Type.String() })
const LoginBody = Type.Object({ phone_number: Type.String(), password: Type.String() })

const phone_number = '12345678901'
const badToken = { code: 2, message: '验证信息错误' }

const routes = {
  hello: {
    exposeHeadRoute: true,
    schema: {
      tags,
      operationId: 'sayHello',
      summary: 'Is the server running?',
      response: { 200: { description: 'Text', content: { 'text/plain': { schema: Type.String() } } } },
    },
    config: { examples: { answers: { 200: { Text: 'Hello World!' } } } },
  },
  login: {
    schema: {
      tags,
      operationId: 'classicSignIn',
      summary: '登录 Sign in',
      body: LoginBody,
      response: { 200: Type.Union([LoggedIn, Failed]) },
    },
    config: {
      examples: {
        body: { "The tutorial's user": { phone_number, password: '123456' } },
        answers: {
          200: {
            'Signed in': {
              code: 1,
              message: '成功登录',
              nickname: '测试用户1',
              token: 'hf_AaIBGLEAet2tp7E0JbgHfQ1fW1lUsX2shMW7BXOidT5kDfWKh068C44hxiUf2Iw9M',
            },
            'Wrong password': { code: 0, message: '密码错误' },
            'Unknown number': { code: 0, message: '没有此用户' },
          },
        },
      },
    },
  },
  user: {
    schema: {
      tags,
      operationId: 'classicUser',
      summary: '我是谁 Who am I',
      security,
      response: { 200: Type.Union([User, Failed]) },
    },
    config: {
      examples: {
        answers: {
          200: {
            'Signed in': { code: 1, nickname: '测试用户1', phone_number },
            'Sign in again': badToken,
            'No token': { code: 0, message: '需要验证' },
          },
        },
      },
    },
  },
  logout: {
    schema: {
      tags,
      operationId: 'classicSignOut',
      summary: '退出登录 Sign out',
      security,
      response: { 200: Type.Union([LoggedOut, Failed]) },
    },
    config: {
      examples: {
        answers: { 200: { 'Signed out': { code: 1, message: '成功注销' }, 'Sign in again': badToken } },
      },
    },
  },
}

/**
 * The four routes, the only ones with errors in the tutorial's format. Their `caller` is `none`: the handlers
 * read the header `token` themselves, and answer a token that is not valid with an ordinary response.
 */
export function classicSurface(parts: ClassicParts, fast: FastRoutes): Surface {
  const answer = userOf(parts)
  fast.push({ path: '/user', tokenOf: classicToken, answer, namesSession: false })
  return {
    name: 'classic',
    prefix: '/',
    caller: 'none',
    errors: 'classic',
    document: {
      tags: [
        {
          name: 'classic',
          description: "The tutorial's routes. The status is 200; `code` says whether the request succeeded.",
        },
      ],
      securitySchemes: {
        classicToken: {
          type: 'apiKey',
          in: 'header',
          name: 'token',
          description: 'The token that `/login` returned.',
        },
      },
    },
    routes: (app: FastifyInstance) => {
      app.get('/', routes.hello, sayHello)
      app.post('/login', routes.login, login(parts))
      app.get('/user', routes.user, async (request) =>
        answer(await signedInBy(classicToken(request), parts.verification)),
      )
      app.get('/logout', routes.logout, logout(parts))
    },
  }
}

const page = `<!doctype html><html lang="zh-CN"><meta charset="utf-8"><title>Hufu 虎符</title>
<h1>Hello World!</h1><p><a href="/docs">API</a></p></html>`

async function sayHello(request: FastifyRequest, reply: FastifyReply) {
  if (!(request.headers.accept ?? '').includes('text/html'))
    return reply.type('text/plain').send('Hello World!')
  return reply.type('text/html').send(page)
}

function login({ signIn, tellsUnknownNumber }: ClassicParts) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const { phone_number: phoneNumber, password } = bodyOf(request, LoginBody)
    notePhone(request, phoneNumber)
    const device = classicDevice(request)
    const context = { device, origin: originOf(request), ...shownProof(request) }
    try {
      const issued = await signIn.by('password', context, { phoneNumber, password })
      if (issued.deviceProof !== null) reply.header(proofHeader, issued.deviceProof)
      return { code: 1, message: '成功登录', nickname: issued.account.nickname, token: issued.token }
    } catch (error) {
      return { code: 0, message: loginRefusal(error, tellsUnknownNumber) }
    }
  }
}

function userOf({ numbers }: ClassicParts) {
  return ({ account }: SignedIn) => ({
    code: 1,
    nickname: account.nickname,
    phone_number: account.phoneNumber === null ? null : numbers.of(account.phoneNumber),
  })
}

function logout({ sessions, verification }: ClassicParts) {
  return async (request: FastifyRequest) => {
    const token = classicToken(request)
    const { session } = await signedInBy(token, verification)
    const { id, accountId } = session
    const by = { accountId, sessionId: id, token }
    const origin = originOf(request)
    const wasLive = await sessions.end({ id, accountId, reason: 'signed_out', by, origin })
    // Another request ended the session in between, so this token was no longer valid.
    if (!wasLive) throw new AppError('session_signed_out')
    return { code: 1, message: '成功注销' }
  }
}

/**
 * The tutorial's header `token`.
 * @throws AppError `token_missing`
 */
function classicToken({ raw }: Pick<FastifyRequest, 'raw'>): string {
  const { token } = raw.headers
  if (typeof token !== 'string' || token === '') throw new AppError('token_missing')
  return token
}

/** The tutorial's message for a refused sign-in; every other error is thrown again. */
function loginRefusal(error: unknown, tellsUnknownNumber: boolean): string {
  if (!(error instanceof AppError)) throw error
  const isUnknown = error.code === 'phone_number_invalid' || error.facts.wrong === 'phone_number'
  if (!isUnknown && error.code !== 'credentials_wrong') throw error
  if (!tellsUnknownNumber) return '手机号或密码错误'
  return isUnknown ? '没有此用户' : '密码错误'
}

/**
 * The tutorial's bodies have no field for a device proof. A client that sends this header, at first with any
 * value, receives a proof in the same response header.
 */
const proofHeader = 'hufu-device-proof'

function shownProof(request: FastifyRequest): { deviceProof?: string } {
  const shown = request.headers[proofHeader]
  return typeof shown === 'string' ? { deviceProof: shown } : {}
}

function classicDevice(request: FastifyRequest) {
  const ip = request.clientAddress
  return { platform: 'classic', deviceId: null, deviceName: null, appVersion: null, ip } as const
}
