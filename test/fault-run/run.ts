// npm run test:faults: real processes, a client that writes down everything, one fault after another, and a
// checker that reads it. First the checker is shown programs that were broken on purpose: it must find each
// of them.
//
// Words run only the faults and databases with them in their name, without the broken programs; `--rounds=10`
// goes on for longer; `--write` puts what a whole run without a violation found into bench/FAULTS.md.
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { machine } from '../../bench/machine.ts'
import { MissingBinary } from '../support/services/binaries.ts'
import { runConcurrently } from './concurrency.ts'
import { violationsOfMutant, mutants } from './mutants.ts'
import type { Result } from './scenario.ts'
import { scenarios } from './scenarios.ts'
import { faultHead, faultRows, mutantHead, mutantRow, report, summaryOf } from './report.ts'

const project = fileURLToPath(new URL('../..', import.meta.url))

/**
 * So many scenarios at once, each with its own servers and stores: a deployment mostly waits for what it has broken.
 */
const concurrency = 2

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string', default: '1' }, write: { type: 'boolean', default: false } },
})
if (!/^[1-9]\d*$/.test(values.rounds)) throw new Error('--rounds=N: how many times')
process.exitCode = (await main(positionals.join(' ') || null, Number(values.rounds), values.write)) ? 0 : 1

/** @returns whether all is well */
async function main(word: string | null, rounds: number, isWritten: boolean): Promise<boolean> {
  const written: string[] = []
  const say = (line: string) => {
    console.log(line)
    written.push(line)
  }
  let isWell = word !== null || (await checkMutants(say))
  for (let round = 0; round < rounds; round++) isWell = (await runScenarios(word, say)) && isWell
  if (isWritten && word === null && isWell) {
    writeFileSync(new URL('../../bench/FAULTS.md', import.meta.url), report(machine(), written))
  }
  return isWell
}

async function checkMutants(say: (line: string) => void): Promise<boolean> {
  let areFound = true
  say(mutantHead)
  const tasks = mutants.map((one) => async () => ({ one, seen: await violationsOfMutant(project, one) }))
  for await (const { one, seen } of runConcurrently(tasks, concurrency)) {
    say(mutantRow(one, seen))
    areFound &&= seen > 0
  }
  return areFound
}

async function runScenarios(word: string | null, say: (line: string) => void): Promise<boolean> {
  const sums: string[] = []
  let isWell = true
  say(`\n${faultHead}`)
  const tasks = scenarios.map(({ database, run }) => async () => {
    const isWanted = (fault: string) => word === null || `${database}: ${fault}`.includes(word)
    return { database, result: await run(project, isWanted).catch(whyLeftOut) }
  })
  for await (const { database, result } of runConcurrently(tasks, concurrency)) {
    if (typeof result === 'string') sums.push(`${database} was left out: ${result}`)
    if (typeof result === 'string' || result === null) continue
    for (const row of faultRows(database, result)) say(row)
    sums.push(summaryOf(database, result))
    tellBad(result)
    isWell &&= result.violations.length + result.audited.length === 0
  }
  if (sums.length === 0) throw new Error(`no fault has "${word}" in its name`)
  say(`\n${sums.join('  \n')}`)
  return isWell
}

/** With CI=true a server that is missing is a failure. */
function whyLeftOut(error: unknown): string {
  if (!(error instanceof MissingBinary) || process.env.CI === 'true') throw error
  return error.message
}

/** Prints violations with what the server's log says of them, and keeps the logs of those faults. */
function tellBad({ violations, audited, logs }: Result): void {
  for (const { rule, during, text, requestId } of violations.slice(0, 20)) {
    console.log(`${rule} (${during ?? 'calm'}): ${text}`)
    for (const line of linesOf(logs, requestId ?? null)) console.log(`  log: ${line.slice(0, 2_000)}`)
  }
  for (const text of audited.slice(0, 20)) console.log(`stores: ${text}`)
  const faults = new Set(violations.flatMap(({ during }) => during ?? []))
  if (faults.size === 0) return
  const folder = mkdtempSync(join(tmpdir(), 'hufu-fault-logs-'))
  for (const fault of faults)
    writeFileSync(join(folder, `${fault.replaceAll(/[^\w]+/g, '-')}.log`), logs.get(fault) ?? '')
  console.log(`The servers' logs of these faults: ${folder}`)
}

function linesOf(logs: Result['logs'], requestId: string | null): string[] {
  if (requestId === null) return []
  return [...logs.values()].flatMap((text) => text.split('\n').filter((line) => line.includes(requestId)))
}
