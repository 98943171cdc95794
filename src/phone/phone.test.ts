import fc from 'fast-check'
import { getCountryCallingCode } from 'libphonenumber-js/mobile'
import examples from 'libphonenumber-js/mobile/examples'
import { describe, expect, test } from 'vitest'
import { AppError } from '../errors.ts'
import {
  allRegions,
  maskPhoneNumber,
  NationalNumbers,
  numberPrefix,
  parsePhoneNumber,
  parseRegion,
} from './phone.ts'

test.each([
  '13800005223',
  '138 0000 5223',
  '138-0000-5223',
  '+86 13800005223',
  '+8613800005223',
  '0086 13800005223',
  '(+86)13800005223',
  '+(86) 138 0000 5223',
  '86 13800005223',
  '13800005223 ',
  '\t13800005223\n',
  '１３８００００５２２３',
  '＋８６　１３８－００００－５２２３',
  '\u202d138\u00a00000\u20115223\u202c',
  '\u2068+86 138–0000—5223\u2069',
  '1\u200b3\u200c8\u200d0\u2060000\ufeff5223',
])('%j is one number', (text) => {
  expect(parsePhoneNumber(text, 'CN')).toBe('+8613800005223')
})

test('a possible number is enough, valid or not', () => {
  expect(parsePhoneNumber('12345678901', 'CN')).toBe('+8612345678901')
})

test.each([
  '',
  '1',
  '1234',
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
  expect(() => parsePhoneNumber(text, 'CN')).toThrow(AppError)
})

describe('however a number is spelt', () => {
  const unseen = [
    '\u00ad',
    '\u200b',
    '\u200d',
    '\u200e',
    '\u202a',
    '\u202c',
    '\u202e',
    '\u2066',
    '\u2069',
    '\ufeff',
  ]
  const separators = ['', ' ', '-', '.', '\u00a0', '\u2009', '\u3000', '\u2011', '\u2013', '\uff0d', ') (']
  const white = ['', ' ', '\n', '\t ', '\u00a0', '\u3000\u2028']
  const fullWidth = (text: string) =>
    text.replace(/[+0-9()]/g, (c) => String.fromCodePoint((c.codePointAt(0) ?? 0) + 0xfee0))
  /**
   * One of the texts, with separators between its characters, invisible characters anywhere, and any width.
   */
  const spelt = (...texts: string[]) =>
    fc.constantFrom(...texts).chain((text) =>
      fc
        .array(
          fc.record({
            between: fc.oneof({ weight: 3, arbitrary: fc.constant('') }, fc.constantFrom(...separators)),
            hidden: fc.array(fc.constantFrom(...unseen), { maxLength: 2 }),
            isWide: fc.boolean(),
          }),
          { minLength: text.length, maxLength: text.length },
        )
        .chain((parts) =>
          fc.tuple(fc.constantFrom(...white), fc.constantFrom(...white)).map(([before, behind]) => {
            const letters = [...text].map((letter, i) => {
              const { between = '', hidden = [], isWide = false } = parts[i] ?? {}
              // A separator is between two digits.
              const isBetween = i > 0 && /\d/.test(text[i - 1] ?? '')
              return `${isBetween ? between : ''}${hidden.join('')}${isWide ? fullWidth(letter) : letter}`
            })
            return before + letters.join('') + behind
          }),
        ),
    )
  const outcome = (text: string) => {
    try {
      return parsePhoneNumber(text, 'CN')
    } catch (error) {
      return error instanceof AppError ? error.facts.phone?.problem : error
    }
  }

  test.each([
    [
      '+8613800005223',
      ['13800005223', '+8613800005223', '008613800005223', '(+86)13800005223', '8613800005223'],
    ],
    ['+8612345678901', ['12345678901', '+8612345678901', '008612345678901']],
    ['+447911123456', ['+447911123456', '00447911123456', '+44(0)7911123456']],
    ['+12025550123', ['+12025550123', '0012025550123', '+1(202)5550123']],
  ])('%s is the same account', (e164, texts) => {
    fc.assert(
      fc.property(spelt(...texts), (text) => {
        expect(parsePhoneNumber(text, 'CN')).toBe(e164)
      }),
      { numRuns: 300 },
    )
  })

  test('what is refused in one spelling is refused in every one, for the same reason', () => {
    const refused = fc.constantFrom(
      '1',
      '110',
      '138000052',
      '1380000522311111',
      '+99912345678901',
      '+013800005223',
      '2025550123',
      '13800005223x',
      '1380000٥223',
    )
    fc.assert(
      fc.property(
        refused.chain((text) => fc.tuple(fc.constant(text), spelt(text))),
        ([text, spelling]) => {
          expect(outcome(text)).toMatch(/^(has|is)_/)
          expect(outcome(spelling)).toBe(outcome(text))
        },
      ),
      { numRuns: 300 },
    )
  })

  test('any text is one number for good, or none', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string({ unit: 'binary' }), spelt('13800005223', '+12025550123', '12345678901')),
        (text) => {
          const result = String(outcome(text))
          if (result.startsWith('+')) expect(outcome(result)).toBe(result)
        },
      ),
      { numRuns: 1_000 },
    )
  })
})

test.each([
  ['abc', 'has_wrong_form'],
  ['13800005223 ext. 5', 'has_wrong_form'],
  ['2025550123', 'has_no_country_code'],
  ['1380000522', 'has_no_country_code'],
  ['+86 1380000522', 'is_not_possible', 'CN'],
  ['+99912345678901', 'is_not_possible'],
] as const)('of %s it says why: %s', (text, problem, lengthOf?: string) => {
  const facts = { phone: { problem, region: 'CN', ...(lengthOf && { lengthOf }) } }
  expect(() => parsePhoneNumber(text, 'CN')).toThrow(
    expect.objectContaining({ code: 'phone_number_invalid', facts }),
  )
})

test('the region decides what a number without a country code means', () => {
  expect(parsePhoneNumber('07911 123456', 'GB')).toBe('+447911123456')
  expect(parseRegion('GB')).toBe('GB')
  expect(parseRegion('XX')).toBeNull()
})

test('00 and a country code is that country or refused, in every region', () => {
  const countries = ['AU', 'BR', 'CN', 'EG', 'FR', 'GB', 'IN', 'JP', 'MX', 'RU', 'US', 'VN'] as const
  for (const region of allRegions())
    for (const country of countries) {
      const digits = `${getCountryCallingCode(country)}${examples[country]}`
      let found: string | null = null
      try {
        found = parsePhoneNumber(`00${digits}`, region)
      } catch (error) {
        expect(error).toMatchObject({ facts: { phone: { problem: 'has_no_country_code' } } })
      }
      if (found !== null && found !== `+${digits}`) expect.fail(`00${digits} in ${region} is ${found}`)
    }
})

test.each([
  ['KR', '00 86 138 0013 8000', '+8613800138000'],
  ['HK', '00 86 138 0013 8000', '+8613800138000'],
  ['SG', '00 86 138 0013 8000', '+8613800138000'],
  ['US', '00 86 138 0013 8000', '+8613800138000'],
  // What is dialled there before a country code.
  ['KR', '001 86 138 0013 8000', '+8613800138000'],
  ['KR', '00700 86 138 0013 8000', '+8613800138000'],
  ['HK', '001 65 9123 4567', '+6591234567'],
  ['TH', '001 86 138 0013 8000', '+8613800138000'],
  ['JP', '010 86 138 0013 8000', '+8613800138000'],
  ['US', '011 86 138 0013 8000', '+8613800138000'],
  ['AU', '0011 86 138 0013 8000', '+8613800138000'],
  ['RU', '810 86 138 0013 8000', '+8613800138000'],
] as const)('in %s, %s is %s', (region, text, e164) => {
  expect(parsePhoneNumber(text, region)).toBe(e164)
})

test('00 that may mean two numbers is refused: a code could go to another person', () => {
  // 00 91 is India; 009 is dialled in Hong Kong, and 1 812 is the United States.
  expect(() => parsePhoneNumber('00 91 81234 56789', 'HK')).toThrow(
    expect.objectContaining({ facts: { phone: { problem: 'has_no_country_code', region: 'HK' } } }),
  )
  expect(parsePhoneNumber('00 91 81234 56789', 'CN')).toBe('+918123456789')
})

test('a number of the region is written as it is dialled there, another one as E.164', () => {
  expect(new NationalNumbers('CN').of('+8612345678901')).toBe('12345678901')
  expect(new NationalNumbers('GB').of('+447911123456')).toBe('07911123456')
  expect(new NationalNumbers('CN').of('+447911123456')).toBe('+447911123456')
})

test('a masked number shows neither the whole of it nor anything that is no number', () => {
  expect(maskPhoneNumber('13800005223')).toBe('138****5223')
  expect(maskPhoneNumber('+8613800005223')).toBe('+86138****5223')
  expect(maskPhoneNumber('\u202d１３８ 0000 5223\u202c')).toBe('138****5223')
  expect(maskPhoneNumber('a secret')).toBe('****')
  expect(maskPhoneNumber('1234')).toBe('****')
})

test.each([
  ['+8613800005223', '+861380000'],
  ['+12025550123', '+12025550'],
  ['+85251234567', '+8525123456'],
])('the prefix of %s is %s', (number, prefix) => expect(numberPrefix(number)).toBe(prefix))
