// The caller of a request: the session of its token, and the address that it came from.
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { AppError } from '../errors.ts'
import type { RequestOrigin } from '../events/events.ts'
import { type MaybePromise, mapMaybe } from '../maybe-promise.ts'
import { inClass } from '../queue-order.ts'
import { looksLikeKey } from '../service-keys/key-text.ts'
import { type Caller, endedError } from '../sessions/caller.ts'
import { isBearer, type Live, type Verified } from '../sessions/session.ts'
import type { Rotated, Verification } from '../sessions/verification.ts'
import { unknownField } from './request-errors.ts'

/** What a route requires of its caller: nothing, the bearer token of a live session, or a service key. */
export type CallerKind = 'none' | 'session' | 'service'

declare module 'fastify' {
  interface FastifyRequest {
    /** The caller's session and its token; null where the route requires none. */
    signedIn: (SignedIn & { readonly token: string }) | null
  }
  interface FastifyContextConfig {
    /** Set where the route differs from its surface. */
    caller?: CallerKind
  }
}

/** The session and the account of a caller. */
export type SignedIn = Pick<Live, 'session' | 'account'>

/**
 * Authenticates the callers of a surface's routes before the body is read, so an unknown caller costs no more
 * than a header.
 */
export function authenticate(app: FastifyInstance, kind: CallerKind, verification: Verification): void {
  app.addHook('onRequest', (request, _reply, done) => {
    if ((request.routeOptions.config.caller ?? kind) !== 'session') return done()
    const token = bearerToken(request)
    const signedIn = signedInBy(token, verification)
    const goOn = ({ session, account }: SignedIn) => {
      request.signedIn = { session, account, token }
      inClass('known', done)
    }
    if (signedIn instanceof Promise) signedIn.then(goOn, done)
    else goOn(signedIn)
  })
  // The body may take 15 s to arrive. If the session ends meanwhile, this check refuses the request before it
  // counts, sends or reads anything. A write checks the session once more under the account's lock
  // (sessions/caller.ts).
  app.addHook('preValidation', (request, _reply, done) => {
    if (!request.signedIn || request.method === 'GET') return done()
    const again = verification.assertStillLive(callerOf(request))
    if (again instanceof Promise) again.then(() => done(), done)
    else done()
  })
}

/** Refuses a body with members on a route that takes none: `{"all":true}` would be ignored silently. */
export function refuseUnexpectedBody(app: FastifyInstance): void {
  app.addHook('preValidation', (request, _reply, done) => {
    const { body } = request
    if (request.routeOptions.schema?.body !== undefined || typeof body !== 'object' || body === null)
      return done()
    const [name] = Object.keys(body)
    done(name === undefined ? undefined : new AppError('invalid_request', { fields: [unknownField(name)] }))
  })
}

/**
 * The live session of a token.
 * @throws AppError (or rejects with) `token_unknown`, `token_missing` for a session with a condition,
 * `session_<reason>` with when it ended and by which device
 */
export function signedInBy(token: string, verification: Verification): MaybePromise<SignedIn> {
  return mapMaybe(verification.verify(token), onlyLive)
}

/**
 * The successor of a token, and its session.
 * @throws AppError as `signedInBy` does
 */
export async function rotatedBy(
  token: string,
  verification: Verification,
): Promise<SignedIn & { token: string }> {
  return onlyLive<Extract<Rotated, { is: 'live' }>>(await verification.rotate(token))
}

type NotLive = Exclude<Verified, { is: 'live' }>

function onlyLive<Shown extends Live>(verified: Shown | NotLive): Shown {
  switch (verified.is) {
    case 'live':
      // No route can check a session's condition yet. A request with only the token proves too little, but
      // the token stays valid.
      if (!isBearer(verified)) throw new AppError('token_missing')
      return verified
    case 'ended':
      throw endedError(verified.ending)
    case 'unknown':
      throw new AppError('token_unknown')
  }
}

/**
 * The token of an `Authorization: Bearer` header (RFC 6750, section 2.1), behind any number of spaces (RFC
 * 9110, section 11.4).
 * @throws AppError `token_missing`, also for a header that does not begin with `Bearer`,
 * `credentials_conflict`, `token_in_url`, `token_expected` for a service key
 */
export function bearerToken({ raw }: Pick<FastifyRequest, 'raw'>): string {
  if (raw.url?.includes('token=')) throw new AppError('token_in_url')
  const header = raw.headers.authorization
  if (header === undefined || header === '') throw new AppError('token_missing')
  // Node keeps the first of several Authorization headers and drops the others silently.
  if (countHeader(raw.rawHeaders, 'authorization') > 1) throw new AppError('credentials_conflict')
  // The `Bearer` scheme is missing, so the token itself was not looked up.
  if (header.slice(0, 7).toLowerCase() !== 'bearer ') throw new AppError('token_missing')
  const token = header.charCodeAt(7) === 0x20 ? header.slice(7).replace(/^ +/, '') : header.slice(7)
  if (looksLikeKey(token)) throw new AppError('token_expected')
  return token
}

/** How many headers with this lower-case name a request has. */
export function countHeader(rawHeaders: readonly string[], name: string): number {
  let count = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const found = rawHeaders[i]
    if (found?.length === name.length && found.toLowerCase() === name) count++
  }
  return count
}

/**
 * The caller's session, on a route that requires one.
 * @throws AppError `token_missing` on a route that requires none
 */
export function signedIn(request: FastifyRequest): SignedIn & { readonly token: string } {
  // The hook of `authenticate` has run: a request without a session does not reach a route that requires one.
  if (!request.signedIn) throw new AppError('token_missing')
  return request.signedIn
}

/** The session that a request writes for, and where the request comes from. */
export function callerOf(request: FastifyRequest): Caller & { readonly origin: RequestOrigin } {
  const { session, token } = signedIn(request)
  return { accountId: session.accountId, sessionId: session.id, token, origin: originOf(request) }
}

/** Where a request came from, as events record it. */
export function originOf(request: FastifyRequest): RequestOrigin {
  return { ip: request.clientAddress, requestId: request.id }
}
