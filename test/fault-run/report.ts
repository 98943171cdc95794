// What a run says to people: tables in Markdown.
import type { Mutant } from './mutants.ts'
import type { Result } from './scenario.ts'

export const mutantHead = '| mutant | rule that it violates | violations | |\n|---|---|--:|---|'

export function mutantRow({ name, violates }: Mutant, seen: number): string {
  return `| ${name} | ${violates} | ${seen} | ${seen > 0 ? 'found' : 'MISSED'} |`
}

export const faultHead =
  '| stores | fault | operations | refused 503 | no answer | violations |\n|---|---|--:|--:|--:|--:|'

export function faultRows(database: string, { client, troubles, violations }: Result): string[] {
  return troubles.map(({ name, start, end }) => {
    // By their ends: what was asked before a fault may be what it left without an answer.
    const within = client.operations.filter((operation) => operation.end >= start && operation.end < end)
    const count = (outcome: string) => within.filter((operation) => operation.outcome === outcome).length
    const bad = violations.filter(({ at }) => at >= start && at < end).length
    return `| ${database} | ${name} | ${within.length} | ${count('unavailable')} | ${count('unknown')} | ${bad} |`
  })
}

export function summaryOf(database: string, { client, violations, audited }: Result): string {
  return `${database}: ${client.operations.length} operations, ${violations.length} violations, ${audited.length} contradictions in the stores`
}

/** What bench/FAULTS.md says. */
export function report(machine: string, lines: readonly string[]): string {
  return `# Results of \`npm run test:faults\`

${machine}

Real processes under a load that never stops; one thing after the other breaks. What is checked, and what each fault is:
[docs/guarantees.md](../docs/guarantees.md#the-faults-and-how-they-are-judged). "Refused 503" and "no answer" are what a fault costs: the
client was told to try again, or its connection broke. A violation is what must not be, such as a token that is accepted
after its end, or refused without a reason.

${lines.join('\n')}
`
}
