// The lock of migrations: one process at a time migrates a database, and the others say which one they wait
// for.
import { type Dialect, type Kysely, sql } from 'kysely'
import type { DatabaseKind } from './database-url.ts'
import { isRetryable } from './failures.ts'
import type { Sentence } from './migration-progress.ts'
import type { Database } from './schema.ts'
import { migrationDeadlines } from './session-defaults.ts'

/** How long one attempt waits for the lock. */
const attemptMs = migrationDeadlines.lockMs

/** Another process holds the lock of migrations. */
export class MigrationLockHeld extends Error {
  constructor(cause?: unknown) {
    super('another process migrates this database', { cause })
  }
}

/**
 * The name of the lock on MySQL and MariaDB, where all databases of a server share the names of locks. MySQL
 * accepts 64 characters, and a database may have as many in its own name.
 */
export const mysqlLockName = sql`concat('hufu ', sha1(database()))`

/** That of the library, which earlier versions take for their session. */
const postgresLock = sql.raw('3853314791062309107::bigint')

/**
 * A dialect whose lock for migrations is this one. On PostgreSQL the library's lock belongs to the session,
 * which a pooler shares among clients, and is released before the commit; `lockForTransaction` takes the lock
 * instead.
 */
export function withMigrationLock(dialect: Dialect, kind: Exclude<DatabaseKind, 'sqlite'>): Dialect {
  const adapter = Object.assign(dialect.createAdapter(), {
    acquireMigrationLock: kind === 'mysql' ? lockForConnection : async () => {},
    releaseMigrationLock: kind === 'mysql' ? unlock : async () => {},
  })
  return {
    createAdapter: () => adapter,
    createDriver: () => dialect.createDriver(),
    createIntrospector: (db) => dialect.createIntrospector(db),
    createQueryCompiler: () => dialect.createQueryCompiler(),
  }
}

/** On MySQL and MariaDB: locks for this connection. @throws MigrationLockHeld after some seconds */
async function lockForConnection<T>(db: Kysely<T>): Promise<void> {
  const { rows } = await sql<{
    got: number | null
  }>`select get_lock(${mysqlLockName}, ${sql.lit(attemptMs / 1000)}) as got`.execute(db)
  if (rows[0]?.got !== 1) throw new MigrationLockHeld()
}

async function unlock<T>(db: Kysely<T>): Promise<void> {
  await sql`select release_lock(${mysqlLockName})`.execute(db)
}

/** On PostgreSQL: locks until the end of the transaction. @throws MigrationLockHeld after some seconds */
export async function lockForTransaction(tx: Database): Promise<void> {
  await sql`select set_config('lock_timeout', ${String(attemptMs)}, true)`.execute(tx)
  try {
    await sql`select pg_advisory_xact_lock(${postgresLock})`.execute(tx)
  } catch (error) {
    throw isRetryable(error) ? new MigrationLockHeld(error) : error
  }
}

/** What a process says that waits for the lock. */
export async function waitingForHolder(db: Database, kind: DatabaseKind): Promise<Sentence> {
  const holder = await findHolder(db, kind)
  return {
    zh: `迁移：正在等待另一个正在迁移此数据库的进程${holder ? `（连接 ${holder.id}，来自 ${holder.host}）` : ''}`,
    en: `migration: waiting for another process that migrates this database${holder ? ` (connection ${holder.id} from ${holder.host})` : ''}`,
  }
}

interface Holder {
  readonly id: number
  readonly host: string
}

/** null: there is none any more, or this user may not see it. */
async function findHolder(db: Database, kind: DatabaseKind): Promise<Holder | null> {
  // On SQLite the file is locked, and it does not tell for whom.
  if (kind === 'sqlite') return null
  const queries = {
    mysql: sql<Holder>`select id as id, host as host from information_schema.processlist
      where id = is_used_lock(${mysqlLockName})`,
    postgres: sql<Holder>`select l.pid as id, coalesce(host(a.client_addr), 'local') as host
      from pg_locks l join pg_stat_activity a on a.pid = l.pid
      where l.locktype = 'advisory' and l.granted and l.objsubid = 1
        and l.database = (select oid from pg_database where datname = current_database())
        and l.classid = (${postgresLock} >> 32)::oid and l.objid = (${postgresLock} & 4294967295)::oid`,
  }
  const { rows } = await queries[kind].execute(db)
  return rows[0] ?? null
}
