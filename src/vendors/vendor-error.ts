// Errors of a vendor, whatever the product sends: text messages today.

/** The error codes that every vendor can have; a product adds those about its recipients. */
export const vendorErrorCodes = ['rate_limited', 'misconfigured', 'out_of_funds', 'unavailable'] as const
export type VendorErrorCode = (typeof vendorErrorCodes)[number]

export interface VendorErrorFacts {
  /** false: the message may be on its way, and must not be sent again. */
  readonly surelyNotSent: boolean
  /**
   * true: the next message fails in the same way, whatever its recipient: key, funds, template, or an
   * unavailable vendor. Set it only where that is certain: it stops requests to the vendor for a while, and a
   * caller that could cause it with a number would stop codes for every number.
   */
  readonly affectsEveryRecipient?: boolean
  /**
   * true: the cause is, or may be, the template or the text of this kind of message, so that another kind may
   * be accepted.
   */
  readonly isAboutTemplate?: boolean
  /** The vendor's own error code; null where there was none, or none that may be shown. */
  readonly vendorCode?: string | null
  readonly retryAfterSeconds?: number | null
}

// The code of a vendor is shown and logged: a single word only, without anything that could be a one-time
// code or a phone number.
const showable = /^(?!.*\d{6})[\w.:-]{1,100}$/

/**
 * A message that a vendor did not accept, or may not have accepted. It never holds a code, a number or a key.
 * `Code`: all error codes of the product.
 */
export class VendorError<Code extends string = VendorErrorCode> extends Error {
  readonly code: Code
  /** The name of the driver. */
  readonly driver: string
  readonly surelyNotSent: boolean
  readonly affectsEveryRecipient: boolean
  readonly isAboutTemplate: boolean
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
    this.isAboutTemplate = facts.isAboutTemplate ?? false
    this.vendorCode = vendorCode
    this.retryAfterSeconds = facts.retryAfterSeconds ?? null
  }

  /**
   * Whether the cause is the operator's key, settings or account with the vendor, and neither the recipient
   * nor the vendor.
   */
  get isOurFault(): boolean {
    return this.code === 'misconfigured' || this.code === 'out_of_funds'
  }
}
