// Development: the message goes to the terminal, not to a phone.
import { maskPhoneNumber } from '../../phone/phone.ts'
import { type Accepted, type SmsDriver, SmsError, type SmsMessage, smsText } from '../sms.ts'

/** Prints each message in one line. It is the one place that shows a code, because nobody else would. */
export class ConsoleSms implements SmsDriver {
  readonly name = 'console'
  readonly #write: (line: string) => Promise<void>

  constructor(write: (line: string) => Promise<void>) {
    this.#write = write
  }

  async send(message: SmsMessage): Promise<Accepted> {
    const words = `${smsText(message, 'zh-CN')} / ${smsText(message, 'en')}`
    try {
      await this.#write(`[短信 SMS] ${maskPhoneNumber(message.to)}  ${words}\n`)
    } catch (cause) {
      throw new SmsError(
        this.name,
        'unavailable',
        { surelyNotSent: true, affectsEveryNumber: true },
        { cause },
      )
    }
    return { outcome: 'sent', gatewayId: null }
  }
}
