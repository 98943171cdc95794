// The caller of a request to the API for services: a program of the operator, by its service key.
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { AppError, type ErrorCode } from '../errors.ts'
import { type MaybePromise, mapMaybe } from '../maybe-promise.ts'
import { inClass } from '../queue-order.ts'
import { looksLikeKey } from '../service-keys/key-text.ts'
import type { KeyVerification } from '../service-keys/key-verification.ts'
import type { KeyScope, ServiceKey } from '../service-keys/service-key.ts'
import { type CallerKind, countHeader } from './authenticate.ts'
import { peerAddress } from './client-address.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The caller's key; null where the route requires none. */
    serviceKey: ServiceKey | null
  }
  interface FastifyContextConfig {
    /** What the key of a caller must allow. A route for services without it refuses every key. */
    scope?: KeyScope
    /** The key is that of a gateway, in its own header: `Authorization` has the user's token. */
    isForGateways?: boolean
  }
}

/**
 * Authenticates the callers of a surface's routes by their keys: before the body is read, and once more after
 * it has arrived, which may take 15 s.
 */
export function authenticateServices(
  app: FastifyInstance,
  kind: CallerKind,
  keys: Pick<KeyVerification, 'verify'>,
): void {
  const isForServices = (request: FastifyRequest) =>
    (request.routeOptions.config.caller ?? kind) === 'service'
  app.addHook('onRequest', (request, _reply, done) => {
    if (!isForServices(request)) return done()
    whenVerified(verifyKey(request, keys), () => inClass('known', done), done)
  })
  app.addHook('preValidation', (request, _reply, done) => {
    if (!isForServices(request) || request.method === 'GET') return done()
    whenVerified(verifyKey(request, keys), () => done(), done)
  })
}

function whenVerified(verified: MaybePromise<void>, goOn: () => void, refuse: (error: Error) => void): void {
  if (verified instanceof Promise) verified.then(goOn, refuse)
  else goOn()
}

function verifyKey(request: FastifyRequest, keys: Pick<KeyVerification, 'verify'>): MaybePromise<void> {
  const { scope, isForGateways = false } = request.routeOptions.config
  const verified = isForGateways
    ? verifyGatewayKey(request, keys)
    : keys.verify(keyTextOf(request), request.clientAddress)
  return mapMaybe(verified, (key) => {
    if (scope === undefined || !key.scopes.includes(scope)) throw new AppError('key_scope_missing')
    request.serviceKey = key
  })
}

/**
 * The key of a gateway, for the gateway's own address: `X-Forwarded-For` is a copy of what its client sent.
 * Its refusal is never a 401: a gateway would pass it on, and the app would sign its user out.
 */
async function verifyGatewayKey(
  request: FastifyRequest,
  keys: Pick<KeyVerification, 'verify'>,
): Promise<ServiceKey> {
  const text = gatewayKeyOf(request)
  try {
    return await keys.verify(text, peerAddress(request.raw))
  } catch (error) {
    if (!(error instanceof AppError) || !refusedForGateways.has(error.code)) throw error
    throw new AppError('gateway_key_refused', { refusedKey: error.code })
  }
}

/** Refusals of keys that are 401 on other routes. */
const refusedForGateways: ReadonlySet<ErrorCode> = new Set(['key_unknown', 'key_revoked', 'key_expired'])

/**
 * The caller's key, on a route for services.
 * @throws AppError `key_missing` on other routes
 */
export function serviceKey({ serviceKey: key }: FastifyRequest): ServiceKey {
  if (!key) throw new AppError('key_missing')
  return key
}

/**
 * Looks up a user's token. Only the key is known so far: a flood of invented tokens behind a gateway must
 * not delay the work of signed-in clients.
 */
export function lookUpToken<Result>(work: () => Result): Result {
  return inClass('reading', work)
}

/**
 * The text of a key in the `Authorization` header: `Bearer` (RFC 6750), or `Basic` (RFC 7617) with the key's
 * id as the user and the key as the password, as libraries for token introspection send it.
 * @throws AppError `key_missing`, `credentials_conflict`, `key_expected`, `key_unknown`
 */
export function keyTextOf({ raw }: Pick<FastifyRequest, 'raw'>): string {
  const header = raw.headers.authorization ?? ''
  if (countHeader(raw.rawHeaders, 'authorization') > 1) throw new AppError('credentials_conflict')
  const [, scheme = '', credentials = ''] = /^(\w+) +(\S+)$/.exec(header) ?? []
  switch (scheme.toLowerCase()) {
    case 'bearer':
      if (looksLikeKey(credentials)) return credentials
      throw new AppError(looksLikeToken(credentials) ? 'key_expected' : 'key_unknown')
    case 'basic':
      return keyTextOfBasic(credentials)
    default:
      throw new AppError('key_missing')
  }
}

/**
 * The text of a gateway's key, in the header `Hufukey`.
 * @throws AppError `gateway_key_refused`, `credentials_conflict`, `key_expected`
 */
function gatewayKeyOf({ raw }: Pick<FastifyRequest, 'raw'>): string {
  const count = countHeader(raw.rawHeaders, 'hufukey')
  if (count > 1) throw new AppError('credentials_conflict')
  const text = String(raw.headers.hufukey ?? '')
  if (text === '') throw new AppError('gateway_key_refused', { refusedKey: 'key_missing' })
  if (looksLikeToken(text)) throw new AppError('key_expected')
  return text
}

function looksLikeToken(text: string): boolean {
  return text.startsWith('hf_')
}

/** RFC 6749, section 2.3.1: user and password are form-encoded, which changes no character of a key. */
function keyTextOfBasic(credentials: string): string {
  const text = Buffer.from(credentials, 'base64').toString('latin1')
  const colon = text.indexOf(':')
  const [id, password] = [text.slice(0, colon), text.slice(colon + 1)]
  if (looksLikeToken(password)) throw new AppError('key_expected')
  const whole = looksLikeKey(password) ? password : `hfk_${id}_${password}`
  if (colon === -1 || !whole.startsWith(`hfk_${id}_`)) throw new AppError('key_unknown')
  return whole
}
