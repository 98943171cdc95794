// Development: the message goes to the terminal, not to a phone.
import { maskPhoneNumber } from '../../phone/phone.ts'
import { type DriverParts, driver } from '../../vendors/driver.ts'
import { VendorError } from '../../vendors/vendor-error.ts'
import { type Accepted, type SmsGateway, type SmsMessage, smsText } from '../sms.ts'

export const consoleSms = driver({
  name: 'console',
  settings: {},
  required: [],
  open: (_settings, { print }) => new ConsoleSms(print),
})

/**
 * Prints each message in one line. This is the only place that shows a code, because no phone receives it.
 */
class ConsoleSms implements SmsGateway {
  readonly name = 'console'
  readonly #print: DriverParts['print']

  constructor(print: DriverParts['print']) {
    this.#print = print
  }

  async send(message: SmsMessage): Promise<Accepted> {
    const words = `${smsText(message, 'zh-CN')} / ${smsText(message, 'en')}`
    try {
      await this.#print(`[短信 SMS] ${maskPhoneNumber(message.to)}  ${words}\n`)
    } catch (cause) {
      throw new VendorError(
        this.name,
        'unavailable',
        { surelyNotSent: true, affectsEveryRecipient: true },
        { cause },
      )
    }
    return { outcome: 'sent', gatewayId: null }
  }
}
