// Twilio Programmable Messaging: https://www.twilio.com/docs/messaging/api/message-resource
import {
  gatewayTimeoutMs,
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
  smsLanguage,
  smsText,
} from '../sms.ts'

export interface TwilioSmsOptions {
  readonly endpoint: string
  readonly accountSid: string
  readonly authToken: string
  /** A number or a sender of the account, or one of its messaging services (`MG…`). */
  readonly from: string
  readonly timeoutMs?: number
}

export class TwilioSms implements SmsDriver {
  readonly name = 'twilio'
  readonly #options: TwilioSmsOptions

  constructor(options: TwilioSmsOptions) {
    this.#options = options
  }

  async send(message: SmsMessage): Promise<Accepted> {
    const { endpoint, accountSid, authToken, from, timeoutMs = gatewayTimeoutMs } = this.#options
    const { origin } = new URL(endpoint)
    const answer = await postToGateway(this.name, {
      url: `${origin}/2010-04-01/Accounts/${encodeURIComponent(accountSid)}/Messages.json`,
      headers: {
        authorization: `Basic ${Buffer.from(`${accountSid}:${authToken}`).toString('base64')}`,
        'content-type': 'application/x-www-form-urlencoded',
      },
      body: new URLSearchParams({
        To: message.to,
        [/^MG[0-9a-f]{32}$/.test(from) ? 'MessagingServiceSid' : 'From']: from,
        Body: smsText(message, smsLanguage(message.to)),
      }).toString(),
      timeoutMs,
    })
    const members = readJson(this.name, answer)
    const sid = textIn(members, 'sid')
    if (answer.status === 201 && sid !== null) return { outcome: 'sent', gatewayId: sid }
    const { code } = members
    // Below 400 it was not refused, above 499 it is not known how far it came.
    if (typeof code !== 'number' || answer.status < 400 || answer.status > 499)
      throw unreadable(this.name, answer.status)
    throw new SmsError(this.name, known[code] ?? 'misconfigured', {
      surelyNotSent: true,
      affectsEveryNumber: everyNumber.includes(code),
      gatewayCode: String(code),
      retryAfterSeconds: retryAfterSeconds(answer.headers),
    })
  }
}

/**
 * Refusals that come for every number: authentication, a suspended or closed account, a sender or service that is not ours. What is
 * not here may depend on the number.
 */
const everyNumber: readonly number[] = [20003, 20005, 20006, 20008, 20404, 21603, 21660, 21701, 21703, 30002]

/** https://www.twilio.com/docs/api/errors; every other refusal is about the account, the sender or the route. */
const known: Readonly<Record<number, SmsErrorCode>> = {
  21211: 'number_invalid',
  21217: 'number_invalid',
  21265: 'number_invalid',
  21614: 'number_invalid',
  21635: 'number_invalid',
  21610: 'number_blocked',
  30004: 'number_blocked',
  // No permission for the country, no route from this sender to the number.
  21408: 'destination_refused',
  21612: 'destination_refused',
  63038: 'rate_limited',
  // Suspended: a balance below zero, as a rule.
  20005: 'out_of_funds',
  30002: 'out_of_funds',
  // Too many calls a second, a full queue: turned away at the door, whoever the message was for.
  20429: 'unavailable',
  21611: 'unavailable',
}
