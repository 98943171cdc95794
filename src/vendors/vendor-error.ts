// What goes wrong at a vendor, whatever is sent through it: text messages today.

/** What can go wrong with every vendor; a product adds what is about its recipients. */
export const vendorErrorCodes = ['rate_limited', 'misconfigured', 'out_of_funds', 'unavailable'] as const
export type VendorErrorCode = (typeof vendorErrorCodes)[number]

export interface VendorErrorFacts {
  /** false: the message may be on its way, and must not be sent again. */
  readonly surelyNotSent: boolean
  /**
   * true: the next message fails in the same way, whatever its recipient: key, funds, template, or a vendor that is away. Only where
   * that is certain: it stops the asking for a while, and a caller who could bring it about with a number would stop everybody's codes.
   */
  readonly affectsEveryRecipient?: boolean
  /** The vendor's own word for it; null where it said none, or none that may be shown. */
  readonly vendorCode?: string | null
  readonly retryAfterSeconds?: number | null
}

// What a vendor says is shown and logged: only a word, and nothing that could be a code or a phone number.
const showable = /^(?!.*\d{6})[\w.:-]{1,100}$/

/**
 * A message that a vendor did not take, or perhaps did not take. It never holds a code, a number or a key. `Code`: all codes of the
 * product.
 */
export class VendorError<Code extends string = VendorErrorCode> extends Error {
  readonly code: Code
  /** The name of the driver. */
  readonly driver: string
  readonly surelyNotSent: boolean
  readonly affectsEveryRecipient: boolean
  readonly vendorCode: string | null
  readonly retryAfterSeconds: number | null

  constructor(driver: string, code: Code, facts: VendorErrorFacts, options: { cause?: unknown } = {}) {
    const vendorCode = facts.vendorCode && showable.test(facts.vendorCode) ? facts.vendorCode : null
    const notes = [vendorCode, facts.surelyNotSent ? 'surely not sent' : 'perhaps sent']
    super(`${driver}: ${code} (${notes.filter((note) => note !== null).join(', ')})`, options)
    this.name = 'VendorError'
    this.code = code
    this.driver = driver
    this.surelyNotSent = facts.surelyNotSent
    this.affectsEveryRecipient = facts.affectsEveryRecipient ?? false
    this.vendorCode = vendorCode
    this.retryAfterSeconds = facts.retryAfterSeconds ?? null
  }

  /** Whether the operator's key, settings or account with the vendor is the reason: neither the recipient nor the vendor is. */
  get isOurFault(): boolean {
    return this.code === 'misconfigured' || this.code === 'out_of_funds'
  }
}
