// The report of a run: a section for each workload, as text for people and as plain figures for programs.
import type { CheckResult, Checks, Route } from './checks.ts'
import type { MemoryResult } from './memory.ts'
import type { SignInResult } from './sign-in.ts'

export interface Figure {
  readonly name: string
  readonly value: number
  readonly unit: string
  readonly wanted: Wanted | null
}

export type Wanted = { readonly atLeast: number } | { readonly atMost: number }

export interface Section {
  readonly text: string
  readonly figures: readonly Figure[]
}

/** What we want to reach, within one run. */
const wantedRatio: Readonly<Record<string, Wanted>> = {
  SQLite: { atLeast: 0.75 },
  'MariaDB + Redis': { atLeast: 0.9 },
}
const wantedP99: Wanted = { atMost: 1.5 }
const wantedSignIn: Wanted = { atLeast: 0.9 }

/** A table for each of Hufu's routes, beside the bare one, and a table of what others take. */
export function checksSection({ results, options, cores }: Checks, peersMissing: string | null): Section {
  const bareOf = (route: Route) =>
    results.find((result) => result.isBare && result.route === (route === 'others' ? 'GET /user' : route))
  const rows = results.flatMap((result) => {
    const bare = bareOf(result.route)
    return bare ? [checkRow(result, bare)] : []
  })
  const table = (route: Route) => {
    const lines = rows.filter((row) => row.route === route).map(({ text }) => text)
    return `| | requests/s | p50 ms | p99 ms | ratio | wanted | p99 to the bare's | wanted |
|---|--:|--:|--:|--:|--:|--:|--:|
${lines.join('\n')}`
  }
  const busy = bareOf('GET /user')?.busy ?? null
  const text = `A check with a live token: ${options.tokens} sessions, each of its own account, ${options.connections} connections, one process; beside a bare
Fastify route that gives the same answer (headers too) and checks and logs nothing. Medians of ${options.rounds} rounds of ${options.secondsPerRound} s that take
turns.

${cores}${busy ? ` ${busySentence(busy)}` : ''}

\`GET /user\`:

${table('GET /user')}

\`GET /v1/session\` with \`Authorization: Bearer\`:

${table('GET /v1/session')}

What others take, beside the bare \`GET /user\`: two ways of a few lines on Redis in the same route, and peers from npm, each set
up as its own documents advise (bench/peers):

${table('others')}
${peersMissing === null ? '' : `\nPeers: not measured, because ${peersMissing}\n`}`
  return { text, figures: rows.flatMap((row) => row.figures) }
}

function checkRow(result: CheckResult, bare: CheckResult) {
  const { route, requestsPerSecond, p50Ms, p99Ms } = result
  const ratio = requestsPerSecond / bare.requestsPerSecond
  const p99Ratio = p99Ms / bare.p99Ms
  const wanted = wantedOf(result)
  const name = route === 'others' ? result.name : `${route}, ${result.name}`
  const figure = (unit: string, value: number, goal: Wanted | null = null) => ({
    name,
    value,
    unit,
    wanted: goal,
  })
  const p99Wanted = wanted ? wantedP99 : null
  const figures = [
    figure('requests/s', requestsPerSecond),
    figure('ms, p50', p50Ms),
    figure('ms, p99', p99Ms),
    figure('of the bare route', ratio, wanted),
    figure("of the bare route's p99", p99Ratio, p99Wanted),
    ...(result.busy === null ? [] : [figure('of the time computing', result.busy)]),
  ]
  const cells = [
    result.name,
    Math.round(requestsPerSecond),
    p50Ms.toFixed(1),
    p99Ms.toFixed(1),
    ratio.toFixed(2),
    verdict(ratio, wanted),
    p99Ratio.toFixed(2),
    verdict(p99Ratio, p99Wanted),
  ]
  return { route, text: `| ${cells.join(' | ')} |`, figures }
}

/** Where the bare server has to wait for load, everything beside it looks better than it is. */
function busySentence(busy: number): string {
  const told = `The bare server computed ${Math.round(busy * 100)} % of the time`
  return busy >= 0.85
    ? `${told}.`
    : `${told}: it had to wait for the load or for the machine, and the ratios mean little.`
}

function wantedOf({ route, name }: CheckResult): Wanted | null {
  return route === 'others' ? null : (wantedRatio[name] ?? null)
}

/** Sign-ins beside argon2 alone. */
export function signInSection({ rawPerSecond, signInsPerSecond, parallel }: SignInResult): Section {
  const ratio = signInsPerSecond / rawPerSecond
  return {
    text: `Sign-ins through HTTP on SQLite, beside argon2 alone with the same parameters and ${parallel} at once:

| | per second | ratio | wanted |
|---|--:|--:|--:|
| argon2 alone | ${rawPerSecond.toFixed(1)} | 1.00 | |
| sign-in | ${signInsPerSecond.toFixed(1)} | ${ratio.toFixed(2)} | ${verdict(ratio, wantedSignIn)} |
`,
    figures: [
      { name: 'argon2 alone', value: rawPerSecond, unit: 'per second', wanted: null },
      { name: 'sign-in', value: signInsPerSecond, unit: 'per second', wanted: null },
      { name: 'sign-in', value: ratio, unit: 'of argon2 alone', wanted: wantedSignIn },
    ],
  }
}

/** Redis memory of a live session. */
export function memorySection({ sessions, bytesPerSession }: MemoryResult): Section {
  return {
    text: `Redis memory: ${Math.round(bytesPerSession)} bytes for each of ${sessions} live sessions, the copy of its account included.
`,
    figures: [
      { name: 'Redis memory of a live session', value: bytesPerSession, unit: 'bytes', wanted: null },
    ],
  }
}

/** The whole report, on this machine, as RESULTS.md has it. */
export function reportText(machine: string, sections: readonly Section[]): string {
  return `# Results of \`npm run bench\`

${machine}

${sections.map(({ text }) => text).join('\n')}
Why a figure is missed: [PROFILE.md](PROFILE.md).
`
}

/** The same figures for a program, as results.json has them. */
export function reportJson(machine: string, sections: readonly Section[]): string {
  const figures = sections.flatMap((section) => section.figures)
  return `${JSON.stringify({ machine, figures: figures.map(rounded) }, null, 2)}\n`
}

function rounded(figure: Figure): Figure {
  return { ...figure, value: Number(figure.value.toPrecision(6)) }
}

function verdict(value: number, wanted: Wanted | null): string {
  if (wanted === null) return ''
  const [goal, isReached] =
    'atLeast' in wanted ? [wanted.atLeast, value >= wanted.atLeast] : [wanted.atMost, value <= wanted.atMost]
  return `${goal.toFixed(2)} ${isReached ? 'reached' : 'missed'}`
}
