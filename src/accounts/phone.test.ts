import { expect, test } from 'vitest'
import { AppError } from '../errors.ts'
import { maskPhoneNumber, NationalNumbers, parsePhoneNumber, parseRegion } from './phone.ts'

test.each([
  '13800005223',
  '138 0000 5223',
  '138-0000-5223',
  '+86 13800005223',
  '+8613800005223',
  '0086 13800005223',
])('%s is one number', (text) => {
  expect(parsePhoneNumber(text, 'CN')).toBe('+8613800005223')
})

test('a possible number is enough, valid or not', () => {
  expect(parsePhoneNumber('12345678901', 'CN')).toBe('+8612345678901')
})

test.each([
  '',
  '1',
  '1234',
  '12345678901 ',
  ' 12345678901',
  '１２３４５６７８９０１',
  '١٢٣٤٥٦٧٨٩٠١',
  '12345678901\u0000',
  '12345678901;ext=5',
  'tel:12345678901',
  'abc',
  '+0123456789',
  '+99912345678901',
  // Lengths that no mobile number has.
  '00000000000',
  '1380000522',
  '138000052233',
  '+86138000052233',
  "12345678901' or '1'='1",
  '1'.repeat(5000),
])('%j is no number', (text) => {
  expect(() => parsePhoneNumber(text, 'CN')).toThrow(new AppError('phone_number_invalid'))
})

test('the region decides what a number without a country code means', () => {
  expect(parsePhoneNumber('07911 123456', 'GB')).toBe('+447911123456')
  expect(parseRegion('GB')).toBe('GB')
  expect(parseRegion('XX')).toBeNull()
})

test('a number of the region is written as it is dialled there, another one as E.164', () => {
  expect(new NationalNumbers('CN').of('+8612345678901')).toBe('12345678901')
  expect(new NationalNumbers('GB').of('+447911123456')).toBe('07911123456')
  expect(new NationalNumbers('CN').of('+447911123456')).toBe('+447911123456')
})

test('a masked number shows neither the whole of it nor anything that is no number', () => {
  expect(maskPhoneNumber('13800005223')).toBe('138****5223')
  expect(maskPhoneNumber('+8613800005223')).toBe('+86138****5223')
  expect(maskPhoneNumber('a secret')).toBe('****')
  expect(maskPhoneNumber('1234')).toBe('****')
})
