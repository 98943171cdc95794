// The six digits of a code, derived from a random nonce and the server's key.
import { createHmac } from 'node:crypto'
import type { Purpose } from './purpose.ts'

/**
 * The largest multiple of a million below 2^32: larger numbers are rejected, so that all codes are equally
 * likely.
 */
const unbiasedBelow = 4_294_000_000

/**
 * The code of a nonce: HMAC-SHA256 under the server's key over purpose, number and nonce, cut to six digits
 * as RFC 4226 does, but without its bias. So the same code can be sent again although it is not stored. The
 * nonce alone does not reveal the code, and a code for one number or purpose does not match another.
 */
export function codeOf(key: Buffer, about: { phoneNumber: string; purpose: Purpose; nonce: string }): string {
  for (let round = 0; ; round++) {
    const text = `${about.purpose}\n${about.phoneNumber}\n${about.nonce}\n${round}`
    const digest = createHmac('sha256', key).update(text).digest()
    for (let at = 0; at + 4 <= digest.length; at += 4) {
      const number = digest.readUInt32BE(at)
      if (number < unbiasedBelow) return String(number % 1_000_000).padStart(6, '0')
    }
  }
}
