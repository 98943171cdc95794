import { expect, test } from 'vitest'
import { VendorError } from './vendor-error.ts'

test.each([
  ['isv.AMOUNT_NOT_ENOUGH', 'isv.AMOUNT_NOT_ENOUGH'],
  ['21211', '21211'],
  ['13800005223', null],
  ['E-123456', null],
  ['余额不足', null],
  ['two words', null],
  ['\u001b[31mred', null],
  ['x'.repeat(101), null],
  ['', null],
])('of what a gateway calls its error, %j, only a word is kept', (said, kept) => {
  const error = new VendorError('http', 'unavailable', { surelyNotSent: true, vendorCode: said })
  expect(error.vendorCode).toBe(kept)
  expect(error.message).toBe(`http: unavailable (${kept === null ? '' : `${kept}, `}surely not sent)`)
})

test.each([
  ['misconfigured', true],
  ['out_of_funds', true],
  ['unavailable', false],
  ['rate_limited', false],
  ['number_invalid', false],
])('%s is our fault: %s', (code, isOurFault) => {
  expect(new VendorError<string>('http', code, { surelyNotSent: true }).isOurFault).toBe(isOurFault)
})
