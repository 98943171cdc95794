// A network for tests: it responds as the test prescribes, late, wrongly or not at all, and records the
// requests.
import type { Fetch, FetchInit } from './runtime.ts'
import type { Transport } from './transport.ts'
import { fetchTransport } from './transport-fetch.ts'

interface Asked {
  readonly method: string
  readonly path: string
  /** null: sent without a token. */
  readonly token: string | null
  /** null: no body. */
  readonly body: unknown
  readonly init: FetchInit
}

export type Answering = (asked: Asked) => Response | Promise<Response>

export interface FakeNetwork {
  readonly transport: Transport
  readonly asked: Asked[]
  /** Responds to every request from now on. */
  answer: Answering
}

export const baseUrl = 'https://hufu.test'

export function fakeNetwork(answer: Answering = offline): FakeNetwork {
  const fetch: Fetch = async (url, init) => {
    const token = init.headers.authorization?.replace('Bearer ', '') ?? null
    const body: unknown = JSON.parse(init.body ?? 'null')
    const asked = { method: init.method, path: url.slice(baseUrl.length), token, body, init }
    network.asked.push(asked)
    return await network.answer(asked)
  }
  const network: FakeNetwork = { asked: [], answer, transport: fetchTransport(fetch) }
  return network
}

/** Fails as `fetch` does without a network. */
export async function offline(): Promise<never> {
  throw new TypeError('fetch failed')
}

export function json(status: number, body: object, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { 'content-type': 'application/json; charset=utf-8', 'x-request-id': 'r-1', ...headers },
  })
}

export function problem(status: number, code: string, facts: object = {}, headers = {}): Response {
  const type = `urn:hufu:problem:${code}`
  const body = { type, title: `Title of ${code}`, status, code, request_id: 'r-2', ...facts }
  return json(status, body, { 'content-type': 'application/problem+json; charset=utf-8', ...headers })
}

/** A Wi-Fi sign-in page instead of the response. */
export function portal(status = 200): Response {
  return new Response('<html>Welcome to Hotel Wi-Fi</html>', {
    status,
    headers: { 'content-type': 'text/html' },
  })
}

export const done = (): Response => new Response(null, { status: 204 })

export const wireAccount = {
  id: 'account-1',
  phone_number: '+8612345678901',
  nickname: '小明',
  avatar_url: 'https://img.example.com/1.png',
  locale: 'zh-CN',
  has_password: true,
  registered_at: '2026-11-01T00:00:00.000Z',
}

export function wireSession(id: string) {
  return {
    id,
    platform: 'ios',
    device: { id: 'd-1', name: 'iPhone 15', app_version: '2.1.0' },
    ip: '192.0.2.1',
    created_at: '2026-11-22T00:00:00.000Z',
    seen_at: '2026-11-22T00:00:00.000Z',
    expires_at: '2026-12-22T00:00:00.000Z',
    current: true,
  }
}

/** The members of the account that the server returns with a session. */
const { id, phone_number, nickname } = wireAccount
const wireShortAccount = { id, phone_number, nickname }

/** The response of a sign-in with the token `token-<name>`. */
export function issued(name: string, { created = false, proof = '' } = {}): Response {
  const session = wireSession(`session-${name}`)
  const body = { token: `token-${name}`, session, account: wireShortAccount, created }
  return json(201, proof === '' ? body : { ...body, device_proof: proof })
}

/** The response of a rotation: `token-<name>` for the present session. */
export function rotated(name: string, sessionId = 'session-1'): Response {
  return json(200, { token: `token-${name}`, session: wireSession(sessionId) })
}

/** The response of `GET /v1/session`. */
export function signedIn(name: string, nickname = wireAccount.nickname): Response {
  return json(200, { session: wireSession(`session-${name}`), account: { ...wireShortAccount, nickname } })
}

export const replaced = (): Response =>
  problem(401, 'session_replaced', {
    ended_at: '2026-11-22T01:02:03.000Z',
    ended_by: { platform: 'android', device_name: '华为 Mate 60' },
  })

/** A promise that the test settles. */
export function held<T>() {
  return Promise.withResolvers<T>()
}
