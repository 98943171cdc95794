// The report of a run, as Markdown tables.
import type { Mutant } from './mutants.ts'
import type { Result } from './scenario.ts'

export const mutantHead = '| mutant | rule that it violates | violations | |\n|---|---|--:|---|'

/** @param seen the number of violations, or why the mutant could not run */
export function mutantRow({ name, violates }: Mutant, seen: number | string): string {
  if (typeof seen === 'string') return `| ${name} | ${violates} | | skipped: ${seen} |`
  return `| ${name} | ${violates} | ${seen} | ${seen > 0 ? 'found' : 'MISSED'} |`
}

export const faultHead =
  '| stores | fault | operations | refused 503 | no answer | violations |\n|---|---|--:|--:|--:|--:|'

export function faultRows(database: string, { client, faultIntervals, violations }: Result): string[] {
  return faultIntervals.map(({ name, start, end }) => {
    // By the end of the operation: one that started before the fault may fail because of it.
    const within = client.operations.filter((operation) => operation.end >= start && operation.end < end)
    const count = (outcome: string) => within.filter((operation) => operation.outcome === outcome).length
    const bad = violations.filter(({ at }) => at >= start && at < end).length
    return `| ${database} | ${name} | ${within.length} | ${count('unavailable')} | ${count('unknown')} | ${bad} |`
  })
}

export function summaryOf(database: string, { client, violations, audited }: Result): string {
  return `${database}: ${client.operations.length} operations, ${violations.length} violations, ${audited.length} contradictions in the stores`
}

/** The text of bench/FAULTS.md. */
export function report(machine: string, lines: readonly string[]): string {
  return `# Results of \`npm run test:faults\`

${machine}

Real processes run under a constant workload while one thing after another breaks. The rules of the checker and the list of faults:
[docs/guarantees.md](../docs/guarantees.md#the-faults-and-how-they-are-judged). "Refused 503" and "no answer" are the cost of a fault: the
client was told to try again, or its connection broke. A violation is an operation that breaks a promise, such as a token that is
accepted after its end, or refused without a reason.

${lines.join('\n')}
`
}
