// The report of a run: a section for each workload, as text for people and as plain figures for programs.
import type { CheckResult, Checks, Route } from './checks.ts'
import type { CrowdResult } from './crowd.ts'
import type { FloodResult } from './flood.ts'
import type { FloorResult } from './floor.ts'
import type { SignInResult } from './sign-in.ts'
import type { StartResult } from './start.ts'
import type { StormResult } from './storm.ts'
import { requestsInAPiece, type WorkersResult } from './workers.ts'

interface Figure {
  readonly name: string
  readonly value: number
  readonly unit: string
  readonly wanted: Wanted | null
}

type Wanted = { readonly atLeast: number } | { readonly atMost: number }

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
const wantedSignIn: Wanted = { atLeast: 0.95 }
const wantedStormP99: Wanted = { atMost: 3 }
/** Of argon2 alone, with checks on the same core from 64 connections. */
const wantedFloor: Wanted = { atLeast: 0.25 }
const wantedFloorP99: Wanted = { atMost: 2 }
const wantedFloodP99: Wanted = { atMost: 3 }
const wantedIn: Wanted = { atLeast: 1 }
const wantedFlat: Wanted = { atLeast: 0.9 }
const wantedStartMs: Wanted = { atMost: 1_000 }
/** Of the CPU of one worker: so many cores answer so many times more. */
const wantedWorkers: Wanted = { atLeast: 0.9 }
/** What the tutorial's own two keys take. */
const wantedBytes: Wanted = { atMost: 336 }

/** A table for each of Hufu's routes, beside the bare one, and a table of what others take. */
export function checksSection({ results, options, cores }: Checks, peersMissing: string | null): Section {
  const rows = results.map(checkRow)
  const table = (route: Route) => {
    const lines = rows.filter((row) => row.route === route).map(({ text }) => text)
    return `| | requests/s | CPU µs | p50 ms | p99 ms | ratio | wanted | p99 to the bare's | wanted |
|---|--:|--:|--:|--:|--:|--:|--:|--:|
${lines.join('\n')}`
  }
  const busy = results.find(({ isBare }) => isBare)?.busy ?? null
  const text = `A check with a live token: ${options.tokens} sessions, each of its own account, ${options.connections} connections, one process; beside a bare
Fastify route that gives the same answer (headers too) and checks and logs nothing. Medians of ${options.rounds} rounds of ${options.secondsPerRound} s that take
turns. "CPU" is what a request takes of the server's core; the ratio is that of the bare route to it, because requests/s flatter
whoever is compared with a route that is faster than the load. Ratios are medians of each round's own.

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

function checkRow(result: CheckResult) {
  const { route, requestsPerSecond, p50Ms, p99Ms, cpuMicros } = result
  const { cpu: ratio, p99: p99Ratio } = result.toBare
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
    figure('µs of CPU', cpuMicros),
    figure('of the bare route', ratio, wanted),
    figure("of the bare route's p99", p99Ratio, p99Wanted),
    ...(result.busy === null ? [] : [figure('of the time computing', result.busy)]),
  ]
  const cells = [
    result.name,
    Math.round(requestsPerSecond),
    cpuMicros.toFixed(1),
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
  return busy >= 0.85 ? `${told}.` : `${told}: the rest of it, it waited for the load or for the machine.`
}

function wantedOf({ route, name }: CheckResult): Wanted | null {
  return route === 'others' ? null : (wantedRatio[name] ?? null)
}

/** Sign-ins beside argon2 alone. */
export function signInSection({ rawPerSecond, signInsPerSecond, ratio, parallel }: SignInResult): Section {
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

/** What a login storm does to those who are signed in. */
export function stormSection({ waiting, quiet, storm, signInsPerSecond, refused }: StormResult): Section {
  const ratio = storm.p99Ms / quiet.p99Ms
  const row = (name: string, { requestsPerSecond, p99Ms }: StormResult['quiet'], rest: string) =>
    `| ${name} | ${Math.round(requestsPerSecond)} | ${p99Ms.toFixed(1)} | ${rest} |`
  return {
    text: `A login storm on MariaDB and Redis: ${waiting} sign-ins wait all the time, and more come. \`GET /user\` with 64 connections:

| | requests/s | p99 ms | p99 to the quiet one | wanted |
|---|--:|--:|--:|--:|
${row('quiet', quiet, '1.00 | ')}
${row('in the storm', storm, `${ratio.toFixed(2)} | ${verdict(ratio, wantedStormP99)}`)}

Meanwhile ${signInsPerSecond.toFixed(1)} sign-ins a second; ${refused.count} that did not fit were refused with 503 and \`Retry-After\`, 99 % of them within ${refused.p99Ms.toFixed(0)} ms.
`,
    figures: [
      { name: 'GET /user in a login storm', value: ratio, unit: 'of the quiet p99', wanted: wantedStormP99 },
      { name: 'refused in a login storm', value: refused.p99Ms, unit: 'ms, p99', wanted: null },
    ],
  }
}

/** What a flood of attempts costs while Redis is away. */
export function floodSection(result: FloodResult): Section {
  const { quiet, flood, attemptsPerSecond, wantedPerSecond, statuses, person } = result
  const ratio = flood.p99Ms / quiet.p99Ms
  const share = person.signedIn / person.tries
  const answers = Object.entries(statuses).map(([status, count]) => `${status}: ${count}`)
  const row = (name: string, shot: FloodResult['quiet'], rest: string) =>
    `| ${name} | ${Math.round(shot.requestsPerSecond)} | ${shot.p99Ms.toFixed(1)} | ${rest} |`
  return {
    text: `A flood on MariaDB while Redis is away: ${Math.round(attemptsPerSecond)} attempts a second with made-up codes (${wantedPerSecond} were wanted), each at
another number, from thousands of addresses. \`GET /user\` with 64 connections:

| | requests/s | p99 ms | p99 to the quiet one | wanted |
|---|--:|--:|--:|--:|
${row('quiet, Redis away', quiet, '1.00 | ')}
${row('in the flood', flood, `${ratio.toFixed(2)} | ${verdict(ratio, wantedFloodP99)}`)}

The attempts were answered ${answers.join(', ')}. A person with a device proof signed in ${person.signedIn} of ${person.tries} times (${verdict(share, wantedIn)}).
`,
    figures: [
      {
        name: 'GET /user in a flood without Redis',
        value: ratio,
        unit: 'of the quiet p99',
        wanted: wantedFloodP99,
      },
      {
        name: 'sign-ins with a device proof in a flood',
        value: share,
        unit: 'of the tries',
        wanted: wantedIn,
      },
    ],
  }
}

/** Whether a crowd makes a check dearer, and what it takes of Redis's memory. */
export function crowdSection(result: CrowdResult): Section {
  const { few, many, fewPerSecond, manyPerSecond, bytesPerSession } = result
  const ratio = manyPerSecond / fewPerSecond
  return {
    text: `A crowd on MariaDB and Redis: \`GET /user\` with ${few} tokens, which are all the sessions that there are, or ${few} of ${many} more, all
with copies in Redis. A device has an id, a name and a version of the app.

| | | wanted |
|---|--:|--:|
| requests/s with ${few} sessions | ${Math.round(fewPerSecond)} | |
| requests/s with ${many} more | ${Math.round(manyPerSecond)} | |
| ratio | ${ratio.toFixed(2)} | ${verdict(ratio, wantedFlat)} |
| Redis memory of a live session, its account included, bytes | ${Math.round(bytesPerSession)} | ${verdict(bytesPerSession, wantedBytes)} |
`,
    figures: [
      {
        name: `GET /user with ${many} sessions`,
        value: ratio,
        unit: `of that with ${few}`,
        wanted: wantedFlat,
      },
      { name: 'Redis memory of a live session', value: bytesPerSession, unit: 'bytes', wanted: wantedBytes },
    ],
  }
}

/** From a start to the first answer. */
export function startSection({ firstMs, againMs }: StartResult): Section {
  const rows = [
    ['a new file', firstMs],
    ['the file is there', againMs],
  ] as const
  return {
    text: `From the start of the process to its first answer, on SQLite:

| | ms | wanted |
|---|--:|--:|
${rows.map(([name, ms]) => `| ${name} | ${Math.round(ms)} | ${verdict(ms, wantedStartMs)} |`).join('\n')}
`,
    figures: rows.map(([name, value]) => ({
      name: `start, ${name}`,
      value,
      unit: 'ms',
      wanted: wantedStartMs,
    })),
  }
}

/** What further processes add. */
export function workersSection(results: readonly WorkersResult[]): Section {
  const [one] = results
  const rows = results.map(({ workers, requestsPerSecond, leastShare, cpuMicros, cpuOfOne }) => {
    const wanted = workers === 1 ? null : wantedWorkers
    const cells = [
      workers,
      Math.round(requestsPerSecond),
      (requestsPerSecond / (one?.requestsPerSecond ?? Number.NaN)).toFixed(2),
      leastShare?.toFixed(2) ?? '-',
      cpuMicros?.toFixed(1) ?? '-',
      cpuOfOne?.toFixed(2) ?? '-',
      cpuOfOne === null ? '' : verdict(cpuOfOne, wanted),
    ]
    const name = `GET /user, HUFU_WORKERS=${workers}`
    const figures: Figure[] = [{ name, value: requestsPerSecond, unit: 'requests/s', wanted: null }]
    if (cpuOfOne !== null) figures.push({ name, value: cpuOfOne, unit: "of one worker's CPU", wanted })
    return { text: `| ${cells.join(' | ')} |`, figures }
  })
  return {
    text: `\`HUFU_WORKERS\`, \`GET /user\` on MariaDB and Redis, nothing pinned. The load and the stores have their part of the same cores: the
load writes ${requestsInAPiece} requests in one piece and counts the answers. "CPU" is what a request takes of all workers together, and the ratio
what it takes with one to what it takes with several: where that does not grow, as many free cores answer as many times more. The
least share is what the least busy worker computes, to its fair part.

| workers | requests/s | to one | least share | CPU µs | ratio | wanted |
|--:|--:|--:|--:|--:|--:|--:|
${rows.map(({ text }) => text).join('\n')}
`,
    figures: rows.flatMap(({ figures }) => figures),
  }
}

/** What a flood of checks leaves for sign-ins, and what sign-ins cost the checks. */
export function floorSection(result: FloorResult): Section {
  const { connections, rawPerSecond, signInsPerSecond, share, quiet, both, p99Ratio, cores } = result
  return {
    text: `A flood of checks and sign-ins on one core, on MariaDB and Redis: \`GET /user\` from ${connections} connections that never rest, and sign-ins that always wait,
beside argon2 alone and the same checks alone. ${cores}

| | sign-ins/s | to argon2 alone | wanted | checks/s | p99 ms | p99 to checks alone | wanted |
|---|--:|--:|--:|--:|--:|--:|--:|
| argon2 alone | ${rawPerSecond.toFixed(1)} | 1.00 | | | | | |
| checks alone | | | | ${Math.round(quiet.requestsPerSecond)} | ${quiet.p99Ms.toFixed(1)} | 1.00 | |
| both | ${signInsPerSecond.toFixed(1)} | ${share.toFixed(2)} | ${verdict(share, wantedFloor)} | ${Math.round(both.requestsPerSecond)} | ${both.p99Ms.toFixed(1)} | ${p99Ratio.toFixed(2)} | ${verdict(p99Ratio, wantedFloorP99)} |
`,
    figures: [
      { name: 'sign-ins under a flood of checks', value: signInsPerSecond, unit: 'per second', wanted: null },
      {
        name: 'sign-ins under a flood of checks',
        value: share,
        unit: 'of argon2 alone',
        wanted: wantedFloor,
      },
      { name: 'checks beside sign-ins', value: both.requestsPerSecond, unit: 'requests/s', wanted: null },
      { name: 'checks beside sign-ins', value: p99Ratio, unit: 'of the p99 without', wanted: wantedFloorP99 },
    ],
  }
}

/** The whole report, on this machine, as RESULTS.md has it. */
export function reportText(machine: string, sections: readonly Section[]): string {
  return `# Results of \`npm run bench\`

${machine}

${sections.map(({ text }) => text).join('\n')}
Where the time goes, and why a figure is missed: [PROFILE.md](PROFILE.md).
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
  return `${goal < 100 ? goal.toFixed(2) : goal} ${isReached ? 'reached' : 'missed'}`
}
