import { describe, expect, test } from 'vitest'
import { AppError } from '../errors.ts'
import type { Region } from '../phone/phone.ts'
import { CodeDestinations, type ServedNumbers, servedCountries } from './code-destinations.ts'

function destinations(
  countries: Partial<Record<Region | '*', number | null>>,
  region: Region,
  numbers: ServedNumbers = 'mobile',
) {
  // The keys of the literal are regions or `*`.
  const listed = new Map(Object.entries(countries) as [Region | '*', number | null][])
  return new CodeDestinations({
    countries: servedCountries({ listed, region, dailyBudget: 1000 }),
    numbers,
    region,
  })
}

function answer(where: CodeDestinations, number: string, to: 'anyone' | 'owner' = 'anyone'): string {
  try {
    where.assertServed(number, to)
    return 'served'
  } catch (error) {
    return error instanceof AppError ? error.code : String(error)
  }
}

describe('by default', () => {
  test.each([
    ['+8613800005223', 'served'],
    ['+8619212345678', 'served'],
    // 0755-8123-4567, and the tutorial's number.
    ['+8675581234567', 'phone_number_not_mobile'],
    ['+8612345678901', 'phone_number_not_mobile'],
    ['+85291234567', 'country_not_served'],
    ['+12025550123', 'country_not_served'],
    ['+881612345678', 'country_not_served'],
    ['+8821612345678', 'country_not_served'],
    ['+883510001234567', 'country_not_served'],
  ])('in China %s is %s', (number, expected) => {
    expect(answer(destinations({}, 'CN'), number)).toBe(expected)
  })

  test('a calling code that countries share is served by country', () => {
    const unitedStates = destinations({}, 'US')
    expect(answer(unitedStates, '+12025550123')).toBe('served')
    expect(answer(unitedStates, '+12042345678')).toBe('country_not_served')
    expect(answer(unitedStates, '+18765551234')).toBe('country_not_served')
    // A number outside every country's ranges, here a toll-free one, belongs to none of the countries.
    expect(answer(unitedStates, '+18002345678')).toBe('phone_number_not_mobile')
    const russia = destinations({}, 'RU')
    expect(answer(russia, '+79161234567')).toBe('served')
    expect(answer(russia, '+77011234567')).toBe('country_not_served')
    expect(answer(destinations({ RU: null, KZ: null }, 'RU'), '+77011234567')).toBe('served')
  })
})

test('an owner of an account gets codes at any number of a served country, and nowhere else', () => {
  const china = destinations({}, 'CN')
  expect(answer(china, '+8612345678901', 'owner')).toBe('served')
  expect(answer(china, '+881612345678', 'owner')).toBe('country_not_served')
})

test('numbers that no plan knows yet are served where the operator says so', () => {
  expect(answer(destinations({}, 'CN', 'possible'), '+8612345678901')).toBe('served')
  expect(answer(destinations({}, 'CN', 'possible'), '+881612345678')).toBe('country_not_served')
})

test('every other country is every one but satellite networks', () => {
  const all = destinations({ CN: null, '*': null }, 'CN')
  expect(
    ['+8613800005223', '+12025550123', '+447400123456', '+881612345678'].map((number) => answer(all, number)),
  ).toEqual(['served', 'served', 'served', 'country_not_served'])
})

test('the default region has the daily budget, another country a tenth of it, or what is set', () => {
  const budgets = servedCountries({
    listed: new Map<Region | '*', number | null>([
      ['CN', null],
      ['HK', 7],
      ['MO', null],
    ]),
    region: 'CN',
    dailyBudget: 1005,
  })
  expect(Object.fromEntries(budgets)).toEqual({ CN: 1005, HK: 7, MO: 101 })
  const others = servedCountries({ listed: new Map([['*', 3]]), region: 'CN', dailyBudget: 1000 })
  expect([others.get('CN'), others.get('US')]).toEqual([3, 3])
  expect(servedCountries({ listed: new Map(), region: 'DE', dailyBudget: 8 })).toEqual(new Map([['DE', 8]]))
})
