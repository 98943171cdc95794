// The settings of the table of limits: what each changes, and what none changes.
import { expect, test } from 'vitest'
import { type Numbers, numbers } from '../../bench/limit-simulation.ts'
import { signInChecks } from '../authentication/methods/methods.ts'
import { type AllowanceName, adjustableAllowances, allowanceNames, defaultAllowances } from './allowances.ts'
import { type Limit, limitsWith } from './limits.ts'

const smsDailyBudget = 10_000
const checks = signInChecks
const table = limitsWith({ checks, smsDailyBudget })

const nameOf = ({ action, by, callers, counts, perSeconds }: Limit) =>
  `${action} ${by} ${callers} ${counts} ${perSeconds}`

/** The rows whose numbers differ from those of the default. */
function changedRows(limits: readonly Limit[]): string[] {
  expect(limits.map(nameOf)).toEqual(table.map(nameOf))
  return limits.filter(({ max }, i) => max !== table[i]?.max).map(({ action, by }) => `${action} ${by}`)
}

const rowsOf: Readonly<Record<AllowanceName, readonly string[]>> = {
  refusedPerAddress: ['refused address'],
  codesPerAddress: ['send_code address', 'send_code network'],
  codesPerDevice: ['send_code device'],
  codesPerNumber: ['send_code number'],
  codesPerPrefix: ['send_code prefix'],
  signInsPerAddress: [
    'check_code address',
    'check_code network',
    'check_password address',
    'check_password network',
  ],
  signInsPerDevice: ['check_code device', 'check_password device'],
  profileChangesPerSession: ['change_profile session', 'change_profile account'],
  exportsPerSession: ['export_account session', 'export_account account'],
  rotationsPerSession: ['rotate_token session'],
  endedSessionsPerSession: ['end_session session'],
}

test.each(allowanceNames)('%s changes only its own rows', (name) => {
  const less = defaultAllowances[name].map(([max, perSeconds]) => [max - 1, perSeconds] as const)
  const changed = changedRows(
    limitsWith({ checks, smsDailyBudget, allowances: { ...defaultAllowances, [name]: less } }),
  )
  expect(new Set(changed)).toEqual(new Set(rowsOf[name]))
  expect(changed).toHaveLength(less.length * rowsOf[name].length)
})

test('the network factor changes only the rows of networks', () => {
  const changed = new Set(changedRows(limitsWith({ checks, smsDailyBudget, networkFactor: 6 })))
  expect(changed).toEqual(new Set(['send_code network', 'check_code network', 'check_password network']))
})

test('each default is within its bounds, and no longer window allows less', () => {
  for (const name of allowanceNames) {
    const { byDefault, atLeast, atMost } = adjustableAllowances[name]
    for (const allowance of [byDefault, atLeast]) {
      const counts = allowance.map(([max]) => max)
      expect(counts).toEqual(counts.toSorted((a, b) => a - b))
    }
    expect(atLeast.map(([, perSeconds]) => perSeconds)).toEqual(byDefault.map(([, perSeconds]) => perSeconds))
    for (const [i, [max]] of byDefault.entries())
      expect(max >= (atLeast[i]?.[0] ?? Number.NaN) && max <= atMost, name).toBe(true)
  }
})

test('the limits of an address or a device never stop one caller at one number before its own limits', () => {
  const ofCaller = table.filter(({ action, by }) => action === 'send_code' && by === 'caller')
  for (const name of ['codesPerAddress', 'codesPerDevice'] as const)
    for (const [max, perSeconds] of adjustableAllowances[name].atLeast)
      expect(max).toBe(ofCaller.find((limit) => limit.perSeconds === perSeconds)?.max)
})

// These rows bound how many accounts a year of guessing opens: docs/limits.md, "What attacks bring".
test.each(
  Object.keys(numbers) as Numbers[],
)('with all numbers at the %s, guesses have the same limits', (at) => {
  const guesses = (limits: readonly Limit[]) => limits.filter(({ counts }) => counts !== 'all')
  expect(guesses(table).length).toBeGreaterThan(10)
  expect(guesses(limitsWith({ checks, smsDailyBudget, ...numbers[at] }))).toEqual(guesses(table))
})
