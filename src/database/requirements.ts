// Hufu's requirements of a database that it cannot set for its own sessions. A server's start and `doctor`
// check them.
import { sql } from 'kysely'
import type { DatabaseKind } from './open.ts'
import type { Database } from './schema.ts'

export interface Shortcoming {
  /** true: Hufu cannot work with it. false: it works, with less durability. */
  readonly isProblem: boolean
  readonly zh: string
  readonly en: string
}

/** More than the longest statement of this program. */
const packetBytes = 1024 * 1024

/** The requirements that the database does not meet, the worst first. @throws the driver's error */
export async function shortcomings(db: Database, kind: DatabaseKind): Promise<Shortcoming[]> {
  const found = await { mysql: ofMysql, postgres: ofPostgres, sqlite: ofSqlite }[kind](db)
  return found.toSorted((a, b) => Number(b.isProblem) - Number(a.isProblem))
}

const problem = (zh: string, en: string): Shortcoming => ({ isProblem: true, zh, en })
const warning = (zh: string, en: string): Shortcoming => ({ isProblem: false, zh, en })

async function ofMysql(db: Database): Promise<Shortcoming[]> {
  const { rows } = await sql<{ binlog: string; packet: number; flush: number }>`
    select if(@@log_bin, @@global.binlog_format, 'off') as binlog, @@max_allowed_packet as packet,
      @@innodb_flush_log_at_trx_commit as flush`.execute(db)
  const [settings] = rows
  // Without aliases, MySQL 8 names the columns of these tables in capitals.
  const { rows: tables } = await sql<{ name: string; engine: string }>`
    select table_name as name, engine as engine from information_schema.tables
    where table_schema = database() and table_name like 'hufu\\_%' and engine <> 'InnoDB'`.execute(db)
  const found = tables.map(({ name, engine }) =>
    problem(
      `表 ${name} 的存储引擎是 ${engine}，它不支持事务；请执行 ALTER TABLE ${name} ENGINE=InnoDB`,
      `the table ${name} has the engine ${engine}, which has no transactions; run ALTER TABLE ${name} ENGINE=InnoDB`,
    ),
  )
  if (settings?.binlog === 'STATEMENT')
    found.push(
      problem(
        'binlog_format=STATEMENT 时不能在 READ COMMITTED 下写入；请在服务器上设为 ROW 或 MIXED',
        'with binlog_format=STATEMENT the server refuses writes at READ COMMITTED; set it to ROW or MIXED there',
      ),
    )
  if (settings && settings.packet < packetBytes)
    found.push(
      problem(
        `max_allowed_packet 是 ${settings.packet} 字节，至少需要 ${packetBytes}`,
        `max_allowed_packet is ${settings.packet} bytes; Hufu needs ${packetBytes} at least`,
      ),
    )
  if (settings && settings.flush !== 1)
    found.push(
      warning(
        `innodb_flush_log_at_trx_commit=${settings.flush}：断电会丢失已确认的退出登录；请设为 1`,
        `innodb_flush_log_at_trx_commit=${settings.flush}: a power cut takes back sign-outs that were acknowledged; set it to 1`,
      ),
    )
  return found
}

async function ofPostgres(db: Database): Promise<Shortcoming[]> {
  const { rows } = await sql<{ encoding: string; schema: string | null; role: string; fsync: string }>`
    select current_setting('server_encoding') as encoding, current_schema() as schema,
      current_setting('session_replication_role') as role, current_setting('fsync') as fsync`.execute(db)
  const [settings] = rows
  if (!settings) return []
  const { encoding, schema, role, fsync } = settings
  const found: Shortcoming[] = []
  if (encoding !== 'UTF8')
    found.push(
      problem(
        `数据库的编码是 ${encoding}，不能保存所有文字；请用 createdb --encoding=UTF8 --template=template0 新建`,
        `the database's encoding is ${encoding}, which cannot hold every text; make one with createdb --encoding=UTF8 --template=template0`,
      ),
    )
  if (schema === null)
    found.push(
      problem(
        'search_path 里的模式都不存在；请用 ALTER ROLE … SET search_path 改正',
        'no schema of the search_path exists; mend it with ALTER ROLE … SET search_path',
      ),
    )
  if (role !== 'origin')
    found.push(
      problem(
        `session_replication_role=${role} 会关闭外键；请用 ALTER ROLE … RESET session_replication_role 去掉`,
        `session_replication_role=${role} turns foreign keys off; take it away with ALTER ROLE … RESET session_replication_role`,
      ),
    )
  if (fsync !== 'on')
    found.push(
      warning(
        'fsync=off：断电会丢失已确认的退出登录，还可能损坏数据库',
        'fsync=off: a power cut takes back sign-outs that were acknowledged, and may destroy the database',
      ),
    )
  return found
}

async function ofSqlite(db: Database): Promise<Shortcoming[]> {
  const { rows } = await sql<{ journal_mode: string }>`pragma journal_mode`.execute(db)
  const mode = rows[0]?.journal_mode ?? ''
  if (mode === 'wal') return []
  return [
    problem(
      `SQLite 文件不能使用 WAL（现在是 ${mode}）；请把它放在本地磁盘上，不要放在网络文件系统上`,
      `the SQLite file cannot use WAL (it is ${mode}); put it on a local disk, not on a network file system`,
    ),
  ]
}
