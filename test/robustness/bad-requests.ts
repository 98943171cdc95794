// Derives bad requests from /openapi.json: a valid request of any route with one to three mutations. A seed
// and a number give the same request each time, except for the secrets in it.
import {
  chunked,
  type Draft,
  type Json,
  Random,
  type Route,
  textOf,
  type World,
} from './bad-request-draft.ts'
import { mutations } from './bad-request-mutations.ts'

export interface BadRequest {
  readonly bytes: Buffer
  readonly isHead: boolean
  readonly isLast: boolean
  /** Its X-Request-Id; null if it has no valid one. */
  readonly id: string | null
  /** The route and the mutations. */
  readonly name: string
}

interface Document {
  readonly paths: Record<string, Record<string, Operation>>
}
interface Operation {
  readonly security?: readonly Record<string, unknown>[]
  readonly parameters?: readonly { in: string; name: string }[]
  readonly requestBody?: {
    readonly content: Record<string, { examples?: Record<string, { value: unknown }> }>
  }
}

/** All routes of an OpenAPI document. */
export function routesOf(document: unknown): Route[] {
  // v1.test.ts checks the shape of the document.
  const { paths } = document as Document
  return Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, { security, parameters = [], requestBody }]) => {
      const scheme = Object.keys(security?.[0] ?? {})[0]
      return {
        method: method.toUpperCase(),
        path,
        token: scheme === 'token' ? 'bearer' : scheme === 'classicToken' ? 'classic' : 'none',
        query: parameters.filter((one) => one.in === 'query').map(({ name }) => name),
        bodies: Object.values(requestBody?.content['application/json']?.examples ?? {}).map(
          ({ value }) => value,
        ),
      }
    }),
  )
}

/** Bad request `n` of a seed. */
export function badRequest(
  { seed, n }: { seed: number; n: number },
  routes: readonly Route[],
  world: World,
): BadRequest {
  const random = new Random(seed, n)
  const draft = validRequest(random, routes, world)
  draft.headers.push(['x-request-id', `n${n}`])
  const [atMost, rarely] = [3, 1]
  if (!random.chance(rarely)) keepHashingRare(draft, random)
  for (let left = 1 + random.below(atMost); left > 0; left--) {
    const [name, mutate] = random.pick(mutations)
    draft.mutations.push(name)
    mutate(draft, random, world)
  }
  return finish(draft)
}

function validRequest(random: Random, routes: readonly Route[], world: World): Draft {
  const route = random.pick(routes)
  const headers: [string, string][] = [['host', 'hufu.test']]
  const isEnd = [
    'GET /logout',
    'DELETE /v1/session',
    'DELETE /v1/sessions',
    'POST /v1/session/rotate',
    'POST /v1/session/end',
    'POST /v1/sessions/end',
  ].includes(`${route.method} ${route.path}`)
  const token = random.pick(isEnd ? world.spareTokens : world.tokens)
  if (route.token === 'bearer') headers.push(['authorization', `Bearer ${token}`])
  if (route.token === 'classic') headers.push(['token', token])
  const example = route.bodies.length > 0 ? random.pick(route.bodies) : null
  return {
    route,
    method: route.method,
    target: route.path.replace(/\{\w+\}/, () => encodeURIComponent(random.pick(world.sessionIds))),
    query: random.chance(20) ? route.query.map((name) => `?${name}=true`).join('') : '',
    version: 'HTTP/1.1',
    headers,
    body: example === null ? null : asJson(withPhone(example, random, world)),
    encode: (text) => Buffer.from(text, 'utf8'),
    framing: random.chance(10) ? 'chunked' : 'announced',
    isLast: false,
    mutations: [],
  }
}

/** The numbers of the examples have no account; most requests get the number of one. */
function withPhone(example: unknown, random: Random, world: World): unknown {
  if (typeof example !== 'object' || example === null || !('phone_number' in example)) return example
  return random.chance(80) ? { ...example, phone_number: random.pick(world.phones) } : example
}

/**
 * A comparison of a password costs as much as hundreds of other requests, so nearly all requests with a
 * password are refused before it.
 */
function keepHashingRare({ body }: Draft, random: Random): void {
  if (body === null || !('pairs' in body)) return
  const secret = body.pairs.find(([key]) => /password|confirmation/.test(key))
  if (!secret) return
  const phone = body.pairs.find(([key]) => key === '"phone_number"')
  const changed = phone && random.chance(50) ? phone : secret
  changed[1] = { text: changed === phone ? '"1380"' : random.pick(['1', 'null', '[]', '{}', 'true', '-0']) }
}

function asJson(value: unknown): Json {
  if (Array.isArray(value)) return { items: value.map(asJson) }
  if (typeof value !== 'object' || value === null) return { text: JSON.stringify(value) }
  return { pairs: Object.entries(value).map(([key, inner]) => [JSON.stringify(key), asJson(inner)]) }
}

function finish(draft: Draft): BadRequest {
  const bytes = draft.body === null ? null : draft.encode(textOf(draft.body))
  const { headers, body } = framed(draft, bytes)
  const all = [...draft.headers, ...headers]
  const lines = all.map(([name, value]) => (value === '\n' ? name : `${name}: ${value}\r\n`)).join('')
  const head = `${draft.method} ${draft.target}${draft.query} ${draft.version}\r\n${lines}\r\n`
  const ids = all.filter(([name]) => name === 'x-request-id').map(([, value]) => value)
  return {
    bytes: Buffer.concat([Buffer.from(head, 'latin1'), body]),
    isHead: draft.method === 'HEAD',
    isLast: draft.isLast || head.length > 15_000 || body.length > 15_000,
    id: ids.length === 1 ? (ids[0] ?? null) : null,
    name: `${draft.route.method} ${draft.route.path}: ${draft.mutations.join(', ')}`,
  }
}

function framed(draft: Draft, bytes: Buffer | null): { headers: [string, string][]; body: Buffer } {
  const none = Buffer.alloc(0)
  if (typeof draft.framing === 'object')
    return { headers: draft.framing.headers, body: draft.framing.body(bytes ?? none) }
  if (bytes === null) return { headers: [], body: none }
  const named = draft.headers.some(([name]) => name.startsWith('content-type'))
  const type: [string, string][] = named ? [] : [['content-type', 'application/json']]
  if (draft.framing === 'chunked')
    return { headers: [...type, ['transfer-encoding', 'chunked']], body: chunked(bytes) }
  return { headers: [...type, ['content-length', String(bytes.length)]], body: bytes }
}
