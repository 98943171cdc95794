// Phone numbers: parsed from any spelling, stored as E.164 (ITU-T), and formatted as people of the region
// write them.
import {
  type CountryCode,
  getCountries,
  getCountryCallingCode,
  isSupportedCountry,
  Metadata,
  type PhoneNumber,
  parsePhoneNumberFromString,
} from 'libphonenumber-js/mobile'
import { BoundedMap } from '../bounded-map.ts'
import { AppError } from '../errors.ts'
import { visibleText } from '../typed-text.ts'

/** A region with a numbering plan in the metadata: ISO 3166-1 alpha-2. */
export type Region = CountryCode

/** The region with this name, or null where the metadata has none. */
export function parseRegion(text: string): Region | null {
  return isSupportedCountry(text) ? text : null
}

/** Every region with a numbering plan in the metadata. */
export function allRegions(): readonly Region[] {
  return getCountries()
}

/** A number's place in the numbering plans. */
export interface NumberPlan {
  /**
   * The region of the number. Several where regions share a calling code and the number is in no mobile range
   * of any of them; none for satellite networks and other numbers that belong to no region (+881, +882,
   * +883).
   */
  readonly regions: readonly Region[]
  /**
   * Whether it is in a mobile range; where a plan does not separate mobile from fixed numbers (United
   * States), in a range of both.
   */
  readonly isMobile: boolean
}

/** @param e164 a result of `parsePhoneNumber` */
export function planOf(e164: string): NumberPlan {
  const parsed = parsePhoneNumberFromString(e164)
  if (!parsed) return { regions: [], isMobile: false }
  const regions = parsed.country ? [parsed.country] : parsed.getPossibleCountries()
  return { regions: parsed.isNonGeographic() ? [] : regions, isMobile: parsed.isValid() }
}

const nationalDigits = 7

/**
 * The region of a number (ISO 3166-1). A number that is in no mobile range of the regions that share its
 * calling code counts for the first of them. Null for a number of no region, which gets no messages.
 */
export function numberCountry(e164: string): string | null {
  const parsed = parsePhoneNumberFromString(e164)
  return parsed?.country ?? parsed?.getPossibleCountries()[0] ?? null
}

/** The country code and the first seven national digits: `+861380000`. */
export function numberPrefix(e164: string): string {
  const parsed = parsePhoneNumberFromString(e164)
  const country = parsed ? `+${parsed.countryCallingCode}` : ''
  return e164.slice(0, country.length + nationalDigits)
}

/** Why a text is not a phone number. http/problem.ts has advice for each. */
type PhoneProblem = 'has_wrong_form' | 'has_no_country_code' | 'is_not_possible'

// Applies after the white space, hyphens and dashes of every script are ASCII: no letters, no digits of other
// scripts, no extension.
const spelling = /^(?:\(?\+?|\+\()[0-9][0-9 ().-]{0,30}[0-9]$/

/** With what cannot be seen, in UTF-16 units. Normalization takes quadratic time for many combining marks. */
const spellingMax = 128

/** A spelling reduced to `+` and digits, or to digits; null where it is not the spelling of a number. */
function compact(text: string): string | null {
  if (text.length > spellingMax) return null
  const ascii = visibleText(text)
    .replace(/[\p{Dash_Punctuation}\u2212\u30FC]/gu, '-')
    .replace(/\s/g, ' ')
  return spelling.test(ascii) ? ascii.replace(/[ ().-]/g, '') : null
}

/**
 * E.164 of a *possible* mobile number (the right length for its country, assigned or not: the tutorial's
 * 12345678901 is not), for example `+8613800005223`. Spellings that look the same give the same number, or
 * the same refusal.
 * @throws AppError `phone_number_invalid` with the reason
 */
export function parsePhoneNumber(text: string, region: Region): string {
  const digits = compact(text)
  if (digits === null) throw invalid('has_wrong_form', region)
  const numbers = readingsOf(digits, region)
  const mobile = numbers.filter((number) => number.isPossible() && !number.ext && hasMobileLength(number))
  const [found, other] = mobile
  if (found && !other) return found.number
  const [assigned, another] = mobile.filter((number) => number.isValid())
  if (assigned && !another) return assigned.number
  const isInternational = digits.startsWith('+') || digits.startsWith('00')
  if (!isInternational || other) throw invalid('has_no_country_code', region)
  const possible = numbers.find((number) => number.isPossible())
  throw invalid('is_not_possible', region, possible?.country)
}

/**
 * The numbers that digits may mean. In some regions `00` is not what is dialled before a country code, or the
 * digits after it name a carrier: in Hong Kong, `008 61...` is a number of Australia by the plan, and
 * `00 86 1...` is what a person means.
 */
function readingsOf(digits: string, region: Region): PhoneNumber[] {
  const texts = digits.startsWith('00') ? [`+${digits.slice(2)}`, digits] : [digits]
  const options = { defaultCountry: region, extract: false }
  const numbers = texts.flatMap((text) => parsePhoneNumberFromString(text, options) ?? [])
  return numbers.filter(({ number }, i) => numbers.findIndex((one) => one.number === number) === i)
}

function invalid(problem: PhoneProblem, region: Region, lengthOf?: Region): AppError {
  return new AppError('phone_number_invalid', { phone: { problem, region, ...(lengthOf && { lengthOf }) } })
}

/** The library's types omit its metadata of each type of number. */
interface TypedMetadata extends Metadata {
  type(name: 'MOBILE'): { possibleLengths(): readonly number[] } | undefined
}

function hasMobileLength({ country, nationalNumber }: PhoneNumber): boolean {
  // An unassigned number of a shared calling code belongs to none of its countries.
  if (!country) return true
  const metadata = new Metadata()
  metadata.selectNumberingPlan(country)
  const lengths = (metadata as TypedMetadata).type('MOBILE')?.possibleLengths()
  return lengths === undefined || lengths.includes(nationalNumber.length)
}

const rememberedNumbers = 10_000

/** Formats numbers of one region as they are dialled there (`12345678901`), and all others as E.164. */
export class NationalNumbers {
  readonly #countryCode: string
  /** Formatting costs as much as a whole request, so the results are cached. */
  readonly #known = new BoundedMap<string>(rememberedNumbers)

  constructor(region: Region) {
    this.#countryCode = `+${getCountryCallingCode(region)}`
  }

  of(e164: string): string {
    const known = this.#known.get(e164)
    if (known !== undefined) return known
    const national = e164.startsWith(this.#countryCode)
      ? parsePhoneNumberFromString(e164)?.formatNational().replace(/\D/g, '')
      : undefined
    this.#known.set(e164, national ?? e164)
    return national ?? e164
  }
}

/**
 * A number for logs: `13800005223` becomes `138****5223`; a text that is not a number is masked completely.
 */
export function maskPhoneNumber(text: string): string {
  const digits = compact(text) ?? ''
  return /^\+?\d{9,15}$/.test(digits) ? `${digits.slice(0, -8)}****${digits.slice(-4)}` : '****'
}
