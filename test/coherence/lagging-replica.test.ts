// A replica that is behind takes over from a primary that has died: the last commits are lost, and what the
// servers and Redis remember of them decides nothing. Where the primary waits for its replica
// (docs/guarantees.md), no commit that is lost was answered.
import { setTimeout as sleep } from 'node:timers/promises'
import { createConnection } from 'mysql2/promise'
import { Client } from 'pg'
import { afterEach, expect, inject, test } from 'vitest'
import { openServices } from '../../src/app.ts'
import { migrate } from '../../src/database/migrate.ts'
import { readSettings } from '../../src/settings/settings.ts'
import { everyoneKnowsMs } from '../../src/timing.ts'
import { addPerson, person, runCommand, type ServerProcess, startProcess } from '../support/app.ts'
import { redisUrl } from '../support/databases.ts'
import {
  createMariadbDatabase,
  followMariadb,
  replicationArgs,
  startMariadb,
} from '../support/services/mariadb.ts'
import { createPostgresDatabase, startPostgres } from '../support/services/postgres.ts'
import { until } from '../support/services/until.ts'
import { startProxy } from '../support/tcp-proxy.ts'

const closers: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
}, 60_000)

interface Pair {
  /** A database on the primary. */
  readonly databaseUrl: string
  readonly replicaUrl: string
  /** From now on, the replica gets nothing from the primary. */
  cut(): Promise<void>
  /** The primary dies, and the replica takes writes when this resolves. */
  failOver(): Promise<void>
}

/** As docs/guarantees.md says. */
const waiting = ['--rpl-semi-sync-master-wait-point=AFTER_SYNC', '--rpl-semi-sync-master-timeout=31536000000']

async function mariadbPair(waits: boolean): Promise<Pair> {
  const primary = await startMariadb({ args: [...replicationArgs(1), ...waiting] })
  closers.push(() => primary.stop())
  const replica = await startMariadb({ args: [...replicationArgs(2), '--rpl-semi-sync-slave-enabled=ON'] })
  closers.push(() => replica.stop())
  await followMariadb(replica, primary)
  const run = async (url: string, ...statements: string[]) => {
    const connection = await createConnection(url)
    for (const statement of statements) await connection.query(statement)
    await connection.end()
  }
  const onReplica = (...statements: string[]) => run(replica.url, ...statements)
  if (waits) await run(primary.url, 'set global rpl_semi_sync_master_enabled = 1')
  const caughtUp = async () => {
    const connection = await createConnection(primary.url)
    const [rows] = await connection.query({ sql: 'select @@gtid_binlog_pos', rowsAsArray: true })
    await connection.end()
    await onReplica(`select master_gtid_wait('${String(rows)}', 30)`)
  }
  return {
    databaseUrl: await createMariadbDatabase(primary.url),
    replicaUrl: replica.url,
    async cut() {
      await caughtUp()
      await onReplica('stop slave')
    },
    async failOver() {
      process.kill(primary.pid, 'SIGKILL')
      await primary.stop()
      await onReplica('reset slave all', 'set global read_only = 0')
    },
  }
}

async function postgresPair(waits: boolean): Promise<Pair> {
  const primary = await startPostgres()
  closers.push(() => primary.stop())
  const databaseUrl = await createPostgresDatabase(primary.url)
  const stream = await startProxy(primary.url)
  closers.push(() => stream.close())
  const replica = await startPostgres({ standbyOf: stream })
  closers.push(() => replica.stop())
  if (waits) {
    const client = new Client({ connectionString: databaseUrl })
    await client.connect()
    await client.query("alter system set synchronous_standby_names = '*'")
    await client.query('select pg_reload_conf()')
    await client.end()
  }
  return {
    databaseUrl,
    replicaUrl: replica.url,
    async cut() {
      // The stream has no more than this behind the commits of the primary.
      await sleep(1_000)
      stream.set('refuse')
    },
    async failOver() {
      await primary.stop()
      await replica.promote()
    },
  }
}

async function prepare(databaseUrl: string, phones: readonly string[]): Promise<void> {
  const settings = readSettings({ HUFU_DATABASE_URL: databaseUrl })
  const services = await openServices(settings)
  await migrate(services.db, settings.database.location.kind)
  for (const phone of phones) await addPerson(services, phone)
  await services.close()
}

async function trySignIn(server: ServerProcess, phoneNumber: string): Promise<Response> {
  return await fetch(`${server.url}/v1/sessions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      phone_number: phoneNumber,
      password: person.password,
      device: { platform: 'ios', id: 'phone' },
    }),
  })
}

async function signIn(server: ServerProcess, phoneNumber: string): Promise<string> {
  const answer = await trySignIn(server, phoneNumber)
  expect(answer.status).toBe(201)
  return ((await answer.json()) as { token: string }).token
}

async function statusOf(server: ServerProcess, token: string, method = 'GET'): Promise<number> {
  const headers = { authorization: `Bearer ${token}` }
  return (await fetch(`${server.url}/v1/session`, { method, headers })).status
}

const pairs = [
  { name: 'mariadb', skipped: inject('mariadb').skipped, start: mariadbPair },
  { name: 'postgres', skipped: inject('postgres').skipped, start: postgresPair },
]

const started = pairs.filter(({ skipped }) => skipped === null && redisUrl() !== null)

/** Two servers behind a proxy that leads to the primary. */
async function serve(pair: Pair) {
  const proxy = await startProxy(pair.databaseUrl)
  closers.push(() => proxy.close())
  const environment = { HUFU_DATABASE_URL: proxy.url, HUFU_REDIS_URL: redisUrl() ?? '' }
  const servers = [await startProcess(environment), await startProcess(environment)] as const
  for (const server of servers) closers.push(() => server.stop('SIGKILL'))
  const failOver = async () => {
    await pair.failOver()
    proxy.setTarget(pair.replicaUrl)
    const isReady = async ({ url }: ServerProcess) => (await fetch(`${url}/readyz`)).status === 200
    await until(async () => (await Promise.all(servers.map(isReady))).every(Boolean))
    await sleep(everyoneKnowsMs)
  }
  return { proxy, servers, failOver }
}

test.each(
  started,
)('what a lagging replica has lost on $name decides nothing, and a later end is known to all servers', async ({
  start,
}) => {
  const pair = await start(false)
  const [kept, busy, signedOut] = ['13600000001', '13600000002', '13600000003'] as const
  await prepare(pair.databaseUrl, [kept, busy, signedOut])
  const { proxy, servers, failOver } = await serve(pair)
  const [one, other] = servers
  const tokens = { kept: await signIn(one, kept), signedOut: await signIn(one, signedOut) }
  await pair.cut()

  // All of this will be lost. The feed has more steps now than it will have when it goes on.
  for (let i = 0; i < 8; i++) await signIn(i % 2 === 0 ? one : other, busy)
  const lost = await signIn(one, busy)
  expect(await statusOf(one, tokens.signedOut, 'DELETE')).toBe(204)
  for (const server of servers) {
    expect(await statusOf(server, tokens.kept)).toBe(200)
    expect(await statusOf(server, lost)).toBe(200)
    expect(await statusOf(server, tokens.signedOut)).toBe(401)
  }
  await failOver()

  for (const server of servers) {
    expect(await statusOf(server, lost)).toBe(401)
    // Its end is lost as well: docs/operations.md says what to do after a restore.
    expect(await statusOf(server, tokens.signedOut)).toBe(200)
    expect(await statusOf(server, tokens.kept)).toBe(200)
  }
  const ended = await runCommand(['sessions', 'end', '--all', kept], { HUFU_DATABASE_URL: proxy.url })
  expect(ended).toMatchObject({ code: 0 })
  await sleep(everyoneKnowsMs)
  for (const server of servers) expect(await statusOf(server, tokens.kept)).toBe(401)
})

test.each(
  started,
)('where $name waits for its replica, no change is answered that the replica does not have', async ({
  start,
}) => {
  const pair = await start(true)
  const [kept, signedOut, late] = ['13600000001', '13600000002', '13600000003'] as const
  await prepare(pair.databaseUrl, [kept, signedOut, late])
  const { servers, failOver } = await serve(pair)
  const [one, other] = servers
  const tokens = {
    kept: await signIn(one, kept),
    signedOut: await signIn(other, signedOut),
    late: await signIn(one, late),
  }
  expect(await statusOf(one, tokens.signedOut, 'DELETE')).toBe(204)
  await pair.cut()

  const unanswered = await Promise.all([
    statusOf(other, tokens.late, 'DELETE'),
    trySignIn(one, signedOut).then(({ status }) => status),
  ])
  expect(unanswered).toEqual([503, 503])
  await failOver()

  for (const server of servers) {
    expect(await statusOf(server, tokens.kept)).toBe(200)
    expect(await statusOf(server, tokens.signedOut)).toBe(401)
    expect(await statusOf(server, tokens.late)).toBe(200)
  }
  expect((await trySignIn(other, signedOut)).status).toBe(201)
})
