// Unit costs of the operations that change or read sessions, measured on one database with Redis.
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { Feed } from '../src/changes/feed.ts'
import { ManualClock, systemClock } from '../src/clock.ts'
import { migrate } from '../src/database/migrate.ts'
import { dialectFor, openDatabase } from '../src/database/open.ts'
import type { Database } from '../src/database/schema.ts'
import { newAccountId, newCompactId } from '../src/ids.ts'
import { lateMs } from '../src/timing.ts'
import {
  addAccount,
  type Domain,
  openDomain,
  signIn,
  writeUsesEveryMs,
} from '../test/support/in-process-server.ts'
import { sendRedisCommand } from '../test/support/services/redis.ts'
import type { Watcher } from '../test/support/step-faults.ts'
import type { Cost, Operation, UnitCosts } from './capacity-model.ts'
import { cpuSeconds } from './cpu-pinning.ts'
import { newSessionRow } from './session-row.ts'

export interface CostsOptions {
  readonly name: string
  readonly databaseUrl: string
  readonly databasePid: number
  readonly redisUrl: string
  /** Operations of each kind. */
  readonly count: number
  /** Rows of each table, for their size. */
  readonly rows: number
  readonly followerSeconds: number
}

const followers = 100
/** After this time, each connection of PostgreSQL has reported what it has done. */
const reportedAfterMs = 11_000
const atOnce = 4

export async function measureCosts(options: CostsOptions): Promise<UnitCosts> {
  const { databaseUrl } = options
  const byHand = openDatabase(dialectFor(databaseUrl, 1))
  try {
    await migrate(byHand, isMariadb(byHand) ? 'mysql' : 'postgres')
    const { operations, lockMs } = await costsOfOperations(byHand, options)
    return {
      database: options.name,
      operations,
      lockMs,
      rowBytes: await bytesOfRows(byHand, options.rows),
      followers: await costOfFollowers(byHand, options),
    }
  } finally {
    await byHand.destroy()
  }
}

/** Counts the statements of a domain, and measures how long it holds locks while one write runs at a time. */
class Counter {
  statements = 0
  readonly heldMs: number[] = []
  #lockedAt: number | null = null

  readonly watch: Watcher = async (step, work) => {
    if (step.startsWith('sql ')) this.statements++
    const result = await work()
    if (step === 'sql select for update') this.#lockedAt = performance.now()
    if (step === 'sql commit' && this.#lockedAt !== null) {
      this.heldMs.push(performance.now() - this.#lockedAt)
      this.#lockedAt = null
    }
    return result
  }
}

async function costsOfOperations(byHand: Database, options: CostsOptions) {
  const { databaseUrl, redisUrl, count } = options
  const counter = new Counter()
  const clock = new ManualClock(Date.now())
  const domains: Domain[] = []
  const open = async () => {
    const domain = await openDomain({ databaseUrl, redisUrl, clock, watch: counter.watch })
    domains.push(domain)
    return domain
  }
  const domain = await open()
  const cost = async (work: (i: number) => Promise<unknown>, after?: () => Promise<unknown>) =>
    await costOf({ byHand, counter, pid: options.databasePid, count }, work, after)
  const accounts: string[] = []
  for (let i = 0; i < count; i++) accounts.push(await addAccount(domain.db))
  const at = <T>(list: readonly T[], i: number): T => list[i] as T
  // Compiles the code, opens the connections, and leaves a session to replace.
  for (const id of accounts) await signIn(domain, id)
  counter.heldMs.length = 0
  for (const id of accounts.slice(0, 300)) await signIn(domain, id)
  const held = counter.heldMs.toSorted((a, b) => a - b)
  const issued: Awaited<ReturnType<typeof signIn>>[] = []
  const signIns = await cost(async (i) => {
    issued[i] = await signIn(domain, at(accounts, i))
  })
  const cold = await open()
  // What is read within a second of a change, or of the start of the server, does not stay in the cache.
  await sleep(2 * lateMs)
  await sendRedisCommand(redisUrl, 'FLUSHDB')
  const miss = await cost(async (i) => await cold.verification.verify(at(issued, i).token))
  clock.advance(2 * writeUsesEveryMs)
  const use = await cost(
    async (i) => await domain.verification.verify(at(issued, i).token),
    () => domain.verification.close(),
  )
  const rotation = await cost(async (i) => {
    const rotated = await domain.verification.rotate(at(issued, i).token)
    if (rotated.is !== 'live') throw new Error('a rotation failed')
    const { token, session, account } = rotated
    issued[i] = { ...at(issued, i), token, session, account }
    await domain.verification.verify(token)
  })
  const signOut = await cost(async (i) => {
    const { session, token } = at(issued, i)
    const by = { accountId: session.accountId, sessionId: session.id, token }
    await domain.sessions.end({ id: session.id, accountId: session.accountId, reason: 'signed_out', by })
  })
  for (const one of domains) await one.close()
  const operations: Record<Operation, Cost> = { 'sign-in': signIns, 'sign-out': signOut, rotation, miss, use }
  const part = (share: number) => held[Math.floor(share * (held.length - 1))] ?? Number.NaN
  return { operations, lockMs: { p50: part(0.5), p99: part(0.99) } }
}

interface Meter {
  readonly byHand: Database
  readonly counter: Counter
  readonly pid: number
  readonly count: number
}

/** The cost of one of `count` works, several at a time. */
async function costOf(
  { byHand, counter, pid, count }: Meter,
  work: (i: number) => Promise<unknown>,
  after: () => Promise<unknown> = async () => {},
): Promise<Cost> {
  const before = await written(byHand)
  const [statements, database, server] = [counter.statements, cpuOfTree(pid), process.cpuUsage()]
  let next = 0
  const one = async () => {
    while (next < count) await work(next++)
  }
  await Promise.all(Array.from({ length: atOnce }, one))
  await after()
  const used = process.cpuUsage(server)
  const databaseSeconds = cpuOfTree(pid) - database
  const then = await written(byHand)
  return {
    statements: (counter.statements - statements) / count,
    rows: (then.rows - before.rows) / count,
    bytes: (then.bytes - before.bytes) / count,
    databaseMs: (databaseSeconds * 1000) / count,
    serverMs: (used.user + used.system) / 1000 / count,
  }
}

/** Rows that the server has written so far, and bytes of its log. */
export async function written(db: Database): Promise<{ readonly rows: number; readonly bytes: number }> {
  if (!isMariadb(db)) {
    await sleep(reportedAfterMs)
    const { rows } = await sql<{ rows: string; bytes: string }>`select
      (select tup_inserted + tup_updated + tup_deleted from pg_stat_database where datname = current_database()) as rows,
      pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') as bytes`.execute(db)
    return { rows: Number(rows[0]?.rows), bytes: Number(rows[0]?.bytes) }
  }
  const status = await statusOf(db)
  const get = (name: string) => status.get(name) ?? 0
  return {
    rows: get('Handler_write') + get('Handler_update') + get('Handler_delete'),
    bytes: get('Innodb_lsn_current'),
  }
}

export async function statusOf(db: Database): Promise<ReadonlyMap<string, number>> {
  const { rows } = await sql<{ Variable_name: string; Value: string }>`show global status`.execute(db)
  return new Map(rows.map(({ Variable_name: name, Value: value }) => [name, Number(value)]))
}

function isMariadb(db: Database): boolean {
  return !db.getExecutor().adapter.supportsReturning
}

/** CPU of a server in seconds, with the processes that it has started. */
function cpuOfTree(pid: number): number {
  const children = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && parentOf(name) === pid)
  return [pid, ...children.map(Number)].reduce((sum, one) => sum + (cpuSeconds(one) ?? 0), 0)
}

function parentOf(pid: string): number {
  try {
    // After the name of the program, which may contain anything.
    return Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ')[1])
  } catch {
    return 0
  }
}

async function costOfFollowers(db: Database, { databaseUrl, databasePid, followerSeconds }: CostsOptions) {
  const open = () => openDatabase(dialectFor(databaseUrl, 1))
  const feeds = Array.from({ length: followers }, () => new Feed({ open, clock: systemClock }))
  for (const feed of feeds) {
    feed.subscribe(() => {})
    await feed.start()
  }
  await sleep(2_000)
  const [before, cpu, began] = [await statementsOf(db), cpuOfTree(databasePid), performance.now()]
  await sleep(followerSeconds * 1000)
  const cores = (cpuOfTree(databasePid) - cpu) / ((performance.now() - began) / 1000)
  const after = await statementsOf(db)
  const statementsPerSecond = (after - before) / ((performance.now() - began) / 1000)
  for (const feed of feeds) await feed.close()
  return { count: followers, statementsPerSecond, cores }
}

/** Statements that the server has run so far; on PostgreSQL, transactions. */
async function statementsOf(db: Database): Promise<number> {
  if (isMariadb(db)) return (await statusOf(db)).get('Questions') ?? 0
  await sleep(reportedAfterMs)
  const { rows } = await sql<{ n: string }>`select xact_commit as n from pg_stat_database
    where datname = current_database()`.execute(db)
  return Number(rows[0]?.n)
}

/** Inserts rows as an app makes them, and measures what each takes with its indexes. */
async function bytesOfRows(db: Database, count: number): Promise<UnitCosts['rowBytes']> {
  const now = Date.now()
  const ids = Array.from({ length: count }, () => newAccountId(now))
  const accounts = ids.map((id, i) => ({
    id,
    phone_number: `+86${17000000000 + i}`,
    nickname: '测试用户1',
    password_hash: `$argon2id$v=19$m=19456,t=2,p=1$${'s'.repeat(22)}$${'h'.repeat(43)}`,
    registered_at: now,
    updated_at: now,
    phone_verified_at: now,
  }))
  const sessions = ids.map((accountId) => newSessionRow(accountId, now).row)
  const events = sessions.map(({ id, account_id, ip }) => ({
    id: newCompactId(now),
    at: now,
    kind: 'signed_in',
    account_id,
    session_id: id,
    phone_number: null,
    ip,
    request_id: 'AAAAAAAA-000',
    detail: '{"method":"password","platform":"ios"}',
  }))
  const insert = async (
    table: 'hufu_accounts' | 'hufu_sessions' | 'hufu_events',
    rows: readonly object[],
  ) => {
    const before = await bytesOf(db, table)
    for (let i = 0; i < rows.length; i += 500)
      // The rows above have the columns of their tables.
      await db
        .insertInto(table)
        .values(rows.slice(i, i + 500) as never)
        .execute()
    return ((await bytesOf(db, table)) - before) / rows.length
  }
  return {
    account: await insert('hufu_accounts', accounts),
    session: await insert('hufu_sessions', sessions),
    event: await insert('hufu_events', events),
  }
}

async function bytesOf(db: Database, table: string): Promise<number> {
  if (isMariadb(db)) {
    await sql`analyze table ${sql.table(table)}`.execute(db)
    const { rows } = await sql<{ bytes: string }>`select data_length + index_length as bytes
      from information_schema.tables where table_schema = database() and table_name = ${table}`.execute(db)
    return Number(rows[0]?.bytes)
  }
  const { rows } = await sql<{ bytes: string }>`select pg_total_relation_size(${table}) as bytes`.execute(db)
  return Number(rows[0]?.bytes)
}
