// docs/limits.md shows the output of `npm run simulate-limits`. All rows take minutes, so only the short ones
// are computed here.
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { attackNames, printed, simulateAttacks } from '../../bench/limit-simulation.ts'

const text = readFileSync(new URL('../../docs/limits.md', import.meta.url), 'utf8')
const [, section = ''] = text.split('## What attacks bring\n')
const table =
  section
    .split('\n## ')[0]
    ?.split('\n')
    .filter((line) => line.startsWith('| '))
    .slice(1)
    .map((line) => line.slice(2, -2).split(' | ')) ?? []

test('docs/limits.md has a row for each simulated attack', async () => {
  expect(table.map(([name]) => name)).toEqual(await attackNames())
})

test('every owner can sign in again within 15 minutes with a device proof, and within 24 hours without', () => {
  const minutes = (cell = '') => Number.parseFloat(cell) * (cell.endsWith(' h') ? 60 : 1)
  for (const [, withProof, without] of table) {
    expect(minutes(withProof)).toBeLessThanOrEqual(15)
    expect(minutes(without)).toBeLessThanOrEqual(24 * 60)
  }
})

test('no attack takes more accounts than at f453b6e, nor one account more often than once in 1,000 years', () => {
  let ofOneAccount = 0
  for (const [name = '', , , now = '', before = ''] of table) {
    expect(Number.parseFloat(now), name).toBeLessThanOrEqual(Number.parseFloat(before))
    const isOfMany = /many/.test(name)
    if (!isOfMany) ofOneAccount = Math.max(ofOneAccount, Number.parseFloat(now))
  }
  expect(ofOneAccount).toBeGreaterThan(0)
  expect(ofOneAccount).toBeLessThanOrEqual(1 / 1_000)
})

test('the simulation prints the rows of the documentation', { timeout: 240_000 }, async () => {
  const short = ['messages of one number used up, one address']
  const rows = printed(await simulateAttacks(short))
  expect(rows).toEqual(table.filter(([name = '']) => short.includes(name)))
})

test.each([
  'lowest',
  'highest',
  'hardest',
] as const)('with the numbers at the %s that a setting takes, an owner is in within 24 hours, and at once with a device proof', {
  timeout: 240_000,
}, async (at) => {
  const [row = expect.fail()] = await simulateAttacks(['messages of one number used up, one address'], at)
  expect(row.keptOut.withProof).toBeLessThanOrEqual(15)
  expect(row.keptOut.withoutProof).toBeLessThanOrEqual(24 * 60)
})
