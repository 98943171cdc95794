// Twilio Programmable Messaging: https://www.twilio.com/docs/messaging/api/message-resource
import { origin, word } from '../../settings/parsers.ts'
import { setting, WrongValue } from '../../settings/setting.ts'
import { driver } from '../../vendors/driver.ts'
import {
  postToVendor,
  readJson,
  retryAfterSeconds,
  textIn,
  unreadable,
  vendorTimeoutMs,
} from '../../vendors/post.ts'
import { VendorError } from '../../vendors/vendor-error.ts'
import {
  type Accepted,
  type SmsErrorCode,
  type SmsGateway,
  type SmsMessage,
  smsLanguage,
  smsText,
} from '../sms.ts'

export const twilioSms = driver({
  name: 'twilio',
  settings: {
    accountSid: setting({
      name: 'HUFU_SMS_TWILIO_ACCOUNT_SID',
      default: '',
      parse: word,
    }),
    authToken: setting({
      name: 'HUFU_SMS_TWILIO_AUTH_TOKEN',
      default: '',
      secret: true,
      parse: word,
    }),
    from: setting({
      name: 'HUFU_SMS_TWILIO_FROM',
      default: '',
      parse: twilioFrom,
    }),
    endpoint: setting({
      name: 'HUFU_SMS_TWILIO_ENDPOINT',
      default: 'https://api.twilio.com',
      parse: origin,
    }),
  },
  required: ['accountSid', 'authToken', 'from'],
  open: (settings, { timeoutMs }) => new TwilioSms({ ...settings, timeoutMs }),
})

interface TwilioSmsOptions {
  readonly endpoint: string
  readonly accountSid: string
  readonly authToken: string
  /** A number or a sender of the account, or one of its messaging services (`MG…`). */
  readonly from: string
  readonly timeoutMs: number | undefined
}

class TwilioSms implements SmsGateway {
  readonly name = 'twilio'
  readonly #options: TwilioSmsOptions

  constructor(options: TwilioSmsOptions) {
    this.#options = options
  }

  async send(message: SmsMessage): Promise<Accepted> {
    const { endpoint, accountSid, authToken, from, timeoutMs = vendorTimeoutMs } = this.#options
    const { origin } = new URL(endpoint)
    const answer = await postToVendor(this.name, {
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
    // Below 400 it was not refused; above 499 it is unknown how far the request got.
    if (typeof code !== 'number' || answer.status < 400 || answer.status > 499)
      throw unreadable(this.name, answer.status)
    throw new VendorError(this.name, known[code] ?? 'misconfigured', {
      surelyNotSent: true,
      affectsEveryRecipient: everyNumber.includes(code),
      vendorCode: String(code),
      retryAfterSeconds: retryAfterSeconds(answer.headers),
    })
  }
}

/**
 * Refusals that do not depend on the number: authentication, a suspended or closed account, a sender or
 * service of another account. Codes that are not listed here may depend on the number.
 */
const everyNumber: readonly number[] = [20003, 20005, 20006, 20008, 20404, 21603, 21660, 21701, 21703, 30002]

/**
 * https://www.twilio.com/docs/api/errors; every other refusal is about the account, the sender or the route.
 */
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
  // The account is suspended, usually for a balance below zero.
  20005: 'out_of_funds',
  30002: 'out_of_funds',
  // Too many calls a second, or a full queue: refused before the gateway looks at the message, for any
  // recipient.
  20429: 'unavailable',
  21611: 'unavailable',
}

function twilioFrom(text: string): string {
  if (/^(\+[1-9]\d{3,14}|\d{3,8}|MG[0-9a-f]{32}|[A-Za-z0-9 ]{1,11}|)$/.test(text)) return text
  throw new WrongValue(
    '必须是号码（例如 +15005550006）、最多 11 个字母或数字的发送者，或 MG…',
    'must be a number such as +15005550006, a sender of 11 letters or digits at most, or MG…',
  )
}
