// The report of a run: a section for each workload, as tables for readers and as plain figures for programs.
import type { CheckResult, Checks, Route, Spread } from './checks.ts'
import type { FloodResult } from './flood.ts'
import type { FloorResult } from './floor.ts'
import type { CrowdResult } from './million-sessions.ts'
import { type Figure, type Run, runsTable, type Wanted } from './runs.ts'
import type { Servers, ServersResult } from './servers.ts'
import type { SignInResult } from './sign-in.ts'
import type { StartResult } from './startup.ts'
import type { StormResult } from './storm.ts'
import { requestsInAPiece, type WorkersResult } from './workers.ts'

export interface Section {
  readonly text: string
  readonly figures: readonly Figure[]
}

/** The targets of a check with the request log on, within one run, by CPU for each request. */
const withAims: readonly string[] = ['SQLite', 'MariaDB + Redis']
const wantedToFastify: Wanted = { atLeast: 0.95 }
const wantedToHttp: Wanted = { atLeast: 0.8 }
/** Divided by a bare route that parses the form. */
const wantedIntrospection: Wanted = { atLeast: 0.8 }
const wantedP99: Wanted = { atMost: 1.3 }
const wantedSignIn: Wanted = { atLeast: 0.95 }
const wantedStormP99: Wanted = { atMost: 3 }
/** Divided by argon2 alone, with checks on the same core from 64 connections. */
const wantedFloor: Wanted = { atLeast: 0.25 }
const wantedFloorP99: Wanted = { atMost: 2 }
const wantedFloodP99: Wanted = { atMost: 3 }
const wantedIn: Wanted = { atLeast: 1 }
const wantedFlat: Wanted = { atLeast: 0.9 }
/** Divided by the start of a bare Fastify. */
const wantedStart: Wanted = { atMost: 2.5 }
/** Divided by the CPU of one worker: with 1.0, n cores answer n times as many requests. */
const wantedWorkers: Wanted = { atLeast: 0.9 }
/** Divided by the CPU of a check with one server. */
const wantedServers: Wanted = { atLeast: 0.9 }
/** Of Redis memory, for a session that one server has in its memory. */
const wantedTracked: Wanted = { atMost: 200 }
/** The size of the tutorial's own two keys. */
const wantedBytes: Wanted = { atMost: 336 }

/** A table for each of Hufu's routes with the baselines, and a table of other programs. */
export function checksSection({ results, options, cores }: Checks, peersMissing: string | null): Section {
  const rows = results.map(checkRow)
  const table = (route: Route) => {
    const lines = rows.filter((row) => row.route === route).map(({ text }) => text)
    return `| | requests/s | CPU µs | p50 ms | p99 ms | to Fastify | wanted | to node:http | wanted | p99 to Fastify's | wanted |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|
${lines.join('\n')}`
  }
  const { tokens, connections, starts, rounds, secondsPerRound } = options
  const busy = results.find(({ baseline }) => baseline === 'fastify')?.busy ?? null
  const text = `A check with a live token: ${tokens} sessions, each of its own account, ${connections} connections, one process; beside a bare
Fastify route and a bare \`node:http\` handler, which give the same answer (headers too), and check and log nothing. Each server is
started anew ${starts} times, because V8 compiles each process a little differently; the servers of one start take turns in ${rounds} rounds of
${secondsPerRound} s. Figures are medians of the rounds of a process, and then of the processes; the range is that of the processes. "CPU" is
what a request takes of the server's core, and "to" is the CPU of the other to it: 1 is as fast, 0.5 takes twice as much.

${cores}${busy ? ` ${busySentence(busy)}` : ''}

\`GET /user\`:

${table('GET /user')}

\`GET /v1/session\` with \`Authorization: Bearer\`:

${table('GET /v1/session')}

\`POST /v1/introspect\` with a service key; the baselines parse the form:

${table('POST /v1/introspect')}
${results.some(({ route }) => route === 'others') ? othersText(table('others'), peersMissing) : ''}`
  return { text, figures: rows.flatMap((row) => row.figures) }
}

function othersText(table: string, peersMissing: string | null): string {
  return `
Other programs, beside the same two for \`GET /user\`: two ways of a few lines on Redis in the same Fastify route, and peers from npm,
each set up as its own documents advise (bench/peers):

${table}
${peersMissing === null ? '' : `\nPeers: not measured, because ${peersMissing}\n`}`
}

function checkRow(result: CheckResult) {
  const { route, requestsPerSecond, p50Ms, p99Ms, cpuMicros, toFastify, toHttp, p99ToFastify } = result
  const hasAims = route !== 'others' && withAims.includes(result.name)
  const name = route === 'others' ? result.name : `${route}, ${result.name}`
  const aim = (wanted: Wanted | null) => (hasAims ? wanted : null)
  const wantedOf =
    route === 'POST /v1/introspect'
      ? { fastify: wantedIntrospection, http: null }
      : { fastify: wantedToFastify, http: wantedToHttp }
  const figure = (unit: string, value: number, wanted: Wanted | null = null) => ({
    name,
    value,
    unit,
    wanted,
  })
  const figures = [
    figure('requests/s', requestsPerSecond),
    figure('ms, p50', p50Ms),
    figure('ms, p99', p99Ms),
    figure('µs of CPU', cpuMicros),
    figure('of Fastify', toFastify.middle, aim(wantedOf.fastify)),
    figure('of node:http', toHttp.middle, aim(wantedOf.http)),
    figure("of Fastify's p99", p99ToFastify.middle, aim(wantedP99)),
    ...(result.busy === null ? [] : [figure('of the time computing', result.busy)]),
  ]
  const cells = [
    result.name,
    Math.round(requestsPerSecond),
    cpuMicros.toFixed(1),
    p50Ms.toFixed(1),
    p99Ms.toFixed(1),
    spreadText(toFastify),
    verdict(toFastify.middle, aim(wantedOf.fastify)),
    spreadText(toHttp),
    verdict(toHttp.middle, aim(wantedOf.http)),
    spreadText(p99ToFastify),
    verdict(p99ToFastify.middle, aim(wantedP99)),
  ]
  return { route, text: `| ${cells.join(' | ')} |`, figures }
}

/** `0.97 (0.95-1.02)`, and `1.00` without a range. */
function spreadText({ middle, least, most }: Spread): string {
  const isPoint = least.toFixed(2) === most.toFixed(2)
  return isPoint ? middle.toFixed(2) : `${middle.toFixed(2)} (${least.toFixed(2)}-${most.toFixed(2)})`
}

/** Where the bare server waits for the load generator, requests per second flatter every server beside it. */
function busySentence(busy: number): string {
  const share = `Bare Fastify computed ${Math.round(busy * 100)} % of the time`
  return busy >= 0.85 ? `${share}.` : `${share} and waited for the load or for the machine otherwise.`
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

/** The effect of a login storm on signed-in clients. */
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

/** The cost of a flood of attempts while Redis is down. */
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

/** Whether a check costs more with a million sessions, and how much Redis memory they use. */
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

/** The time from a start to the first response. */
export function startSection(rows: readonly StartResult[]): Section {
  const line = ({ name, ms, toFastify, isOurs }: StartResult) =>
    `| ${name} | ${Math.round(ms)} | ${toFastify.toFixed(2)} | ${verdict(toFastify, isOurs ? wantedStart : null)} |`
  return {
    text: `From the start of the process to its first answer, on SQLite, beside a bare Fastify route (medians of starts that take turns):

| | ms | to Fastify | wanted |
|---|--:|--:|--:|
${rows.map(line).join('\n')}
`,
    figures: rows.flatMap(({ name, ms, toFastify, isOurs }) => [
      { name: `start, ${name}`, value: ms, unit: 'ms', wanted: null },
      {
        name: `start, ${name}`,
        value: toFastify,
        unit: "of Fastify's start",
        wanted: isOurs ? wantedStart : null,
      },
    ]),
  }
}

/** The throughput that further processes add. */
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

/** What further servers cost: the CPU of a check, and the memory of Redis for its announcements. */
export function serversSection({ results, announcements, sessions }: Servers): Section {
  const rows = results.map(serversRow)
  const { perEnd, broadcastPerEnd, broadcastPerFill } = announcements
  const most = results.at(-1)?.servers ?? 1
  return {
    text: `Several servers on one MariaDB and one Redis, nothing pinned: \`GET /user\` spread over them, each with all ${sessions} sessions in its memory.
"CPU" is what a check takes of all of them together. Redis keeps a list of the connections that must hear of a change of each of these
keys: its memory beyond the entries themselves.

| servers | requests/s | CPU µs | to one | wanted | keys | connections to tell | MiB | bytes of each | wanted |
|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|
${rows.map(({ text }) => text).join('\n')}

For an ended session, Redis announced ${perEnd.toFixed(2)} keys to the ${most} servers together; for one that comes into the cache, none. If each server asked for
all changes instead (\`BCAST\`), Redis would keep no list, and announce ${broadcastPerEnd.toFixed(2)} keys to each server for an end and ${broadcastPerFill.toFixed(2)} for a session that
comes into the cache, whether that server has it or not.
`,
    figures: [
      ...rows.flatMap(({ figures }) => figures),
      {
        name: `an ended session, ${most} servers`,
        value: perEnd,
        unit: 'announcements of Redis',
        wanted: { atMost: most },
      },
    ],
  }
}

function serversRow({ servers, requestsPerSecond, cpuMicros, cpuOfOne, tracked }: ServersResult) {
  const name = `GET /user, ${servers} servers`
  const wanted = servers === 1 ? null : wantedServers
  const bytes = tracked.bytes / tracked.items
  const cells = [
    servers,
    Math.round(requestsPerSecond),
    cpuMicros?.toFixed(1) ?? '-',
    cpuOfOne?.toFixed(2) ?? '-',
    cpuOfOne === null ? '' : verdict(cpuOfOne, wanted),
    tracked.keys,
    tracked.items,
    (tracked.bytes / 1024 / 1024).toFixed(1),
    Math.round(bytes),
    verdict(bytes, wantedTracked),
  ]
  const figures: Figure[] = [
    { name: `${name}, tracked`, value: bytes, unit: 'bytes of Redis memory', wanted: wantedTracked },
  ]
  if (cpuOfOne !== null)
    figures.push({ name, value: cpuOfOne, unit: "of one server's CPU for a check", wanted })
  return { text: `| ${cells.join(' | ')} |`, figures }
}

/** How many sign-ins succeed in a flood of checks, and the cost for the checks. */
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

/** The text of RESULTS.md: the whole report, on this machine and with the last runs. */
export function reportText(machine: string, sections: readonly Section[], runs: readonly Run[]): string {
  return `# Results of \`npm run bench\`

${machine}

${sections.map(({ text }) => text).join('\n')}${runs.length > 0 ? `\n${runsTable(runs)}` : ''}
Where the time goes, and why a figure is missed: [PROFILE.md](PROFILE.md).
`
}

/** The same figures for programs, as in results.json. */
export function reportJson(machine: string, sections: readonly Section[], runs: readonly Run[]): string {
  const figures = sections.flatMap((section) => section.figures)
  return `${JSON.stringify({ machine, figures: figures.map(rounded), runs }, null, 2)}\n`
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
