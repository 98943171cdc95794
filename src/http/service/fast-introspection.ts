// `POST /v1/introspect` with a key and a token that this process has verified recently, answered before
// Fastify, as fast-path.ts does for `GET /v1/session`. A request that is not plain goes on to Fastify, which
// gives the same response; a test compares the bytes.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { BoundedMap } from '../../bounded-map.ts'
import type { KeyAllowance } from '../../service-keys/key-allowance.ts'
import type { KeyVerification } from '../../service-keys/key-verification.ts'
import type { ServiceKey } from '../../service-keys/service-key.ts'
import type { Verification } from '../../sessions/verification.ts'
import type { VerifiedToken } from '../../sessions/verified-tokens.ts'
import { countHeader } from '../authenticate.ts'
import type { ClientAddressOf } from '../client-address.ts'
import { type AnswerOf, bytesOf, type FastAnswers } from '../fast-path.ts'
import type { FastRequest, RequestLifecycle } from '../lifecycle.ts'
import { keyTextOf } from '../service-caller.ts'
import { isFormType } from './form-body.ts'
import { describeLive } from './introspection-answer.ts'

const path = '/v1/introspect'
const maxHeaders = 1_000

/** What may follow the token. */
const plainHint = /^&token_type_hint=[\w-]*$/

const withoutPhone: AnswerOf = { answer: (live) => describeLive(live, []) }
const withPhone: AnswerOf = { answer: (live) => describeLive(live, ['introspect:phone']) }

export interface FastIntrospectionParts {
  readonly verification: Verification
  readonly keyVerification: Pick<KeyVerification, 'verifyFromMemory'>
  readonly keyAllowance: KeyAllowance
  readonly lifecycle: RequestLifecycle
  readonly addressOf: ClientAddressOf
}

export class FastIntrospection implements FastAnswers {
  readonly #parts: FastIntrospectionParts
  readonly #route: FastRequest['route']
  /** The texts of keys by the `Authorization` headers that have presented them. */
  readonly #keyTexts = new BoundedMap<string>(maxHeaders)
  /** A `Content-Type` of forms: most requests have the same. */
  #formType = 'application/x-www-form-urlencoded'

  constructor(parts: FastIntrospectionParts) {
    this.#parts = parts
    const head = parts.lifecycle.newFastHead('application/json; charset=utf-8')
    this.#route = { head, target: { method: 'POST', path } }
  }

  tryToAnswer(request: IncomingMessage, response: ServerResponse, goOn: () => void): boolean {
    if (request.method !== 'POST' || request.url !== path) return false
    if (!this.#parts.lifecycle.mayAnswerBodyFast(request)) return false
    if (!this.#hasForm(request)) return false
    const began = performance.now()
    const answer = (body: string) => this.#answer({ request, response, route: this.#route, began }, body)
    takeWholeBody(request, { answer, goOn })
    return true
  }

  #hasForm(request: IncomingMessage): boolean {
    const type = request.headers['content-type'] ?? ''
    if (type === this.#formType) return true
    if (!isFormType(type)) return false
    this.#formType = type
    return true
  }

  /** Returns whether it has answered the request or will answer it. */
  #answer(asked: FastRequest, body: string): boolean {
    const { verification, keyAllowance, lifecycle } = this.#parts
    const token = tokenOf(body)
    if (token === null) return false
    const key = this.#keyOf(asked.request)
    if (!key?.scopes.includes('introspect') || !keyAllowance.tryTake(key.id, 1)) return false
    const verified = verification.verifyFromMemory(token)
    if (verified === null) {
      keyAllowance.giveBack(key.id, 1)
      return false
    }
    const how = key.scopes.includes('introspect:phone') ? withPhone : withoutPhone
    const send = (one: VerifiedToken) => lifecycle.answerFast(asked, bytesOf(how, one), undefined)
    if (verified instanceof Promise) {
      lifecycle.connections.follow(asked.request.socket, asked.response)
      void verified.then(send)
    } else send(verified)
    return true
  }

  /** The key of a request, if it is in memory. */
  #keyOf(request: IncomingMessage): ServiceKey | null {
    const { authorization = '' } = request.headers
    if (countHeader(request.rawHeaders, 'authorization') !== 1) return null
    const known = this.#keyTexts.get(authorization)
    try {
      const text = known ?? keyTextOf({ raw: request })
      const key = this.#parts.keyVerification.verifyFromMemory(text, this.#parts.addressOf(request))
      if (key !== null && known === undefined) this.#keyTexts.set(authorization, text)
      return key
    } catch {
      return null
    }
  }
}

/**
 * The token of a form in which nothing else is but a hint; null: another form. The token may be escaped: then
 * no token in memory is equal to it.
 */
function tokenOf(body: string): string | null {
  if (!body.startsWith('token=')) return null
  const end = body.indexOf('&')
  if (end === -1) return body.slice(6)
  return plainHint.test(body.slice(end)) ? body.slice(6, end) : null
}

interface WholeBody {
  /** Returns whether the request is answered. */
  readonly answer: (body: string) => boolean
  readonly goOn: () => void
}

/**
 * Calls `answer` when the body has come in the same chunk as the head, as most HTTP clients send it, and
 * `goOn` in every other case: a request whose body is still on its way needs what Fastify's routes do for it.
 * Node's parser gives each chunk to `push`; reading the stream would cost more than the rest of the request.
 */
function takeWholeBody(request: IncomingMessage, { answer, goOn }: WholeBody): void {
  const { push } = request
  const length = Number(request.headers['content-length'])
  let body: Buffer | null = null
  let isOver = false
  /** From here on, the stream has the body as if nothing had taken it. */
  const giveBack = () => {
    isOver = true
    // This restores the inherited method.
    Reflect.deleteProperty(request, 'push')
    if (body !== null) push.call(request, body)
  }
  request.push = (chunk: Buffer | null) => {
    if (chunk !== null && body === null) {
      body = chunk
      return true
    }
    const isWhole = chunk === null && body !== null
    if (isWhole && answer(body?.toString('latin1') ?? '')) {
      isOver = true
      Reflect.deleteProperty(request, 'push')
      return push.call(request, null)
    }
    giveBack()
    goOn()
    return push.call(request, chunk)
  }
  process.nextTick(() => {
    if (isOver || body?.length === length) return
    giveBack()
    goOn()
  })
}
