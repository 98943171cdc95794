// Phone numbers: any spelling in, E.164 (ITU-T) inside, and back to how people of the region write it.
import {
  type CountryCode,
  getCountries,
  getCountryCallingCode,
  isSupportedCountry,
  Metadata,
  type PhoneNumber,
  parsePhoneNumberFromString,
} from 'libphonenumber-js/mobile'
import { AppError } from '../errors.ts'
import { visibleText } from '../typed-text.ts'

/** A region whose national spelling of numbers is understood: ISO 3166-1 alpha-2. */
export type Region = CountryCode

/** The region with this name, or null where the metadata knows none. */
export function parseRegion(text: string): Region | null {
  return isSupportedCountry(text) ? text : null
}

/** Every region whose numbering plan is known. */
export function allRegions(): readonly Region[] {
  return getCountries()
}

/** What the numbering plans say of a number. */
export interface NumberPlan {
  /**
   * The region of the number. Several where regions share a calling code and the number is in no mobile range of any of them; none
   * for satellite networks and other numbers that belong to no region (+881, +882, +883).
   */
  readonly regions: readonly Region[]
  /** Whether it is in a mobile range; where a plan does not tell mobile from fixed numbers (United States), in a range of both. */
  readonly isMobile: boolean
}

/** @param e164 of `parsePhoneNumber` */
export function planOf(e164: string): NumberPlan {
  const parsed = parsePhoneNumberFromString(e164)
  if (!parsed) return { regions: [], isMobile: false }
  const regions = parsed.country ? [parsed.country] : parsed.getPossibleCountries()
  return { regions: parsed.isNonGeographic() ? [] : regions, isMobile: parsed.isValid() }
}

const nationalDigits = 7

/**
 * The region of a number (ISO 3166-1). A number that is in no mobile range of the regions that share its calling code counts for the
 * first of them; one of no region is null, and gets no messages.
 */
export function numberCountry(e164: string): string | null {
  const parsed = parsePhoneNumberFromString(e164)
  return parsed?.country ?? parsed?.getPossibleCountries()[0] ?? null
}

/** Country code and the first digits behind it: `+861380000`. */
export function numberPrefix(e164: string): string {
  const parsed = parsePhoneNumberFromString(e164)
  const country = parsed ? `+${parsed.countryCallingCode}` : ''
  return e164.slice(0, country.length + nationalDigits)
}

/** Why a text is no phone number; http/problem.ts says what to do about each. */
export type PhoneProblem = 'has_wrong_form' | 'has_no_country_code' | 'is_not_possible'

// After the white space, hyphens and dashes of every script became ASCII: no letters, no other scripts' digits, no extension.
const spelling = /^(?:\(?\+?|\+\()[0-9][0-9 ().-]{0,30}[0-9]$/

/** A spelling as `+` and digits, or digits alone; null where it is no spelling of a number. */
function compact(text: string): string | null {
  const ascii = visibleText(text)
    .replace(/[\p{Dash_Punctuation}\u2212\u30FC]/gu, '-')
    .replace(/\s/g, ' ')
  return spelling.test(ascii) ? ascii.replace(/[ ().-]/g, '') : null
}

/**
 * E.164 of a *possible* mobile number (right length for its country, given out or not: the tutorial's 12345678901 is not), for
 * example `+8613800005223`. Spellings that a person cannot tell apart give the same number, or are refused alike.
 * @throws AppError `phone_number_invalid` with the reason
 */
export function parsePhoneNumber(text: string, region: Region): string {
  const digits = compact(text)
  if (digits === null) throw invalid('has_wrong_form', region)
  const parsed = parsePhoneNumberFromString(digits, { defaultCountry: region, extract: false })
  if (parsed?.isPossible() && !parsed.ext && hasMobileLength(parsed)) return parsed.number
  const isInternational = digits.startsWith('+') || digits.startsWith('00')
  throw invalid(isInternational ? 'is_not_possible' : 'has_no_country_code', region)
}

function invalid(problem: PhoneProblem, region: Region): AppError {
  return new AppError('phone_number_invalid', { phone: { problem, region } })
}

/** The library's types leave out what it has for each type of number. */
interface TypedMetadata extends Metadata {
  type(name: 'MOBILE'): { possibleLengths(): readonly number[] } | undefined
}

function hasMobileLength({ country, nationalNumber }: PhoneNumber): boolean {
  // A number that some countries share is of none of them as long as it is not given out.
  if (!country) return true
  const metadata = new Metadata()
  metadata.selectNumberingPlan(country)
  const lengths = (metadata as TypedMetadata).type('MOBILE')?.possibleLengths()
  return lengths === undefined || lengths.includes(nationalNumber.length)
}

const rememberedNumbers = 10_000

/** Writes numbers of one region as they are dialled there (`12345678901`), and those of other countries as E.164. */
export class NationalNumbers {
  readonly #countryCode: string
  /** Formatting costs as much as a whole request, so that what was formatted is kept. */
  readonly #known = new Map<string, string>()

  constructor(region: Region) {
    this.#countryCode = `+${getCountryCallingCode(region)}`
  }

  of(e164: string): string {
    const known = this.#known.get(e164)
    if (known !== undefined) return known
    const national = e164.startsWith(this.#countryCode)
      ? parsePhoneNumberFromString(e164)?.formatNational().replace(/\D/g, '')
      : undefined
    if (this.#known.size >= rememberedNumbers) this.#known.clear()
    this.#known.set(e164, national ?? e164)
    return national ?? e164
  }
}

/** For logs: `13800005223` -> `138****5223`; what is not a number shows nothing. */
export function maskPhoneNumber(text: string): string {
  const digits = compact(text) ?? ''
  return /^\+?\d{9,15}$/.test(digits) ? `${digits.slice(0, -8)}****${digits.slice(-4)}` : '****'
}
