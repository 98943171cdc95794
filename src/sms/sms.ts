// Text messages: the contract of a driver, its errors, and the words. sms-sender.ts sends them.

/** What is sent. Numbers in `to` are E.164; `newNumber` is masked already. */
export type SmsMessage =
  | { readonly to: string; readonly template: 'code'; readonly code: string; readonly minutes: number }
  | { readonly to: string; readonly template: 'phone_changed'; readonly newNumber: string }

export const smsDriverNames = ['console', 'http', 'aliyun', 'tencent', 'twilio'] as const
export type SmsDriverName = (typeof smsDriverNames)[number]

/** What can go wrong, whichever the gateway; docs/sms.md says what to do about each. */
export const smsErrorCodes = [
  'number_invalid',
  'number_blocked',
  'destination_refused',
  'rate_limited',
  'misconfigured',
  'out_of_funds',
  'unavailable',
] as const
export type SmsErrorCode = (typeof smsErrorCodes)[number]

export interface SmsErrorFacts {
  /** false: the message may be on its way, and must not be sent again. */
  readonly surelyNotSent: boolean
  /**
   * true: the next message fails in the same way, whatever its number: key, funds, template, or a gateway that is away. Only where that is
   * certain: it stops the asking for a while, and a caller who could bring it about with a number would stop everybody's codes.
   */
  readonly affectsEveryNumber?: boolean
  /** The gateway's own word for it; null where it said none, or none that may be shown. */
  readonly gatewayCode?: string | null
  readonly retryAfterSeconds?: number | null
}

// What a gateway says is shown and logged: only a word, and nothing that could be a code or a phone number.
const showable = /^(?!.*\d{6})[\w.:-]{1,100}$/

/** A message that a gateway did not take, or perhaps did not take. It never holds a code, a number or a key. */
export class SmsError extends Error {
  readonly code: SmsErrorCode
  readonly driver: SmsDriverName
  readonly surelyNotSent: boolean
  readonly affectsEveryNumber: boolean
  readonly gatewayCode: string | null
  readonly retryAfterSeconds: number | null

  constructor(
    driver: SmsDriverName,
    code: SmsErrorCode,
    facts: SmsErrorFacts,
    options: { cause?: unknown } = {},
  ) {
    const gatewayCode = facts.gatewayCode && showable.test(facts.gatewayCode) ? facts.gatewayCode : null
    const notes = [gatewayCode, facts.surelyNotSent ? 'surely not sent' : 'perhaps sent']
    super(`${driver}: ${code} (${notes.filter((note) => note !== null).join(', ')})`, options)
    this.name = 'SmsError'
    this.code = code
    this.driver = driver
    this.surelyNotSent = facts.surelyNotSent
    this.affectsEveryNumber = facts.affectsEveryNumber ?? false
    this.gatewayCode = gatewayCode
    this.retryAfterSeconds = facts.retryAfterSeconds ?? null
  }
}

/** A gateway took the message: it will try to deliver it. `gatewayId` is its name for the message, if it gave one. */
export interface Accepted {
  readonly outcome: 'sent'
  readonly gatewayId: string | null
}

/** Nobody was asked: the operator has not set a template for this kind of message. */
export interface Skipped {
  readonly outcome: 'skipped'
  readonly reason: 'no_template'
}

/** A way to send. Drivers ask their gateway once, whatever happens. */
export interface SmsDriver {
  readonly name: SmsDriverName
  /**
   * @param id our name for the message, which a gateway may show beside it; not secret
   * @throws SmsError
   */
  send(message: SmsMessage, id: string): Promise<Accepted | Skipped>
}

/** What became of a message, with our id for it and the driver that said so. */
export type Sent = (Accepted | Skipped) & { readonly id: string; readonly driver: SmsDriverName }

export type SmsLanguage = 'zh-CN' | 'en'

/** The words of a message, for gateways that take free text. Those with approved templates have their own. */
export function smsText(message: SmsMessage, language: SmsLanguage): string {
  const isChinese = language === 'zh-CN'
  switch (message.template) {
    case 'code': {
      const { code, minutes } = message
      return isChinese
        ? `您的验证码是 ${code}，${minutes} 分钟内有效。请勿告诉任何人。`
        : `Your code is ${code}. It expires in ${minutes} minutes. Don't share it with anyone.`
    }
    case 'phone_changed':
      return isChinese
        ? `您的账号已换绑手机号 ${message.newNumber}。如非本人操作，请立即联系客服。`
        : `The phone number of your account is now ${message.newNumber}. If this was not you, contact support at once.`
  }
}

/** Chinese for numbers of the mainland, English for the rest of the world. */
export function smsLanguage(to: string): SmsLanguage {
  return to.startsWith('+86') ? 'zh-CN' : 'en'
}
