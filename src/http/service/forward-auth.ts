// /v1/forward-auth: a gateway asks, with a copy of a request's head, whether the request may go on.
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { AppError } from '../../errors.ts'
import { type MaybePromise, mapMaybe } from '../../maybe-promise.ts'
import type { KeyAllowance } from '../../service-keys/key-allowance.ts'
import { looksLikeKey } from '../../service-keys/key-text.ts'
import type { KeyScope } from '../../service-keys/service-key.ts'
import { sessionIdOf } from '../../sessions/token.ts'
import type { Verification } from '../../sessions/verification.ts'
import { countHeader, type SignedIn, signedInBy } from '../authenticate.ts'
import { everyMethod } from '../method-not-allowed.ts'
import { problem, tokenRefused } from '../problem-answers.ts'
import { lookUpToken, serviceKey } from '../service-caller.ts'

const path = '/v1/forward-auth'

/**
 * The URL that the router gets. Some gateways append the path and the query of the original request to this
 * path: neither takes part in the decision.
 */
export function withoutOriginalPath(url: string): string {
  if (!url.startsWith(path)) return url
  const next = url[path.length]
  return next === undefined || next === '/' || next === '?' || next === '#' ? path : url
}

/**
 * The headers of an answer. Their names have no separator, so that no other spelling of a header becomes the
 * same variable in CGI, WSGI or PHP.
 */
const identityHeaders = {
  Hufuaccount: Type.String({ description: 'The id of the account; empty: the request has no token.' }),
  Hufusession: Type.String({ description: 'The id of the session.' }),
  Hufuplatform: Type.String({ description: 'The platform of the session.' }),
  Hufuexpires: Type.String({
    description: 'When the session expires, in seconds since 1970 UTC; empty: it does not.',
  }),
  Hufuassertion: Type.String({ description: 'Always empty.' }),
} as const

const route = {
  schema: {
    tags: ['forward-auth'],
    summary: 'May this request go on? 网关鉴权',
    description:
      'For gateways: nginx `auth_request`, Caddy `forward_auth` and others. Every method, and every path below, is the same. Only the credential decides; the body is not read. Each of the headers is always present.',
    operationId: 'forwardAuth',
    security: [{ gatewayKey: [], userToken: [] }],
    response: {
      200: { description: 'The request may go on', headers: identityHeaders, type: 'null' },
      400: problem('bad_request', 'credentials_conflict', 'key_expected', 'token_expected'),
      401: problem(...tokenRefused),
      403: problem('gateway_key_refused', 'key_network_refused', 'key_scope_missing'),
      413: problem('body_too_large'),
      429: problem('rate_limited'),
      500: problem('internal'),
      503: problem('unavailable'),
    },
  },
  config: { scope: 'forward-auth', isForGateways: true, isCopy: true },
} as const

interface Parts {
  readonly verification: Verification
  readonly keyAllowance: KeyAllowance
}

export function forwardAuthRoutes(app: FastifyInstance, parts: Parts): void {
  // A hook can answer before the body is read; a handler comes after it.
  app.addHook('onRequest', async (request, reply) => {
    const signedIn = await decide(request, parts)
    return reply.code(200).headers(headersFor(signedIn)).send()
  })
  const handler = async () => {}
  app.route({ ...route, method: 'GET', url: path, handler })
  const others = everyMethod.filter((method) => method !== 'GET')
  app.route({ method: others, url: path, config: route.config, schema: { hide: true }, handler })
}

/** null: the key lets requests without a token through. */
function decide(request: FastifyRequest, parts: Parts): MaybePromise<SignedIn | null> {
  const { id, scopes } = serviceKey(request)
  const token = userTokenOf(request, scopes)
  if (token === null) {
    if (scopes.includes('forward-auth:anonymous')) return null
    throw new AppError('token_missing')
  }
  // Other texts need no lookup: a flood of requests without a token must not use up the allowance of the key.
  if (sessionIdOf(token) !== null) parts.keyAllowance.take(id, 1)
  const signedIn = lookUpToken(() => signedInBy(token, parts.verification))
  return mapMaybe(signedIn, ({ session, account }) => {
    request.signedIn = { session, account, token }
    return { session, account }
  })
}

function headersFor(signedIn: SignedIn | null): Record<string, string> {
  const { session, account } = signedIn ?? {}
  const expiresAt = session?.expiresAt ?? null
  return {
    hufuaccount: account?.id ?? '',
    hufusession: session?.id ?? '',
    hufuplatform: session?.platform ?? '',
    hufuexpires: expiresAt === null ? '' : String(Math.floor(expiresAt / 1000)),
    hufuassertion: '',
  }
}

/**
 * The token of the user; null: the request has none. Headers are counted as they came, because Node drops or
 * joins repeated ones, and the back end may read another one than this server.
 * @throws AppError `credentials_conflict`, `token_missing` for another scheme, `token_expected` for a key
 */
function userTokenOf({ raw }: FastifyRequest, scopes: readonly KeyScope[]): string | null {
  const inAuthorization = countHeader(raw.rawHeaders, 'authorization')
  const inToken = countHeader(raw.rawHeaders, 'token')
  if (inAuthorization + inToken > 1) throw new AppError('credentials_conflict')
  const { authorization = '', token: classic } = raw.headers
  const token = inToken === 0 ? bearerOf(authorization) : scopes.includes('forward-auth:classic') && classic
  if (typeof token !== 'string' || token === '') return null
  if (looksLikeKey(token)) throw new AppError('token_expected')
  return token
}

/** RFC 6750, section 2.1. null: there is no header, or an empty one. */
function bearerOf(header: string): string | null {
  if (header === '') return null
  const [, token] = /^bearer +(.*)$/i.exec(header) ?? []
  if (token === undefined) throw new AppError('token_missing')
  return token
}
