// A client that runs one operation at a time and records its result.
import { randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { holdRequest } from '../support/held-request.ts'
import type { Kind, Operation, Outcome } from './history.ts'

export interface Server {
  readonly name: string
  readonly url: string
}

interface Request {
  readonly kind: Kind
  readonly account: string
  readonly token: string | null
  readonly code?: string
  readonly key?: string
  readonly method: string
  readonly path: string
  readonly body?: object
}

/** The credential of a sign-in. A code has a name, which identifies it in the history. */
export type Proof = { readonly password: string } | { readonly code: string; readonly name: string }

/** Longer than the deadline of the checker, so that a later response counts as none and is reported. */
const requestTimeoutMs = 20_000

export class Client {
  readonly operations: Operation[] = []

  /** @param key the idempotency key of a sign-in that may be retried */
  signIn(server: Server, account: string, proof: Proof, key?: string): Promise<Operation> {
    const body = { phone_number: account, ...('code' in proof ? { code: proof.code } : proof), device }
    const code = 'name' in proof ? { code: proof.name } : {}
    const retried = key === undefined ? {} : { key }
    const request = { kind: 'sign_in', account, token: null, ...code, ...retried } as const
    return this.#do(server, { ...request, method: 'POST', path: '/v1/sessions', body })
  }

  signOut(server: Server, account: string, token: string): Promise<Operation> {
    return this.#do(server, { kind: 'sign_out', account, token, method: 'DELETE', path: '/v1/session' })
  }

  check(server: Server, account: string, token: string): Promise<Operation> {
    return this.#do(server, { kind: 'check', account, token, method: 'GET', path: '/v1/session' })
  }

  /** Signs in with a wrong password from an address. */
  async guess(server: Server, account: string, address: string): Promise<Operation> {
    const start = performance.now()
    const body = { phone_number: account, password: 'not the password', device }
    const { answer, ...seen } = await ask(`${server.url}/v1/sessions`, 'POST', null, { body, address })
    const outcome = answer.startsWith('401') ? 'done' : answer.startsWith('429') ? 'refused' : seen.outcome
    const operation: Operation = {
      kind: 'guess',
      account,
      token: null,
      server: server.name,
      start,
      end: performance.now(),
      outcome,
      answer,
    }
    this.operations.push(operation)
    return operation
  }

  /** A write on behalf of a session, whose body is sent `holdMs` after its headers. */
  async write(server: Server, account: string, token: string, holdMs: number): Promise<Operation> {
    const start = performance.now()
    const seen = await hold({ url: `${server.url}/v1/sessions`, token }, holdMs)
    const operation: Operation = {
      kind: 'write',
      account,
      token,
      server: server.name,
      start,
      sentAt: seen.sentAt,
      end: performance.now(),
      outcome: seen.outcome,
      answer: seen.answer,
      requestId: seen.requestId,
    }
    this.operations.push(operation)
    return operation
  }

  async #do(server: Server, request: Request): Promise<Operation> {
    const { kind, account, token, code, key, method, path, body } = request
    const start = performance.now()
    const seen = await ask(server.url + path, method, token, { body, key })
    const operation: Operation = {
      kind,
      account,
      token: kind === 'sign_in' ? seen.token : token,
      ...(code !== undefined && { code }),
      ...(key !== undefined && { key }),
      server: server.name,
      start,
      end: performance.now(),
      outcome: seen.outcome,
      answer: seen.answer,
      requestId: seen.requestId,
    }
    this.operations.push(operation)
    return operation
  }
}

const device = { platform: 'ios', name: 'iPhone 15' }

interface Seen {
  readonly outcome: Outcome
  readonly answer: string
  readonly token: string | null
  readonly requestId: string | null
}

/** A random address. Only servers that trust this machine as a proxy use it. */
export const newAddress = () => `10.${Array.from({ length: 3 }, () => randomInt(1, 255)).join('.')}`

interface Sent {
  readonly body?: object | undefined
  readonly key?: string | undefined
  readonly address?: string
}

async function ask(
  url: string,
  method: string,
  token: string | null,
  { body, key, address = newAddress() }: Sent = {},
): Promise<Seen> {
  try {
    const response = await fetch(url, {
      method,
      headers: {
        'x-forwarded-for': address,
        ...(token !== null && { authorization: `Bearer ${token}` }),
        ...(key !== undefined && { 'idempotency-key': key }),
        ...(body && { 'content-type': 'application/json' }),
      },
      ...(body && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(requestTimeoutMs),
    })
    const text = await response.text()
    const { code = '', token: given = null } = text === '' ? {} : JSON.parse(text)
    const answer = `${response.status} ${code}`.trim()
    const { headers, status } = response
    const isUsedKey = status === 422 && key !== undefined && /"is_used"/.test(text)
    const outcome = isUsedKey ? 'refused' : outcomeOf(status, headers.has('retry-after'))
    return { outcome, answer, token: given, requestId: headers.get('x-request-id') }
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error)
    return { outcome: 'unknown', answer: cause, token: null, requestId: null }
  }
}

async function hold(
  { url, token }: { readonly url: string; readonly token: string },
  holdMs: number,
): Promise<Omit<Seen, 'token'> & { readonly sentAt: number }> {
  let sentAt = performance.now()
  try {
    const held = await holdRequest({ method: 'DELETE', url, token, body: '{}' }, requestTimeoutMs)
    // The server may refuse before it has read the body.
    await Promise.race([sleep(holdMs), held.answer])
    sentAt = performance.now()
    held.release()
    const { status, headers, text } = await held.answer
    const { code = '' } = text === '' ? {} : JSON.parse(text)
    const hasRetryAfter = headers['retry-after'] !== undefined
    const requestId = String(headers['x-request-id'] ?? '') || null
    return {
      outcome: outcomeOf(status, hasRetryAfter),
      answer: `${status} ${code}`.trim(),
      sentAt,
      requestId,
    }
  } catch (error) {
    return { outcome: 'unknown', answer: String(error), sentAt, requestId: null }
  }
}

function outcomeOf(status: number, hasRetryAfter: boolean): Outcome {
  if (status >= 200 && status < 300) return 'done'
  if (status === 401) return 'refused'
  return status === 503 && hasRetryAfter ? 'unavailable' : 'wrong'
}
