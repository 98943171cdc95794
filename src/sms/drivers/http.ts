// An operator's own gateway: a signed POST of JSON to a URL. docs/sms.md is its specification.
import { createHmac } from 'node:crypto'
import type { Clock } from '../../clock.ts'
import {
  type GatewayAnswer,
  gatewayTimeoutMs,
  isObject,
  postToGateway,
  readJson,
  retryAfterSeconds,
  textIn,
  unreadable,
} from '../../vendors/post.ts'
import {
  type Accepted,
  type SmsDriver,
  SmsError,
  type SmsErrorCode,
  type SmsMessage,
  smsErrorCodes,
  smsText,
} from '../sms.ts'

export interface HttpSmsOptions {
  readonly url: string
  readonly secret: string
  readonly clock: Clock
  readonly timeoutMs?: number
}

export class HttpSms implements SmsDriver {
  readonly name = 'http'
  readonly #options: HttpSmsOptions

  constructor(options: HttpSmsOptions) {
    this.#options = options
  }

  async send(message: SmsMessage, id: string): Promise<Accepted> {
    const { url, secret, clock, timeoutMs = gatewayTimeoutMs } = this.#options
    const body = JSON.stringify(bodyOf(message, id))
    const timestamp = String(Math.floor(clock.now() / 1000))
    const headers = {
      'content-type': 'application/json',
      'idempotency-key': id,
      'x-hufu-timestamp': timestamp,
      'x-hufu-signature': createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex'),
    }
    const answer = await postToGateway(this.name, { url, headers, body, timeoutMs })
    if (answer.status === 204) return { outcome: 'sent', gatewayId: null }
    if (answer.status < 200 || answer.status > 299) throw refusal(answer)
    const members = readJson(this.name, answer)
    // Many gateways refuse with status 200.
    if ('error' in members) throw refusal(answer)
    return { outcome: 'sent', gatewayId: textIn(members, 'id') }
  }
}

function bodyOf(message: SmsMessage, id: string) {
  const text = { 'zh-CN': smsText(message, 'zh-CN'), en: smsText(message, 'en') }
  const { to, template } = message
  return message.template === 'code'
    ? { id, to, template, code: message.code, minutes: message.minutes, text }
    : { id, to, template, new_number: message.newNumber, text }
}

/** Statuses that do not depend on the number: about the key, the address or the method. */
const refusedForEveryNumber: readonly number[] = [401, 403, 404, 405, 410, 415]
/** Words of a gateway that say so. */
const affectingEveryNumber: readonly (SmsErrorCode | undefined)[] = [
  'misconfigured',
  'out_of_funds',
  'unavailable',
]

// Said by status alone. Other statuses say nothing sure: a proxy may have made them after the gateway did its work.
const refusedByStatus: Readonly<Record<number, SmsErrorCode>> = {
  400: 'misconfigured',
  401: 'misconfigured',
  403: 'misconfigured',
  404: 'misconfigured',
  405: 'misconfigured',
  410: 'misconfigured',
  413: 'misconfigured',
  415: 'misconfigured',
  422: 'misconfigured',
  429: 'rate_limited',
}

function refusal(answer: GatewayAnswer): SmsError {
  const { error, gatewayCode } = wordsOf(answer)
  const said = smsErrorCodes.find((code) => code === error)
  const code = said ?? refusedByStatus[answer.status]
  if (code === undefined) return unreadable('http', answer.status)
  return new SmsError('http', code, {
    surelyNotSent: true,
    affectsEveryNumber: said
      ? affectingEveryNumber.includes(said)
      : refusedForEveryNumber.includes(answer.status),
    gatewayCode: gatewayCode ?? `HTTP_${answer.status}`,
    retryAfterSeconds: retryAfterSeconds(answer.headers),
  })
}

function wordsOf({ text }: GatewayAnswer): { error: string | null; gatewayCode: string | null } {
  try {
    const value: unknown = JSON.parse(text)
    if (isObject(value)) return { error: textIn(value, 'error'), gatewayCode: textIn(value, 'gateway_code') }
  } catch {
    // Then the status speaks alone.
  }
  return { error: null, gatewayCode: null }
}
