// Renames the tables of a database from before 0.1.0, which have no prefix, to their present names.
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { columnNames, tableNames } from './ddl.ts'
import { isRetryable } from './failures.ts'
import { mysqlLockName } from './migration-lock.ts'
import type { DatabaseKind } from './open.ts'
import type { Database } from './schema.ts'
import { UnusableDatabaseError } from './unusable.ts'

/**
 * The tables that each of the first four migrations created, each with a column that identifies it as Hufu's.
 */
const tablesOf: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  '0001-accounts-and-sessions': { accounts: 'password_hash', sessions: 'token_hash' },
  '0002-token-rotation': {},
  '0003-codes-and-events': { codes: 'nonce', events: 'request_id', server_keys: 'value' },
  '0004-account-changes': { account_changes: 'position' },
}
const bookkeeping = { kysely_migration: 'hufu_migrations', kysely_migration_lock: 'hufu_migration_lock' }

/** Connections of other programs that are still open after this time belong to servers that run. */
const watchMs = 3_000
const giveUpMs = 15_000
const pauseMs = 300

/**
 * Renames the tables of a database from before 0.1.0; does nothing to any other database. Servers of that
 * version cannot work with the new names, so it refuses while another connection stays open. Several servers
 * may start together: each attempt has its own connection, which is closed before the next attempt, so that
 * only connections of running programs stay open.
 * @param open opens a database with one connection
 * @throws UnusableDatabaseError while another program is connected, or where a table was not made by Hufu
 */
export async function renameFirstTables(open: () => Database, kind: DatabaseKind): Promise<void> {
  const began = performance.now()
  let lasting: readonly string[] | null = null
  for (;;) {
    const seen = await tryOnce(open, kind)
    if (seen === 'done') return
    // Connections that every check finds belong to a program that keeps them open.
    lasting = (lasting ?? [...seen]).filter((one) => seen.has(one))
    const waited = performance.now() - began
    if ((lasting.length > 0 && waited > watchMs) || waited > giveUpMs) throw stillConnected(lasting)
    await sleep(pauseMs * (0.5 + Math.random()))
  }
}

/** 'done', or the other connections, which prevented the renaming. */
async function tryOnce(open: () => Database, kind: DatabaseKind): Promise<'done' | ReadonlySet<string>> {
  const db = open()
  try {
    const tables = await firstTables(db, kind)
    if (tables === null) return 'done'
    if (kind === 'sqlite') return await renameInFile(db, tables)
    const others = await otherConnections(db, kind)
    if (others.size > 0) return others
    if (!(await lockSchema(db, kind))) return new Set()
    // Another server may have renamed them meanwhile.
    if ((await firstTables(db, kind)) !== null) await rename(db, kind, tables)
    return 'done'
  } catch (error) {
    // Another server has renamed the tables between two statements of this one.
    if (await isRenamed(db, kind)) return 'done'
    throw error
  } finally {
    await db.destroy()
  }
}

async function isRenamed(db: Database, kind: DatabaseKind): Promise<boolean> {
  return await tableNames(db, kind).then(
    (names) => names.includes('hufu_migrations'),
    () => false,
  )
}

/**
 * The new names of the tables from before 0.1.0, by their old names; null where this is not such a database.
 */
async function firstTables(db: Database, kind: DatabaseKind): Promise<ReadonlyMap<string, string> | null> {
  const present = await tableNames(db, kind)
  if (present.includes('hufu_migrations') || !present.includes('kysely_migration')) return null
  const { rows } = await sql<{ name: string }>`select name from kysely_migration`.execute(db)
  const ran = rows.map(({ name }) => name)
  // The table may hold the migrations of another program that uses the same library.
  if (!ran.includes('0001-accounts-and-sessions') || ran.some((name) => !(name in tablesOf))) return null
  const renamed = new Map<string, string>()
  for (const [table, column] of ran.flatMap((name) => Object.entries(tablesOf[name] ?? {}))) {
    if (!(await columnNames(db, kind, table)).includes(column)) throw foreignTable(table)
    renamed.set(table, `hufu_${table}`)
  }
  for (const [from, to] of Object.entries(bookkeeping)) if (present.includes(from)) renamed.set(from, to)
  return renamed
}

function foreignTable(table: string): UnusableDatabaseError {
  return new UnusableDatabaseError(
    `数据库里的表 ${table} 不是 Hufu 建的，却被旧版 Hufu 当成了自己的表：请给 Hufu 一个单独的数据库（修改 HUFU_DATABASE_URL）。`,
    `The table "${table}" in this database was not made by Hufu, but an older Hufu took it for its own: give Hufu a database of its own (HUFU_DATABASE_URL).`,
  )
}

function stillConnected(others: readonly string[]): UnusableDatabaseError {
  const list = others.length === 0 ? '' : ` (${others.join(', ')})`
  return new UnusableDatabaseError(
    `此数据库要改用新的表名，但仍有程序连接着它${list}：请先停止所有旧版 Hufu 服务和其他连接，再启动一次。`,
    `The tables of this database get new names, and another program is still connected to it${list}: stop every server of the old version and close other connections, then start again.`,
  )
}

/** On SQLite, a process can leave WAL mode only if no other process has the file open. SQLite checks that. */
async function renameInFile(
  db: Database,
  tables: ReadonlyMap<string, string>,
): Promise<'done' | ReadonlySet<string>> {
  try {
    const { rows } = await sql<{ journal_mode: string }>`pragma journal_mode = delete`.execute(db)
    if (rows[0]?.journal_mode !== 'delete') return new Set()
  } catch (error) {
    if (isRetryable(error)) return new Set()
    throw error
  }
  await rename(db, 'sqlite', tables)
  await sql`pragma journal_mode = wal`.execute(db)
  return 'done'
}

/** The other connections of the same user to this database: their ids and descriptions. */
async function otherConnections(
  db: Database,
  kind: Exclude<DatabaseKind, 'sqlite'>,
): Promise<ReadonlySet<string>> {
  const queries = {
    mysql: sql<{ id: number; host: string }>`select id as id, host as host from information_schema.processlist
      where db = database() and user = substring_index(user(), '@', 1) and id <> connection_id()`,
    postgres: sql<{ id: number; host: string }>`select pid as id, coalesce(host(client_addr), 'local') as host
      from pg_stat_activity where datname = current_database() and usename = current_user
        and backend_type = 'client backend' and pid <> pg_backend_pid()`,
  }
  const { rows } = await queries[kind].execute(db)
  return new Set(rows.map(({ id, host }) => `${id} ${host}`))
}

/** Whether this connection has got the lock for the renaming, which ends with the connection. */
async function lockSchema(db: Database, kind: Exclude<DatabaseKind, 'sqlite'>): Promise<boolean> {
  const queries = {
    mysql: sql<{ got: number | boolean }>`select get_lock(${mysqlLockName}, 0) as got`,
    postgres: sql<{
      got: number | boolean
    }>`select pg_try_advisory_lock(hashtext('hufu'), hashtext(current_schema())) as got`,
  }
  const { rows } = await queries[kind].execute(db)
  return rows[0]?.got === 1 || rows[0]?.got === true
}

/** Renames all tables or none: in one statement on MySQL and MariaDB, in one transaction elsewhere. */
async function rename(db: Database, kind: DatabaseKind, tables: ReadonlyMap<string, string>): Promise<void> {
  if (kind === 'mysql') {
    const pairs = [...tables].map(([from, to]) => sql`${sql.table(from)} to ${sql.table(to)}`)
    await sql`rename table ${sql.join(pairs)}`.execute(db)
    return
  }
  await db.transaction().execute(async (tx) => {
    for (const [from, to] of tables) await tx.schema.alterTable(from).renameTo(to).execute()
  })
}
