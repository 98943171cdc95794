// The ratios of the last runs. One run is one sample of the machine, so documents quote the worst and the
// best.

export interface Figure {
  readonly name: string
  readonly value: number
  readonly unit: string
  readonly wanted: Wanted | null
}

/** The target of a figure. */
export type Wanted = { readonly atLeast: number } | { readonly atMost: number }

/** The ratios with a target of one run of the checks, by name and unit. */
export interface Run {
  /** The date, ISO 8601. */
  readonly at: string
  readonly ratios: Readonly<Record<string, number>>
}

const keptRuns = 5
const units: readonly string[] = ['of Fastify', 'of node:http', "of Fastify's p99"]

/** The last runs and this one; none if it did not measure the checks. */
export function withRun(runs: readonly Run[], figures: readonly Figure[], at: string): readonly Run[] {
  const measured = figures.filter(({ unit, wanted }) => wanted !== null && units.includes(unit))
  if (measured.length === 0) return runs
  const ratios = measured.map(({ name, unit, value }) => [`${name}: ${unit}`, Number(value.toFixed(3))])
  return [...runs, { at, ratios: Object.fromEntries(ratios) }].slice(-keptRuns)
}

/** The lowest and the highest ratio of the checks (GET) over all routes, stores and runs. */
export function rangeOf(runs: readonly Run[], unit: string): { least: number; most: number } {
  const all = runs.flatMap(({ ratios }) =>
    Object.entries(ratios).flatMap(([name, value]) =>
      name.startsWith('GET ') && name.endsWith(`: ${unit}`) ? [value] : [],
    ),
  )
  return { least: Math.min(...all), most: Math.max(...all) }
}

/** A row for each ratio, a column for each run: `-` where that run did not measure it. */
export function runsTable(runs: readonly Run[]): string {
  const names = [...new Set(runs.flatMap(({ ratios }) => Object.keys(ratios)))]
  const row = (name: string) => {
    const cells = runs.map(({ ratios }) => ratios[name]?.toFixed(2) ?? '-')
    const values = runs.flatMap(({ ratios }) => ratios[name] ?? [])
    const ends = [Math.min(...values), Math.max(...values)].map((value) => value.toFixed(2))
    return `| ${[name, ...cells, ...ends].join(' | ')} |`
  }
  return `The ratios of the last ${runs.length} runs (${runs.map(({ at }) => at).join(', ')}), their lowest and their highest:

| | ${runs.map((_run, i) => i + 1).join(' | ')} | lowest | highest |
|---|${'--:|'.repeat(runs.length + 2)}
${names.map(row).join('\n')}
`
}
