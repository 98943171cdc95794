// npm run test:faults: real processes, a client that records each operation, one fault after another, and a
// checker of the history. The checker runs on the mutants first and must find each of them.
//
// Arguments select the faults and databases with this text in their name, and skip the mutants. `--rounds=10`
// repeats the scenarios; `--write` writes the results of a whole run without a violation to bench/FAULTS.md.
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { machine } from '../../bench/machine.ts'
import { MissingBinary } from '../support/services/binaries.ts'
import { runConcurrently } from './concurrency.ts'
import { mutants, violationsOfMutant } from './mutants.ts'
import { faultHead, faultRows, mutantHead, mutantRow, report, summaryOf } from './report.ts'
import { scenarios } from './scenarios.ts'
import { printViolations } from './violations.ts'

const project = fileURLToPath(new URL('../..', import.meta.url))

/** The number of scenarios at a time, each with its own servers and stores. One uses a third of a core. */
const concurrency = 4

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string', default: '1' }, write: { type: 'boolean', default: false } },
})
if (!/^[1-9]\d*$/.test(values.rounds)) throw new Error('--rounds=N: how many times')
process.exitCode = (await main(positionals.join(' ') || null, Number(values.rounds), values.write)) ? 0 : 1

/** @returns whether there was no violation */
async function main(filter: string | null, rounds: number, writesReport: boolean): Promise<boolean> {
  const written: string[] = []
  const print = (line: string) => {
    console.log(line)
    written.push(line)
  }
  let hasPassed = filter !== null || (await checkMutants(print))
  for (let round = 0; round < rounds; round++) hasPassed = (await runScenarios(filter, print)) && hasPassed
  if (writesReport && filter === null && hasPassed) {
    writeFileSync(new URL('../../bench/FAULTS.md', import.meta.url), report(machine(), written))
  }
  return hasPassed
}

async function checkMutants(print: (line: string) => void): Promise<boolean> {
  let allFound = true
  print(mutantHead)
  const tasks = mutants.map((one) => async () => {
    return { one, seen: await violationsOfMutant(project, one).catch(whySkipped) }
  })
  for await (const { one, seen } of runConcurrently(tasks, concurrency)) {
    print(mutantRow(one, seen))
    allFound &&= typeof seen === 'string' || seen > 0
  }
  return allFound
}

async function runScenarios(filter: string | null, print: (line: string) => void): Promise<boolean> {
  const summaries: string[] = []
  let hasPassed = true
  print(`\n${faultHead}`)
  const tasks = scenarios.map(({ database, run }) => async () => {
    const isSelected = (fault: string) => filter === null || `${database}: ${fault}`.includes(filter)
    return { database, result: await run(project, isSelected).catch(whySkipped) }
  })
  for await (const { database, result } of runConcurrently(tasks, concurrency)) {
    if (typeof result === 'string') summaries.push(`${database} was skipped: ${result}`)
    if (typeof result === 'string' || result === null) continue
    for (const row of faultRows(database, result)) print(row)
    summaries.push(summaryOf(database, result))
    printViolations(result, console.log)
    hasPassed &&= result.violations.length + result.audited.length === 0
  }
  if (summaries.length === 0) throw new Error(`no fault has "${filter}" in its name`)
  print(`\n${summaries.join('  \n')}`)
  return hasPassed
}

/** With CI=true a missing server program is an error. */
function whySkipped(error: unknown): string {
  if (!(error instanceof MissingBinary) || process.env.CI === 'true') throw error
  return error.message
}
