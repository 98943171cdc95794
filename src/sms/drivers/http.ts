// An operator's own gateway: a signed POST of JSON to a URL. docs/sms.md is its specification.
import { createHmac } from 'node:crypto'
import type { Clock } from '../../clock.ts'
import { httpUrl } from '../../settings/parsers.ts'
import { setting } from '../../settings/setting.ts'
import { driver } from '../../vendors/driver.ts'
import {
  isObject,
  postToVendor,
  readJson,
  retryAfterSeconds,
  textIn,
  unreadable,
  type VendorAnswer,
  vendorTimeoutMs,
} from '../../vendors/post.ts'
import { VendorError } from '../../vendors/vendor-error.ts'
import {
  type Accepted,
  type SmsError,
  type SmsErrorCode,
  type SmsGateway,
  type SmsMessage,
  smsErrorCodes,
  smsText,
} from '../sms.ts'

export const httpSms = driver({
  name: 'http',
  settings: {
    url: setting({
      name: 'HUFU_SMS_HTTP_URL',
      default: '',
      secret: true,
      parse: httpUrl,
    }),
    secret: setting({
      name: 'HUFU_SMS_HTTP_SECRET',
      default: '',
      secret: true,
      parse: (text: string): string => text,
    }),
  },
  required: ['url', 'secret'],
  open: ({ url, secret }, { clock, timeoutMs }) => new HttpSms({ url, secret, clock, timeoutMs }),
})

interface HttpSmsOptions {
  readonly url: string
  readonly secret: string
  readonly clock: Clock
  readonly timeoutMs: number | undefined
}

class HttpSms implements SmsGateway {
  readonly name = 'http'
  readonly #options: HttpSmsOptions

  constructor(options: HttpSmsOptions) {
    this.#options = options
  }

  async send(message: SmsMessage, id: string): Promise<Accepted> {
    const { url, secret, clock, timeoutMs = vendorTimeoutMs } = this.#options
    const body = JSON.stringify(bodyOf(message, id))
    const timestamp = String(Math.floor(clock.now() / 1000))
    const headers = {
      'content-type': 'application/json',
      'idempotency-key': id,
      'x-hufu-timestamp': timestamp,
      'x-hufu-signature': createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex'),
    }
    const answer = await postToVendor(this.name, { url, headers, body, timeoutMs })
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

/** Statuses about the key, the address or the method, which do not depend on the number. */
const refusedForEveryNumber: readonly number[] = [401, 403, 404, 405, 410, 415]
/** Error codes of a gateway with the same meaning. */
const affectingEveryNumber: readonly (SmsErrorCode | undefined)[] = [
  'misconfigured',
  'out_of_funds',
  'unavailable',
]

// Refusals by status alone. Other statuses prove nothing: a proxy may have sent them after the gateway did
// its work.
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

function refusal(answer: VendorAnswer): SmsError {
  const { error, vendorCode } = wordsOf(answer)
  const said = smsErrorCodes.find((code) => code === error)
  const code = said ?? refusedByStatus[answer.status]
  if (code === undefined) return unreadable('http', answer.status)
  return new VendorError('http', code, {
    surelyNotSent: true,
    affectsEveryRecipient: said
      ? affectingEveryNumber.includes(said)
      : refusedForEveryNumber.includes(answer.status),
    // The gateway has one code for a wrong key and for a wrong template.
    isAboutTemplate: said === 'misconfigured',
    vendorCode: vendorCode ?? `HTTP_${answer.status}`,
    retryAfterSeconds: retryAfterSeconds(answer.headers),
  })
}

function wordsOf({ text }: VendorAnswer): { error: string | null; vendorCode: string | null } {
  try {
    const value: unknown = JSON.parse(text)
    if (isObject(value)) return { error: textIn(value, 'error'), vendorCode: textIn(value, 'gateway_code') }
  } catch {
    // Without a JSON body, only the status counts.
  }
  return { error: null, vendorCode: null }
}
