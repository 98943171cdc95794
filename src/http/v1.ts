// /v1: what its routes have in common: who asks, where from, and which of two proofs was given.
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Static } from 'typebox'
import type { Accounts } from '../accounts/accounts.ts'
import type { Credentials } from '../accounts/credentials.ts'
import type { SendCode } from '../accounts/send-code.ts'
import type { SignIn } from '../accounts/sign-in.ts'
import type { Standing } from '../accounts/standing.ts'
import { AppError, errorCodes } from '../errors.ts'
import type { Origin } from '../events/events.ts'
import type { Limiter } from '../limits/limiter.ts'
import type { Caller } from '../sessions/caller.ts'
import type { Device, Sessions } from '../sessions/sessions.ts'
import { bearerToken, originOf, type SignedIn, signedInBy } from './authenticate.ts'
import { unknownField } from './request-errors.ts'
import { type NewDevice, problem } from './v1-schemas.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The session that asks and the token by which it was recognised; null on open routes. */
    signedIn: (SignedIn & { readonly token: string }) | null
  }
  interface FastifyContextConfig {
    /** Routes are closed unless they say that they are open. */
    open?: boolean
  }
}

export interface V1Parts {
  readonly accounts: Accounts
  readonly signIn: SignIn
  readonly credentials: Credentials
  readonly standing: Standing
  readonly sendCode: SendCode
  readonly sessions: Sessions
  readonly limiter: Limiter
}

export const security = [{ token: [] }]
const ended = errorCodes.filter((code) => /^session_(?!not_found|limit)/.test(code))

/** Codes of a 401 that every closed route may answer. */
export const tokenRefused = ['token_missing', 'token_unknown', ...ended]

/** What every closed route may answer. */
export const closed = {
  400: problem('bad_request', 'credentials_conflict', 'token_in_url'),
  401: problem(...tokenRefused),
  500: problem('internal'),
  503: problem('unavailable'),
}

/** What every route with a body may answer. */
export const withBody = {
  400: problem('invalid_json', 'bad_request'),
  413: problem('body_too_large'),
  415: problem('unsupported_media_type'),
}

/** Both. */
export const closedWithBody = {
  ...closed,
  ...withBody,
  400: problem('invalid_json', 'bad_request', 'credentials_conflict', 'token_in_url'),
}

/** What every closed route that is not read and takes no body may answer: a body is looked at all the same. */
export const closedWithoutBody = { ...closedWithBody, 422: problem('invalid_request') }

/** Asks who is there, before the body is read: a stranger costs one header. */
export function authenticate(app: FastifyInstance, sessions: Sessions): void {
  app.decorateRequest('signedIn', null)
  app.addHook('onRequest', (request, _reply, done) => {
    if (request.routeOptions.config.open) return done()
    const token = bearerToken(request)
    const signedIn = signedInBy(token, sessions)
    const goOn = ({ session, account }: SignedIn) => {
      request.signedIn = { session, account, token }
      done()
    }
    if (signedIn instanceof Promise) signedIn.then(goOn, done)
    else goOn(signedIn)
  })
  // A body may take 15 s. A session that has ended meanwhile counts nothing, sends nothing and learns nothing; what it would
  // write is refused again under the account's lock (sessions/caller.ts).
  app.addHook('preValidation', (request, _reply, done) => {
    if (!request.signedIn || request.method === 'GET') return done()
    const again = sessions.assertStillLive(callerOf(request))
    if (again instanceof Promise) again.then(() => done(), done)
    else done()
  })
}

/** Refuses members in the body of a route that takes none: `{"all":true}` would be dropped without a word. */
export function refuseUnexpectedBody(app: FastifyInstance): void {
  app.addHook('preValidation', (request, _reply, done) => {
    const { body } = request
    if (request.routeOptions.schema?.body !== undefined || typeof body !== 'object' || body === null)
      return done()
    const [name] = Object.keys(body)
    done(name === undefined ? undefined : new AppError('invalid_request', { fields: [unknownField(name)] }))
  })
}

export function signedIn(request: FastifyRequest): SignedIn & { readonly token: string } {
  // The hook above has run: a closed route never gets here without a session.
  if (!request.signedIn) throw new AppError('token_missing')
  return request.signedIn
}

/** The session on whose behalf a request writes, and where the request comes from. */
export function callerOf(request: FastifyRequest): Caller & { readonly origin: Origin } {
  const { session, token } = signedIn(request)
  return { accountId: session.accountId, sessionId: session.id, token, origin: originOf(request) }
}

/** The device that a body tells of, and the address that it came from. */
export function deviceOf(request: FastifyRequest, device: Static<typeof NewDevice> | undefined): Device {
  const { platform = 'other', id = null, name = null, app_version = null } = device ?? {}
  return { platform, deviceId: id, deviceName: name, appVersion: app_version, ip: request.clientAddress }
}

/**
 * Exactly one of two fields of a body.
 * @throws AppError `invalid_request` where there is none of them, or both
 */
export function eitherOf<A extends string, B extends string>(
  body: { readonly [Key in A | B]?: string },
  a: A,
  b: B,
  where = '',
): { [Key in A]: string } | { [Key in B]: string } {
  const [first, second] = [body[a], body[b]]
  const refuse = (field: string, other: string, problem: string) => {
    const fault = { pointer: `${where}/${field}`, problem, other: `${where}/${other}` }
    return new AppError('invalid_request', { fields: [fault] })
  }
  if (first !== undefined && second !== undefined) throw refuse(b, a, 'is_not_valid')
  // A computed name makes TypeScript forget which one it is.
  if (first !== undefined) return { [a]: first } as { [Key in A]: string }
  if (second !== undefined) return { [b]: second } as { [Key in B]: string }
  throw refuse(a, b, 'is_missing')
}
