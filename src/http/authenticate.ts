// Who is asking, and from where: the bearer token of a v1 request, the classic header `token`, the address.
import type { FastifyRequest } from 'fastify'
import { AppError } from '../errors.ts'
import type { Origin } from '../events/events.ts'
import { type OrPromise, whenKnown } from '../or-promise.ts'
import { endedError } from '../sessions/caller.ts'
import type { Session, SignedInAccount, Verified } from '../sessions/session.ts'
import type { Rotated, Sessions } from '../sessions/sessions.ts'

export interface SignedIn {
  readonly session: Session
  readonly account: SignedInAccount
}

/**
 * The live session that a token proves.
 * @throws AppError (or rejects with) `token_unknown`, or `session_<reason>` with when it ended and by which device
 */
export function signedInBy(token: string, sessions: Sessions): OrPromise<SignedIn> {
  return whenKnown(sessions.verify(token), onlyLive)
}

/**
 * The token that follows this one, and the session that it proves.
 * @throws AppError as `signedInBy` does
 */
export async function rotatedBy(token: string, sessions: Sessions): Promise<SignedIn & { token: string }> {
  return onlyLive<Extract<Rotated, { is: 'live' }>>(await sessions.rotate(token))
}

type NotLive = Exclude<Verified, { is: 'live' }>

function onlyLive<Live extends { readonly is: 'live' }>(verified: Live | NotLive): Live {
  switch (verified.is) {
    case 'live':
      return verified
    case 'ended':
      throw endedError(verified.ending)
    case 'unknown':
      throw new AppError('token_unknown')
  }
}

/**
 * The token of an `Authorization: Bearer` header (RFC 6750, section 2.1).
 * @throws AppError `token_missing`, also for a header that does not begin with `Bearer`, `credentials_conflict`, `token_in_url`
 */
export function bearerToken({ raw }: Pick<FastifyRequest, 'raw'>): string {
  if (raw.url?.includes('token=')) throw new AppError('token_in_url')
  const header = raw.headers.authorization
  if (header === undefined || header === '') throw new AppError('token_missing')
  // Node keeps the first of several Authorization headers and drops the others without a word.
  if (countAuthorization(raw.rawHeaders) > 1) throw new AppError('credentials_conflict')
  // What is missing is the word in front of the token; nothing is known of the token itself.
  if (header.slice(0, 7).toLowerCase() !== 'bearer ') throw new AppError('token_missing')
  return header.slice(7)
}

function countAuthorization(rawHeaders: readonly string[]): number {
  let count = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]
    if (name?.length === 13 && name.toLowerCase() === 'authorization') count++
  }
  return count
}

/**
 * The tutorial's header `token`.
 * @throws AppError `token_missing`
 */
export function classicToken({ raw }: Pick<FastifyRequest, 'raw'>): string {
  const { token } = raw.headers
  if (typeof token !== 'string' || token === '') throw new AppError('token_missing')
  return token
}

/** Where a request came from, as events tell it. */
export function originOf(request: FastifyRequest): Origin {
  return { ip: request.clientAddress, requestId: request.id }
}
