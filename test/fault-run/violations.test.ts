// A failed run names the cause beside each violation, and keeps the servers' logs of that fault.
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import type { Violation } from './checker.ts'
import type { Result } from './scenario.ts'
import { printViolations } from './violations.ts'

const folders: string[] = []

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

const cause = '{"level":"error","request_id":"r-7","error":"connection reset by the database"}'
const logs = new Map([
  ['Redis: kill -9', '== one\n{"request_id":"r-1"}\n== two\n{"request_id":"r-2"}'],
  ['PostgreSQL: silent line', `== one\n{"request_id":"r-6"}\n== two\n${cause}\n{"request_id":"r-8"}`],
])
const violation: Violation = {
  rule: 'unexpected response',
  at: 5,
  during: 'PostgreSQL: silent line',
  text: 'sign_in at two: 500 internal',
  requestId: 'r-7',
}

/** The lines that are printed, without that of the folder, and the files in the folder; null without one. */
function printed(result: Partial<Pick<Result, 'violations' | 'audited'>>) {
  const lines: string[] = []
  printViolations({ violations: [], audited: [], logs, ...result }, (line) => lines.push(line))
  const told = lines.filter((line) => line.startsWith("The servers' logs of these faults: "))
  const [folder] = told.map((line) => line.slice(line.indexOf(': ') + 2))
  if (folder === undefined) return { lines, kept: null }
  folders.push(folder)
  const kept = readdirSync(folder).map((file) => [file, readFileSync(join(folder, file), 'utf8')])
  return { lines: lines.slice(0, -1), kept: Object.fromEntries(kept) }
}

test('the cause is beside its violation, and the logs of that fault alone are kept whole', () => {
  const other = { ...violation, text: 'check at one: no answer', requestId: null }
  expect(printed({ violations: [other, violation, other] })).toEqual({
    lines: [
      'unexpected response (PostgreSQL: silent line): check at one: no answer',
      'unexpected response (PostgreSQL: silent line): sign_in at two: 500 internal',
      `  log: ${cause}`,
      'unexpected response (PostgreSQL: silent line): check at one: no answer',
    ],
    kept: { 'PostgreSQL-silent-line.log': logs.get('PostgreSQL: silent line') },
  })
})

test('a cause in the log of another fault is found, and each fault has its file', () => {
  const late = { ...violation, during: 'Redis: kill -9' }
  const { lines, kept } = printed({ violations: [late, violation] })
  expect(lines.filter((line) => line === `  log: ${cause}`)).toHaveLength(2)
  expect(kept).toEqual({
    'Redis-kill-9.log': logs.get('Redis: kill -9'),
    'PostgreSQL-silent-line.log': logs.get('PostgreSQL: silent line'),
  })
})

test('contradictions in the stores, and violations outside of faults, are printed and keep no logs', () => {
  expect(
    printed({ violations: [{ ...violation, during: null }], audited: ['an event without its row'] }),
  ).toEqual({
    lines: [
      'unexpected response (calm): sign_in at two: 500 internal',
      `  log: ${cause}`,
      'stores: an event without its row',
    ],
    kept: null,
  })
})

test('of many violations and contradictions 20 each are printed, and the logs of all are kept', () => {
  const last = { ...violation, during: 'Redis: kill -9' }
  const violations = [...Array.from({ length: 25 }, () => ({ ...violation, requestId: null })), last]
  const { lines, kept } = printed({ violations, audited: Array(25).fill('one') })
  expect(lines).toHaveLength(40)
  expect(Object.keys(kept ?? {})).toHaveLength(2)
})
