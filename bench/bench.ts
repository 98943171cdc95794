// npm run bench: every workload in one run; the table is printed and written to bench/RESULTS.md. `npm run bench coherence`
// measures how long an ended session is accepted, and writes bench/COHERENCE.md.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, release, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { freshMs } from '../src/sessions/feed.ts'
import { version } from '../src/version.ts'
import { createMariadbDatabase, startMariadb } from '../test/services/mariadb.ts'
import { startRedis } from '../test/services/redis.ts'
import { benchCoherence, coherenceTable } from './coherence.ts'
import { benchMemory, type MemoryResult } from './memory.ts'
import { benchSignIn, type SignInResult } from './sign-in.ts'
import { benchUser, type UserResult } from './user.ts'

/** What we want to reach, as ratios within one run. */
const wanted = { sqlite: 0.6, 'MariaDB + Redis': 0.8, signIn: 0.9 } as const

const isShort = process.argv.includes('--short')
const folder = mkdtempSync(join(tmpdir(), 'hufu-bench-'))
const [mariadb, redis] = await Promise.all([startMariadb(), startRedis()])

try {
  await (process.argv.includes('coherence') ? coherence() : speed())
} finally {
  await Promise.all([mariadb.stop(), redis.stop()])
  rmSync(folder, { recursive: true, force: true })
}

async function speed(): Promise<void> {
  const sqlite = (name: string) => ({ HUFU_DATABASE_URL: `sqlite:${join(folder, name)}.db` })
  const onMariadb = async () => ({ HUFU_DATABASE_URL: await createMariadbDatabase(mariadb.url) })
  const users = await benchUser(
    [
      { name: 'bare route, no check', environment: null },
      { name: 'SQLite', environment: sqlite('user') },
      { name: 'MariaDB + Redis', environment: { ...(await onMariadb()), HUFU_REDIS_URL: redis.url } },
      { name: 'MariaDB', environment: await onMariadb() },
      { name: 'SQLite, no request log', environment: { ...sqlite('silent'), HUFU_LOG_LEVEL: 'warn' } },
      {
        name: 'MariaDB + Redis, no request log',
        environment: { ...(await onMariadb()), HUFU_REDIS_URL: redis.url, HUFU_LOG_LEVEL: 'warn' },
      },
    ],
    { tokens: 1024, rounds: isShort ? 2 : 7, secondsPerRound: isShort ? 1 : 4, connections: 64 },
  )
  const signIns = await benchSignIn(sqlite('sign-in'), {
    rounds: isShort ? 1 : 5,
    secondsPerRound: isShort ? 1 : 5,
    accounts: 200,
  })
  const memory = await benchMemory(redis, isShort ? 10_000 : 100_000)
  const text = await report(users, signIns, memory)
  process.stdout.write(text)
  if (!isShort) writeFileSync(new URL('./RESULTS.md', import.meta.url), text)
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

async function report(
  users: readonly UserResult[],
  signIn: SignInResult,
  memory: MemoryResult,
): Promise<string> {
  const bare = users[0]?.requestsPerSecond ?? Number.NaN
  const rows = users.map((user) => {
    const ratio = user.requestsPerSecond / bare
    return `| ${user.name} | ${Math.round(user.requestsPerSecond)} | ${user.p50Ms} | ${user.p99Ms} | ${ratio.toFixed(2)} | ${goal(user.name, ratio)} |`
  })
  const signInRatio = signIn.signInsPerSecond / signIn.rawPerSecond
  return `# Results of \`npm run bench\`

${machine()}

\`GET /user\` with a live token, 1,024 sessions, 64 connections, one process; beside a bare Fastify route that gives the same
answer (headers too) and checks and logs nothing. Medians of rounds that take turns.

| | requests/s | p50 ms | p99 ms | ratio | wanted |
|---|--:|--:|--:|--:|--:|
${rows.join('\n')}

Sign-ins through HTTP on SQLite, beside argon2 alone with the same parameters and ${signIn.parallel} at once:

| | per second | ratio | wanted |
|---|--:|--:|--:|
| argon2 alone | ${signIn.rawPerSecond.toFixed(1)} | 1.00 | |
| sign-in | ${signIn.signInsPerSecond.toFixed(1)} | ${signInRatio.toFixed(2)} | ${wanted.signIn.toFixed(2)} ${reached(signInRatio, wanted.signIn)} |

Redis memory: ${Math.round(memory.bytesPerSession)} bytes for each of ${memory.sessions} live sessions, the copy of its account included.

Why a figure is missed: [PROFILE.md](PROFILE.md).
`
}

function goal(name: string, ratio: number): string {
  const value =
    name === 'SQLite' ? wanted.sqlite : name === 'MariaDB + Redis' ? wanted['MariaDB + Redis'] : null
  return value === null ? '' : `${value.toFixed(2)} ${reached(ratio, value)}`
}

function reached(ratio: number, value: number): string {
  return ratio >= value ? 'reached' : 'missed'
}

function machine(): string {
  const [cpu] = cpus()
  return `${new Date().toISOString().slice(0, 10)}, Hufu ${version}, Node ${process.versions.node}, Linux ${release().split('-', 1)[0]}, ${cpus().length} cores (${cpu?.model ?? 'unknown'}), ${Math.round(totalmem() / 2 ** 30)} GiB.`
}
