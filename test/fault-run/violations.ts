// What a run prints about its violations: the cause of each in the servers' logs, and where the logs are.
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Result } from './scenario.ts'

/** The most violations, and contradictions in the stores, that are printed. */
const printedMax = 20
/** The most characters of a log line that are printed. */
const lineMax = 2_000

/** Prints violations with their lines of the servers' logs, and keeps the logs of the faults concerned. */
export function printViolations(
  { violations, audited, logs }: Pick<Result, 'violations' | 'audited' | 'logs'>,
  print: (line: string) => void,
): void {
  for (const { rule, during, text, requestId } of violations.slice(0, printedMax)) {
    print(`${rule} (${during ?? 'calm'}): ${text}`)
    for (const line of linesOf(logs, requestId ?? null)) print(`  log: ${line.slice(0, lineMax)}`)
  }
  for (const text of audited.slice(0, printedMax)) print(`stores: ${text}`)
  const faults = new Set(violations.flatMap(({ during }) => during ?? []))
  if (faults.size === 0) return
  const folder = mkdtempSync(join(tmpdir(), 'hufu-fault-logs-'))
  for (const fault of faults)
    writeFileSync(join(folder, `${fault.replaceAll(/[^\w]+/g, '-')}.log`), logs.get(fault) ?? '')
  print(`The servers' logs of these faults: ${folder}`)
}

function linesOf(logs: Result['logs'], requestId: string | null): string[] {
  if (requestId === null) return []
  return [...logs.values()].flatMap((text) => text.split('\n').filter((line) => line.includes(requestId)))
}
