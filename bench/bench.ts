// npm run bench: runs every workload, prints the tables and writes them to bench/RESULTS.md, writes the
// figures to bench/results.json, and draws the chart of the README. With the names of workloads it measures
// only these and writes nothing. `npm run bench coherence` measures for how long an ended session is
// accepted, and writes bench/COHERENCE.md; `npm run bench capacity` measures unit costs, and writes
// bench/CAPACITY.md and the capacity table of docs/operations.md; `npm run bench galera` prints the cost of
// the waits on a Galera cluster; `npm run bench chart` measures nothing.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { freshMs } from '../src/timing.ts'
import { createMariadbDatabase, startMariadb } from '../test/support/services/mariadb.ts'
import { startRedis } from '../test/support/services/redis.ts'
import { benchCapacity, capacityReport } from './capacity.ts'
import { writeChart } from './chart.ts'
import { benchChecks, type Subject } from './checks.ts'
import { benchCoherence, coherenceTable } from './coherence.ts'
import { benchFlood } from './flood.ts'
import { benchFloor } from './floor.ts'
import { benchGalera } from './galera.ts'
import { machine } from './machine.ts'
import { benchCrowd } from './million-sessions.ts'
import { betterAuth, expressSession, installPeers } from './peers.ts'
import {
  checksSection,
  crowdSection,
  floodSection,
  floorSection,
  reportJson,
  reportText,
  type Section,
  serversSection,
  signInSection,
  startSection,
  stormSection,
  workersSection,
} from './report.ts'
import { type Run, runsTable, withRun } from './runs.ts'
import { benchServers } from './servers.ts'
import { benchSignIn } from './sign-in.ts'
import { benchStart } from './startup.ts'
import { benchStorm } from './storm.ts'
import { bareRoutes, hufu, redisReads } from './subjects.ts'
import { benchWorkers } from './workers.ts'

if (process.argv.includes('chart')) {
  writeChart()
  process.exit()
}

const resultsFile = new URL('./results.json', import.meta.url)
const isShort = process.argv.includes('--short')
if (process.argv.includes('galera')) {
  process.stdout.write(await benchGalera(isShort))
  process.exit()
}
/**
 * `-- checks --keep`: measures the ratios that have a target once more, and adds them to those of the last
 * runs.
 */
const isKept = process.argv.includes('--keep')
/** `--against FOLDER`: `checks` and `start` also measure the server of another checkout. */
const against = process.argv.includes('--against')
  ? (process.argv[process.argv.indexOf('--against') + 1] ?? null)
  : null
const folder = mkdtempSync(join(tmpdir(), 'hufu-bench-'))
const [mariadb, redis] = await Promise.all([startMariadb(), startRedis()])

try {
  if (process.argv.includes('capacity')) await capacity()
  else await (process.argv.includes('coherence') ? coherence() : speed())
} finally {
  await Promise.all([mariadb.stop(), redis.stop()])
  rmSync(folder, { recursive: true, force: true })
}

async function speed(): Promise<void> {
  const workloads = {
    checks,
    'sign-in': signIns,
    storm,
    floor,
    'redis-away': redisAway,
    workers,
    servers,
    crowd,
    start,
  }
  const only = Object.entries(workloads).filter(([name]) => process.argv.includes(name))
  const chosen = only.length > 0 ? only : Object.entries(workloads)
  const sections: Section[] = []
  for (const [, workload] of chosen) sections.push(await workload())
  const isWhole = !isShort && only.length === 0
  const figures = sections.flatMap((section) => section.figures)
  const earlier = existsSync(resultsFile) ? (JSON.parse(readFileSync(resultsFile, 'utf8')).runs ?? []) : []
  const runs = withRun(earlier, figures, new Date().toISOString().slice(0, 10))
  const text = reportText(machine(), sections, isWhole ? runs : [])
  process.stdout.write(text)
  if (isWhole) {
    writeFileSync(new URL('./RESULTS.md', import.meta.url), text)
    writeFileSync(resultsFile, reportJson(machine(), sections, runs))
    writeChart()
  } else if (isKept && runs !== earlier) keepRuns(earlier, runs)
}

/** Adds a run of the checks alone to the report of the last whole run. */
function keepRuns(earlier: readonly Run[], runs: readonly Run[]): void {
  const report = new URL('./RESULTS.md', import.meta.url)
  const text = readFileSync(report, 'utf8')
  if (!text.includes(runsTable(earlier))) throw new Error('RESULTS.md has no table of the last runs')
  writeFileSync(report, text.replace(runsTable(earlier), runsTable(runs)))
  const results = JSON.parse(readFileSync(resultsFile, 'utf8'))
  writeFileSync(resultsFile, `${JSON.stringify({ ...results, runs }, null, 2)}\n`)
  writeChart()
}

async function checks(): Promise<Section> {
  const storePids = [mariadb.pid, redis.pid]
  const size = isShort
    ? { tokens: 1000, starts: 1, rounds: 2, secondsPerRound: 1 }
    : { tokens: 10_000, starts: 5, rounds: 3, secondsPerRound: 1 }
  const hasPeers = against === null && !isKept
  const peersMissing = hasPeers ? await installPeers() : null
  const subjects = hasPeers ? await allSubjects(peersMissing) : await subjectsWithAims()
  return checksSection(await benchChecks(subjects, { ...size, connections: 64, storePids }), peersMissing)
}

/** This checkout, the baselines, and the other checkout if there is one. */
async function subjectsWithAims(): Promise<Subject[]> {
  const onBoth = async (redisDatabase: number) => ({ ...(await onMariadb()), ...onRedis(redisDatabase) })
  const both = { routes: 'both' } as const
  const others =
    against === null
      ? []
      : [
          hufu({ ...both, name: `SQLite, ${against}`, environment: sqlite('theirs'), source: against }),
          hufu({
            ...both,
            name: `MariaDB + Redis, ${against}`,
            environment: await onBoth(1),
            source: against,
          }),
        ]
  return [
    bareRoutes('http'),
    bareRoutes('fastify'),
    hufu({ routes: 'all', name: 'SQLite', environment: sqlite('ours') }),
    hufu({ routes: 'all', name: 'MariaDB + Redis', environment: await onBoth(0) }),
    ...others,
  ]
}

async function allSubjects(peersMissing: string | null): Promise<Subject[]> {
  const quiet = { HUFU_LOG_LEVEL: 'warn' }
  const onBoth = async (redisDatabase: number) => ({ ...(await onMariadb()), ...onRedis(redisDatabase) })
  const subjects: Subject[] = [
    bareRoutes('http'),
    bareRoutes('fastify'),
    hufu({ name: 'SQLite', environment: sqlite('user'), routes: 'all' }),
    hufu({ name: 'MariaDB + Redis', environment: await onBoth(0), routes: 'all' }),
    hufu({ name: 'MariaDB', environment: await onMariadb(), routes: 'user' }),
    hufu({
      name: 'SQLite, no request log',
      environment: { ...sqlite('silent'), ...quiet },
      routes: 'user',
    }),
    hufu({
      name: 'MariaDB + Redis, no request log',
      environment: { ...(await onBoth(1)), ...quiet },
      routes: 'user',
    }),
    redisReads("HGETALL, kept by the client library's cache", 'cached-hash', `${redis.url}/2`),
    redisReads('two GETs', 'two-gets', `${redis.url}/3`),
  ]
  if (peersMissing === null) {
    const databaseUrl = await createMariadbDatabase(mariadb.url)
    subjects.push(expressSession(`${redis.url}/4`), betterAuth(databaseUrl, `${redis.url}/5`))
  }
  return subjects
}

async function signIns(): Promise<Section> {
  const size = isShort ? { rounds: 1, perRound: 50 } : { rounds: 60, perRound: 50 }
  return signInSection(await benchSignIn(sqlite('sign-in'), { ...size, accounts: 200 }))
}

async function storm(): Promise<Section> {
  const size = isShort ? { rounds: 1, secondsPerRound: 2 } : { rounds: 5, secondsPerRound: 4 }
  const storePids = [mariadb.pid, redis.pid]
  const environment = { ...(await onMariadb()), ...onRedis(6) }
  return stormSection(
    await benchStorm(environment, { waiting: 500, clients: 700, checksPerSecond: 4_000, ...size, storePids }),
  )
}

async function floor(): Promise<Section> {
  const size = isShort ? { rounds: 1, secondsPerRound: 2 } : { rounds: 7, secondsPerRound: 5 }
  const environment = { ...(await onMariadb()), ...onRedis(15) }
  const storePids = [mariadb.pid, redis.pid]
  return floorSection(await benchFloor(environment, { connections: 64, ...size, storePids }))
}

async function redisAway(): Promise<Section> {
  const size = isShort ? { rounds: 1, secondsPerRound: 2 } : { rounds: 5, secondsPerRound: 4 }
  const away = await startRedis()
  await away.stop()
  const environment = { ...(await onMariadb()), HUFU_REDIS_URL: away.url }
  return floodSection(
    await benchFlood(environment, { attemptsPerSecond: 5_000, checksPerSecond: 1_000, ...size }),
  )
}

async function workers(): Promise<Section> {
  const size = isShort ? { rounds: 1, secondsPerRound: 1 } : { rounds: 9, secondsPerRound: 2 }
  let next = 7
  const newEnvironment = async () => ({ ...(await onMariadb()), ...onRedis(next++) })
  // More workers than cores only take turns. Even on a machine with one core, two workers show the overhead.
  const counts = [1, 2, 4, 8].filter((count) => count <= Math.max(2, availableParallelism()))
  return workersSection(await benchWorkers(newEnvironment, { counts, ...size }))
}

async function servers(): Promise<Section> {
  const size = isShort
    ? { counts: [1, 2], sessions: 5_000, ends: 20, rounds: 1, secondsPerRound: 1 }
    : { counts: [1, 2, 4, 8], sessions: 50_000, ends: 500, rounds: 7, secondsPerRound: 1 }
  const newDatabase = () => createMariadbDatabase(mariadb.url)
  return serversSection(await benchServers({ redis, newDatabase, ...size }))
}

async function crowd(): Promise<Section> {
  const size = isShort
    ? { many: 20_000, rounds: 1, secondsPerRound: 1 }
    : { many: 1_000_000, rounds: 7, secondsPerRound: 2 }
  const newDatabase = () => createMariadbDatabase(mariadb.url)
  return crowdSection(await benchCrowd({ redis, newDatabase, few: 1_000, ...size }))
}

async function start(): Promise<Section> {
  const rounds = isShort ? 1 : 9
  return startSection(await benchStart({ databaseFile: join(folder, 'start.db'), rounds, against }))
}

function sqlite(name: string) {
  return { HUFU_DATABASE_URL: `sqlite:${join(folder, name)}.db` }
}

async function onMariadb() {
  return { HUFU_DATABASE_URL: await createMariadbDatabase(mariadb.url) }
}

function onRedis(logicalDatabase: number) {
  return { HUFU_REDIS_URL: `${redis.url}/${logicalDatabase}` }
}

async function capacity(): Promise<void> {
  const measured = await benchCapacity({ mariadb, redis, isShort })
  const text = capacityReport(measured)
  process.stdout.write(text)
  if (isShort) return
  writeFileSync(new URL('./CAPACITY.md', import.meta.url), text)
  writeFileSync(new URL('./capacity.json', import.meta.url), `${JSON.stringify(measured, null, 2)}\n`)
  writeChart()
}

async function coherence(): Promise<void> {
  const newDatabase = () => createMariadbDatabase(mariadb.url)
  const size = isShort ? { rounds: 1, sessions: 4 } : { rounds: 5, sessions: 16 }
  const results = await benchCoherence({ newDatabase, ...size })
  const text = `# Results of \`npm run bench coherence\`

${machine()}

Two servers on MariaDB and Redis. One ends sessions, the other is asked for each of them without a pause until 1.5 s after the end
was answered, by a client on the same machine. "Accepted" counts requests that were begun after the answer and were let in;
what is promised is 0 where every server reaches the same Redis, or knows that it does not, and nothing later than ${freshMs} ms
in any case.

${coherenceTable(results)}`
  process.stdout.write(text)
  if (!isShort) writeFileSync(new URL('./COHERENCE.md', import.meta.url), text)
  if (results.some(({ accepted }) => accepted.some((ms) => ms > freshMs))) process.exitCode = 1
}
