// Text messages, as the settings say: the drivers, and the numbers that get codes.
import {
  CodeDestinations,
  type ServedCountries,
  servedCountries,
} from '../authentication/code-destinations.ts'
import { type Clock, steadyClock } from '../clock.ts'
import type { Settings } from '../settings/settings.ts'
import { smsDrivers } from '../sms/drivers/drivers.ts'
import type { SmsError } from '../sms/sms.ts'
import { SmsSender } from '../sms/sms-sender.ts'

/** The rules of which numbers get codes. */
export function openDestinations(settings: Settings): CodeDestinations {
  const { numbers } = settings.sms
  return new CodeDestinations({
    countries: countriesOf(settings),
    numbers,
    region: settings.phone.defaultRegion,
  })
}

/** The countries that get codes, with the messages of a day for each. */
export function countriesOf({ sms, phone, limits }: Settings): ServedCountries {
  return servedCountries({
    listed: sms.countries,
    region: phone.defaultRegion,
    dailyBudget: limits.smsDailyBudget,
  })
}

/** Text messages through the configured drivers. No request is made before a message is sent. */
export function openSms(
  settings: Settings,
  clock: Clock,
  options: { readonly steady?: Clock; readonly onFailOver?: ((refusal: SmsError) => void) | undefined } = {},
): SmsSender {
  const [first, ...more] = settings.sms.chosen
  const parts = { clock, print: printToTerminal }
  const open = (name: string) => smsDrivers.open(name, settings.sms.drivers, parts)
  return new SmsSender({
    gateways: [open(first), ...more.map(open)],
    clock: options.steady ?? steadyClock,
    ...(options.onFailOver && { onFailOver: options.onFailOver }),
  })
}

const printToTerminal = (line: string) =>
  new Promise<void>((resolve, reject) => {
    process.stderr.write(line, (error) => (error ? reject(error) : resolve()))
  })
