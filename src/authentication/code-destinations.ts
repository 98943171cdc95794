// Which phone numbers may receive codes: by country, and by whether a number can receive a text message.
import { AppError } from '../errors.ts'
import { allRegions, planOf, type Region } from '../phone/phone.ts'

/** The countries that may receive codes, each with its maximum of messages in any 24 hours. */
export type ServedCountries = ReadonlyMap<Region, number>

/** `mobile`: numbers of a mobile range. `possible`: every number of a possible length. */
export type ServedNumbers = 'mobile' | 'possible'

/**
 * The budget of a served country without a budget of its own, as a part of the daily budget. Fraud with codes
 * goes to a few expensive countries: one of them must not use up the messages of the others. The default
 * region has the whole daily budget.
 */
const shareOfAnotherCountry = 1 / 10

/**
 * The countries of HUFU_SMS_COUNTRIES with their budgets. An empty `listed` means the default region alone;
 * `*` means every other country.
 */
export function servedCountries(options: {
  readonly listed: ReadonlyMap<Region | '*', number | null>
  readonly region: Region
  readonly dailyBudget: number
}): ServedCountries {
  const { listed, region, dailyBudget } = options
  if (listed.size === 0) return new Map([[region, dailyBudget]])
  const others = listed.get('*')
  const served = new Map<Region, number>()
  for (const one of allRegions()) {
    const budget = listed.has(one) ? listed.get(one) : others
    if (budget === undefined) continue
    const byDefault = one === region ? dailyBudget : Math.ceil(dailyBudget * shareOfAnotherCountry)
    served.set(one, budget ?? byDefault)
  }
  return served
}

export class CodeDestinations {
  readonly #countries: ServedCountries
  readonly #numbers: ServedNumbers
  readonly #region: Region

  constructor(options: { countries: ServedCountries; numbers: ServedNumbers; region: Region }) {
    this.#countries = options.countries
    this.#numbers = options.numbers
    this.#region = options.region
  }

  /**
   * Refuses a number that may not receive codes. The check does not read accounts, so its answer reveals
   * nothing about them. A message to the `owner` of an account may go to any number of a served country: it
   * is sent only where there is an account, and an account that was created with such a number must be able
   * to leave it.
   * @throws AppError `phone_number_not_mobile`, `country_not_served`
   */
  assertServed(phoneNumber: string, to: 'anyone' | 'owner'): void {
    const { regions, isMobile } = planOf(phoneNumber)
    const region = this.#region
    if (!regions.some((one) => this.#countries.has(one)))
      throw new AppError('country_not_served', {
        phone: { problem: 'is_not_served', region, served: [...this.#countries.keys()] },
      })
    if (to === 'anyone' && this.#numbers === 'mobile' && !isMobile)
      throw new AppError('phone_number_not_mobile', { phone: { problem: 'is_not_mobile', region } })
  }
}
