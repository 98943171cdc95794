// Sending a text message: the contract of a driver, its errors, the words, and when a second driver may try.
import { randomUUID } from 'node:crypto'

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
  'rate_limited',
  'misconfigured',
  'out_of_funds',
  'unavailable',
] as const
export type SmsErrorCode = (typeof smsErrorCodes)[number]

export interface SmsErrorFacts {
  /** false: the message may be on its way, and must not be sent again. */
  readonly surelyNotSent: boolean
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

// About our account with the gateway or the gateway itself: another one may do better. The others are about the
// person's number. A rate limit is too, mostly, and our own limits are tighter than any gateway's: who meets one is
// flooding a phone or has spent the operator's budget, and a second gateway would count from zero and go on.
const anotherMayDoBetter: ReadonlySet<SmsErrorCode> = new Set([
  'misconfigured',
  'out_of_funds',
  'unavailable',
])

/** Sends through the first driver, and through the next one only where no message can have been sent. */
export class SmsSender {
  readonly #drivers: readonly SmsDriver[]
  readonly #onFailOver: (refusal: SmsError) => void

  /** `onFailOver` is told what a driver refused with before the next one is asked. */
  constructor(
    drivers: readonly [SmsDriver, ...SmsDriver[]],
    onFailOver: (refusal: SmsError) => void = () => {},
  ) {
    this.#drivers = drivers
    this.#onFailOver = onFailOver
  }

  /**
   * Sends a message once, or not at all. Where no driver has a template for it, it is skipped.
   * @throws SmsError of the last driver that was asked
   */
  async send(message: SmsMessage): Promise<Sent> {
    const id = randomUUID()
    let refusal: SmsError | null = null
    let skipped: Sent | null = null
    for (const driver of this.#drivers) {
      if (refusal) this.#onFailOver(refusal)
      try {
        const result = await driver.send(message, id)
        if (result.outcome === 'sent') return { ...result, id, driver: driver.name }
        skipped ??= { ...result, id, driver: driver.name }
      } catch (error) {
        if (!(error instanceof SmsError)) throw error
        if (!error.surelyNotSent || !anotherMayDoBetter.has(error.code)) throw error
        refusal = error
      }
    }
    // One that refused could have sent it: that says more than one that was never set up for it.
    if (refusal || !skipped) throw refusal ?? new TypeError('an SmsSender has a driver')
    return skipped
  }
}

export type SmsLanguage = 'zh-CN' | 'en'

/** The words of a message, for gateways that take free text. Those with approved templates have their own. */
export function smsText(message: SmsMessage, language: SmsLanguage): string {
  const isChinese = language === 'zh-CN'
  switch (message.template) {
    case 'code': {
      const { code, minutes } = message
      return isChinese
        ? `您的验证码是 ${code}，${minutes} 分钟内有效。请勿告诉任何人。`
        : `Your code is ${code}. It is valid for ${minutes} min. Do not tell it to anybody.`
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
