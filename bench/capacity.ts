// npm run bench capacity: measures what each operation costs the database, Redis and the server, computes the
// table of docs/operations.md from it, and compares a simulated day with the prediction.
import { readFileSync } from 'node:fs'
import { createClient } from 'redis'
import { openServices } from '../src/app.ts'
import { dialectFor, openDatabase } from '../src/database/open.ts'
import { noOrigin } from '../src/events/events.ts'
import { newCompactId } from '../src/ids.ts'
import { useKeyOf } from '../src/session-cache/redis-client.ts'
import { readSettings } from '../src/settings/settings.ts'
import { createMariadbDatabase, type Mariadb } from '../test/support/services/mariadb.ts'
import { createPostgresDatabase, startPostgres } from '../test/support/services/postgres.ts'
import type { RedisServer } from '../test/support/services/redis.ts'
import { addAccounts, password } from './accounts.ts'
import { measureCosts, statusOf } from './capacity-costs.ts'
import {
  capacityTable,
  day,
  figure,
  type Measured,
  operations,
  size,
  type UnitCosts,
} from './capacity-model.ts'
import { simulateDay } from './capacity-simulation.ts'
import { addFilledSessions } from './filled-sessions.ts'
import { machine } from './machine.ts'

export interface CapacityOptions {
  readonly mariadb: Mariadb
  readonly redis: RedisServer
  readonly isShort: boolean
}

const simulatedUsers = 100_000

export async function benchCapacity({ mariadb, redis, isShort }: CapacityOptions): Promise<Measured> {
  const sizes = isShort
    ? { count: 50, rows: 2_000, followerSeconds: 2 }
    : { count: 600, rows: 30_000, followerSeconds: 10 }
  const redisUrl = `${redis.url}/14`
  const databaseUrl = await createMariadbDatabase(mariadb.url)
  const common = { ...sizes, redisUrl }
  const onMariadb = { ...common, name: 'MariaDB', databaseUrl, databasePid: mariadb.pid }
  const units = [await measureCosts(onMariadb), await costsOnPostgres(common)]
  const byHand = openDatabase(dialectFor(databaseUrl, 1))
  const [first] = units
  try {
    return {
      machine: machine(),
      units,
      passwordSignInStatements: await statementsOfSignIn(mariadb, `${redis.url}/13`, isShort ? 20 : 200),
      redisBytes: await redisBytes(`${redis.url}/12`, isShort ? 2_000 : 30_000),
      ...speeds(),
      simulation: first
        ? await simulateDay({
            byHand,
            databaseUrl,
            redisUrl,
            units: first,
            users: simulatedUsers,
            secondsPerPhase: isShort ? 2 : 20,
          })
        : [],
    }
  } finally {
    await byHand.destroy()
  }
}

async function costsOnPostgres(
  common: Omit<Parameters<typeof measureCosts>[0], 'name' | 'databaseUrl' | 'databasePid'>,
) {
  const postgres = await startPostgres({ isDurable: true })
  try {
    const databaseUrl = await createPostgresDatabase(postgres.url)
    return await measureCosts({ ...common, name: 'PostgreSQL', databaseUrl, databasePid: postgres.pid })
  } finally {
    await postgres.stop()
  }
}

/** A sign-in by password that replaces a session, with everything around its transaction. */
async function statementsOfSignIn(mariadb: Mariadb, redisUrl: string, count: number): Promise<number> {
  const environment = {
    HUFU_DATABASE_URL: await createMariadbDatabase(mariadb.url),
    HUFU_REDIS_URL: redisUrl,
  }
  const numbers = await addAccounts(environment, count)
  const services = await openServices(readSettings(environment))
  const byHand = openDatabase(dialectFor(environment.HUFU_DATABASE_URL, 1))
  const signInAll = async () => {
    for (const [i, phoneNumber] of numbers.entries()) {
      // An address and a network of its own: the limits of one would refuse the later ones.
      const ip = `10.${i >> 8}.${i & 255}.1`
      const device = { platform: 'ios', deviceId: null, deviceName: null, appVersion: null, ip } as const
      const origin = { ...noOrigin, ip }
      await services.signIn.by('password', { device, origin }, { phoneNumber, password })
    }
  }
  const questions = async () => (await statusOf(byHand)).get('Questions') ?? 0
  try {
    await signInAll()
    const [before, began] = [await questions(), performance.now()]
    await signInAll()
    const [after, seconds] = [await questions(), (performance.now() - began) / 1000]
    await new Promise((resolve) => setTimeout(resolve, 2_000))
    // The feed goes on reading meanwhile.
    const idle = ((await questions()) - after) / 2
    return (after - before - idle * seconds) / count
  } finally {
    await byHand.destroy()
    await services.close()
  }
}

async function redisBytes(url: string, count: number): Promise<Measured['redisBytes']> {
  const client = await createClient({ url }).connect()
  const used = async () => Number(/^used_memory:(\d+)/m.exec(await client.info('memory'))?.[1])
  try {
    await client.flushDb()
    const before = await used()
    await addFilledSessions(url, count)
    const filled = await used()
    const now = Date.now()
    for (let i = 0; i < count; i += 500)
      await Promise.all(
        Array.from({ length: 500 }, () =>
          client.set(useKeyOf(newCompactId(now)), now, { expiration: { type: 'EX', value: 7_200 } }),
        ),
      )
    return { session: (filled - before) / count, use: ((await used()) - filled) / count }
  } finally {
    await client.flushDb()
    client.destroy()
  }
}

/** Speeds of the last whole run of the bench. */
function speeds(): Pick<Measured, 'checksPerProcess' | 'hashesPerThread'> {
  const { figures } = JSON.parse(readFileSync(new URL('./results.json', import.meta.url), 'utf8')) as {
    figures: readonly { name: string; value: number; unit: string }[]
  }
  const find = (begin: string, unit: string) =>
    figures.find((one) => one.name.startsWith(begin) && one.unit === unit)?.value ?? Number.NaN
  return {
    checksPerProcess: find('GET /user, MariaDB + Redis', 'requests/s'),
    hashesPerThread: find('argon2 alone', 'per second'),
  }
}

/** bench/CAPACITY.md */
export function capacityReport(measured: Measured): string {
  const { redisBytes: bytes } = measured
  return `# Results of \`npm run bench capacity\`

${measured.machine}

Unit costs, each the mean over many operations on real servers, four at a time. "rows" are written or deleted, "log" is the redo log of
MariaDB or the WAL of PostgreSQL; CPU of Hufu is without HTTP and without the password's hash. A miss is a check that reads the database,
a use is the time of a session's last use in a batch, a rotation includes the first use of the new token.

${unitTable(measured.units)}

The lock of an account is held for ${measured.units.map(({ database, lockMs }) => `${lockMs.p50.toFixed(2)} ms (p50) and ${lockMs.p99.toFixed(2)} ms (p99) on ${database}`).join(', ')} by a sign-in that replaces a session,
commit included, on one machine.

${measured.units.map(({ database, followers: { count, statementsPerSecond, cores } }) => `${count} servers that follow the feed of ${database} while nothing happens: ${figure(statementsPerSecond)} statements/s, ${(cores * 100).toFixed(1)} % of a core of the database.`).join('\n')}

| bytes | ${measured.units.map(({ database }) => database).join(' | ')} | Redis |
|---|${'--:|'.repeat(measured.units.length + 1)}
${(['account', 'session', 'event'] as const).map((row) => `| ${row} | ${measured.units.map(({ rowBytes }) => Math.round(rowBytes[row])).join(' | ')} | ${row === 'session' ? `${Math.round(bytes.session)}, its last use ${Math.round(bytes.use)}` : ''} |`).join('\n')}

A sign-in by password has ${figure(measured.passwordSignInStatements)} statements in all, with limits and the look-up of the account.

## The table

${capacityTable(measured, 'en')}

A day, in \`bench/capacity-model.ts\`: ${Object.entries(day)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')}.

## A simulated day

The busiest seconds of ${simulatedUsers.toLocaleString('en-US')} daily users, driven at this machine (MariaDB + Redis): each second, as the unit costs predict and as measured.

| phase | statements | rows | log |
|---|--:|--:|--:|
${measured.simulation.map(({ phase, predicted, measured: was }) => `| ${phase} | ${pair(predicted.statements, was.statements)} | ${pair(predicted.rows, was.rows)} | ${size(predicted.bytes)} / ${size(was.bytes)} |`).join('\n')}
`
}

function pair(predicted: number, was: number): string {
  return `${figure(predicted)} / ${figure(was)}`
}

function unitTable(units: readonly UnitCosts[]): string {
  const rows = units.flatMap(({ database, operations: costs }) =>
    operations.map((name) => {
      const { statements, rows, bytes, databaseMs, serverMs } = costs[name]
      const cells = [
        statements.toFixed(2),
        rows.toFixed(1),
        Math.round(bytes),
        databaseMs.toFixed(2),
        serverMs.toFixed(2),
      ]
      return `| ${database} | ${name} | ${cells.join(' | ')} |`
    }),
  )
  return [
    '| database | operation | statements | rows | log, bytes | CPU of the database, ms | CPU of Hufu, ms |',
    '|---|---|--:|--:|--:|--:|--:|',
    ...rows,
  ].join('\n')
}
