// The tutorial's API, to the letter, so that its apps move by changing a base URL.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { SignIn } from '../accounts/sign-in.ts'
import { AppError } from '../errors.ts'
import type { NationalNumbers } from '../phone/phone.ts'
import type { SignedInAccount } from '../sessions/session.ts'
import type { Sessions } from '../sessions/sessions.ts'
import { classicToken, originOf, signedInBy } from './authenticate.ts'
import type { QuickRoutes } from './quick-checks.ts'
import { notePhone } from './request-log.ts'

export interface ClassicParts {
  readonly signIn: SignIn
  readonly sessions: Sessions
  readonly numbers: NationalNumbers
  /** Whether `/login` tells an unknown number from a wrong password. */
  readonly tellsUnknownNumber: boolean
}

const tags = ['classic']
const security = [{ classicToken: [] }]
const Failed = Type.Object(
  {
    code: Type.Union([Type.Literal(0), Type.Literal(2)], {
      description: '0: failed, see `message`. 2: the token is not good, sign in again.',
    }),
    message: Type.String(),
  },
  { title: 'Failed' },
)
const SignedIn = Type.Object({
  code: Type.Literal(1),
  message: Type.String(),
  nickname: Type.Union([Type.String(), Type.Null()]),
  token: Type.String(),
})
const Who = Type.Object({
  code: Type.Literal(1),
  nickname: Type.Union([Type.String(), Type.Null()]),
  phone_number: Type.String(),
})
const Done = Type.Object({ code: Type.Literal(1), message: Type.String() })

const LoginBody = Type.Object({ phone_number: Type.String(), password: Type.String() })

const schemas = {
  hello: {
    tags,
    operationId: 'sayHello',
    summary: 'Is anybody there?',
    response: { 200: { description: 'Text', content: { 'text/plain': { schema: Type.String() } } } },
  },
  login: {
    tags,
    operationId: 'classicSignIn',
    summary: '登录 Sign in',
    body: LoginBody,
    response: { 200: Type.Union([SignedIn, Failed]) },
  },
  user: {
    tags,
    operationId: 'classicUser',
    summary: '我是谁 Who am I',
    security,
    response: { 200: Type.Union([Who, Failed]) },
  },
  logout: {
    tags,
    operationId: 'classicSignOut',
    summary: '注销 Sign out',
    security,
    response: { 200: Type.Union([Done, Failed]) },
  },
}

const page = `<!doctype html><html lang="zh-CN"><meta charset="utf-8"><title>Hufu 虎符</title>
<h1>Hello World!</h1><p><a href="/docs">API</a></p></html>`

/** The four routes. Errors are answered by http/server.ts in the classic form. */
export function classicRoutes(parts: ClassicParts, quick: QuickRoutes) {
  return async (app: FastifyInstance): Promise<void> => {
    const { signIn, sessions, numbers, tellsUnknownNumber } = parts
    app.get('/', { schema: schemas.hello, exposeHeadRoute: true }, async (request, reply) => {
      if (!(request.headers.accept ?? '').includes('text/html'))
        return reply.type('text/plain').send('Hello World!')
      return reply.type('text/html').send(page)
    })

    app.post('/login', { schema: schemas.login }, async (request: FastifyRequest, reply: FastifyReply) => {
      // The schema has let only an object with these two strings through.
      const { phone_number, password } = request.body as { phone_number: string; password: string }
      notePhone(request, phone_number)
      const origin = originOf(request)
      const arrival = {
        phoneNumber: phone_number,
        device: classicDevice(request),
        origin,
        ...shownProof(request),
      }
      try {
        const issued = await signIn.byPassword(arrival, password)
        if (issued.deviceProof !== null) reply.header(proofHeader, issued.deviceProof)
        return { code: 1, message: '成功登录', nickname: issued.account.nickname, token: issued.token }
      } catch (error) {
        return { code: 0, message: loginRefusal(error, tellsUnknownNumber) }
      }
    })

    const answer = ({ account }: { account: SignedInAccount }) => ({
      code: 1,
      nickname: account.nickname,
      phone_number: numbers.of(account.phoneNumber),
    })
    quick.push({ path: '/user', tokenOf: classicToken, answer, namesSession: false })
    app.get('/user', { schema: schemas.user }, async (request: FastifyRequest) =>
      answer(await signedInBy(classicToken(request), sessions)),
    )

    app.get('/logout', { schema: schemas.logout }, async (request: FastifyRequest) => {
      const token = classicToken(request)
      const { session } = await signedInBy(token, sessions)
      const { id, accountId } = session
      const wasLive = await sessions.end({
        id,
        accountId,
        reason: 'signed_out',
        by: { accountId, sessionId: id, token },
        origin: originOf(request),
      })
      // Somebody else ended it in between: then this token was not good any more.
      if (!wasLive) throw new AppError('session_signed_out')
      return { code: 1, message: '成功注销' }
    })
  }
}

/** The tutorial's words for a refused sign-in; anything else is thrown on. */
function loginRefusal(error: unknown, tellsUnknownNumber: boolean): string {
  if (!(error instanceof AppError)) throw error
  const isUnknown = error.code === 'phone_number_invalid' || error.facts.wrong === 'phone_number'
  if (!isUnknown && error.code !== 'credentials_wrong') throw error
  if (!tellsUnknownNumber) return '手机号或密码错误'
  return isUnknown ? '没有此用户' : '密码错误'
}

/** The tutorial's bodies have no room for a device proof. A client that sends this header, at first with any value, is given one in it. */
const proofHeader = 'hufu-device-proof'

function shownProof(request: FastifyRequest): { deviceProof?: string } {
  const shown = request.headers[proofHeader]
  return typeof shown === 'string' ? { deviceProof: shown } : {}
}

function classicDevice(request: FastifyRequest) {
  const ip = request.clientAddress
  return { platform: 'classic', deviceId: null, deviceName: null, appVersion: null, ip } as const
}
