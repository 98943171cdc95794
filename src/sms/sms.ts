// Text messages: the contract of a gateway, its errors, and the texts. sms-sender.ts sends them, drivers/ has
// the gateways.
import { VendorError, vendorErrorCodes } from '../vendors/vendor-error.ts'

/** The content of a message. Numbers in `to` are E.164; `newNumber` is masked already. */
export type SmsMessage =
  | { readonly to: string; readonly template: 'code'; readonly code: string; readonly minutes: number }
  | { readonly to: string; readonly template: 'phone_changed'; readonly newNumber: string }

/** The error codes of every gateway; docs/sms.md says what to do about each. */
export const smsErrorCodes = [
  'number_invalid',
  'number_blocked',
  'destination_refused',
  ...vendorErrorCodes,
] as const
export type SmsErrorCode = (typeof smsErrorCodes)[number]

export type SmsError = VendorError<SmsErrorCode>

/**
 * Whether the error comes from an SMS gateway. The code that sends messages calls no other vendor, so the
 * class of the error is enough.
 */
export function isSmsError(error: unknown): error is SmsError {
  return error instanceof VendorError
}

/**
 * The gateway accepted the message and will try to deliver it. `gatewayId` is the gateway's id for the
 * message, if it gave one.
 */
export interface Accepted {
  readonly outcome: 'sent'
  readonly gatewayId: string | null
}

/** No gateway was called: the operator has not set a template for this kind of message. */
export interface Skipped {
  readonly outcome: 'skipped'
  readonly reason: 'no_template'
}

/** The client that a driver opens. It makes one request for each message and never retries. */
export interface SmsGateway {
  /** The name of its driver. */
  readonly name: string
  /**
   * @param id this server's id for the message, which a gateway may show beside it; not secret
   * @throws VendorError with an `SmsErrorCode`
   */
  send(message: SmsMessage, id: string): Promise<Accepted | Skipped>
}

/** The result of a message, with this server's id for it and the driver that returned it. */
export type Sent = (Accepted | Skipped) & { readonly id: string; readonly driver: string }

export type SmsLanguage = 'zh-CN' | 'en'

/**
 * The text of a message, for gateways that take free text. Gateways with approved templates have their own.
 */
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

/** Chinese for mainland numbers, English for the rest of the world. */
export function smsLanguage(to: string): SmsLanguage {
  return to.startsWith('+86') ? 'zh-CN' : 'en'
}
