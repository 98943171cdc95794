// What the database knows of its replicas when it acknowledges a commit. docs/guarantees.md says which
// setting each promise needs. A server's own rights are enough to read all of it.
import { type RawBuilder, sql } from 'kysely'
import type { DatabaseKind } from './open.ts'
import type { Database } from './schema.ts'

/** One sentence in each language, without a full stop. */
export interface Replication {
  /** A fail-over may lose what was answered, or show what is lost; or commits wait in vain. */
  readonly isWarning: boolean
  readonly zh: string
  readonly en: string
}

const good = (zh: string, en: string): Replication => ({ isWarning: false, zh, en })
const warning = (zh: string, en: string): Replication => ({ isWarning: true, zh, en })

const none = good('没有副本连接到这台数据库', 'no replica is connected to this database server')

/** null for SQLite, which has no replicas. @throws the driver's error */
export async function replicationOf(db: Database, kind: DatabaseKind): Promise<Replication | null> {
  if (kind === 'sqlite') return null
  return kind === 'mysql' ? await ofMysql(db) : await ofPostgres(db)
}

function asynchronous(replicas: number): Replication {
  return warning(
    `有 ${replicas} 个副本，复制是异步的：故障切换会丢失最后几次已返回的变更；应设置什么，见 docs/guarantees.zh-CN.md`,
    `${replicas} connected, and replication is asynchronous: a fail-over loses the last changes that were answered; docs/guarantees.md says what to set`,
  )
}

/**
 * The state of a standby is shown to members of pg_monitor only; others see that it is there. Subscribers of
 * logical replication and running backups do not take over.
 */
async function ofPostgres(db: Database): Promise<Replication> {
  const { rows } = await sql<{ level: string; names: string; standbys: number; waited_for: number }>`
    select current_setting('synchronous_commit') as level,
      current_setting('synchronous_standby_names') as names,
      count(pid) as standbys,
      count(pid) filter (where coalesce(sync_state, 'sync') in ('sync', 'quorum')) as waited_for
    from pg_stat_replication
    where state is distinct from 'backup' and application_name is distinct from 'pg_basebackup'
      and pid not in (select active_pid from pg_replication_slots
        where slot_type = 'logical' and active_pid is not null)`.execute(db)
  const { level = '', names = '', standbys = 0, waited_for: waitedFor = 0 } = rows[0] ?? {}
  if (names.trim() === '') return standbys === 0 ? none : asynchronous(standbys)
  const set = `synchronous_commit=${level}, synchronous_standby_names=${names}`
  const needed = standbysNeeded(names)
  if (waitedFor < needed) return tooFew(set, waitedFor, needed)
  return good(`同步复制（${set}），备库 ${standbys} 个`, `synchronous (${set}), ${standbys} connected`)
}

/** How many standbys a commit waits for: `FIRST 2 (a, b)`, `ANY 2 (a, b)`, `2 (a, b)`; a list alone: one. */
function standbysNeeded(names: string): number {
  const [, count = '1'] = /^\s*(?:(?:first|any)\s+)?(\d+)\s*\(/i.exec(names) ?? []
  return Number(count)
}

function tooFew(set: string, connected: number, needed: number): Replication {
  if (connected === 0)
    return warning(
      `同步复制（${set}），但列出的备库都没有连接：每次提交都会一直等待，修改数据的请求返回 503`,
      `synchronous (${set}), but no standby of the list is connected: every commit waits for ${needed === 1 ? 'one' : needed}, and requests that change something are answered 503`,
    )
  const are = connected === 1 ? '1 is' : `${connected} are`
  return warning(
    `同步复制（${set}），每次提交都要等待列出的 ${needed} 个备库，但只连接了 ${connected} 个：修改数据的请求返回 503`,
    `synchronous (${set}), but every commit waits for ${needed} standbys of the list and ${are} connected: requests that change something are answered 503`,
  )
}

async function ofMysql(db: Database): Promise<Replication> {
  const galera = await pairs(db, sql`show global status like 'wsrep\\_cluster\\_size'`)
  const nodes = Number(galera.get('wsrep_cluster_size') ?? 0)
  if (nodes > 0)
    return good(
      `Galera 集群，${nodes} 个节点：每个节点收到之后，提交才返回`,
      `a Galera cluster of ${nodes}: a commit is answered when every node has received it`,
    )
  const status = await pairs(db, sql`show global status like 'rpl\\_semi\\_sync\\_%'`)
  const settings = await pairs(db, sql`show global variables like 'rpl\\_semi\\_sync\\_%'`)
  const replicas = await replicasOfMysql(db)
  if (settings.get('enabled') === 'ON') return semiSynchronous(status, settings)
  if (replicas === 0) return none
  return replicas === null ? unknown : asynchronous(replicas)
}

const unknown = good(
  '复制是异步的；数据库用户看不到有没有副本（需要 REPLICATION SLAVE 权限）',
  'asynchronous; this user of the database cannot see whether a replica is connected (the right REPLICATION SLAVE)',
)

type Pairs = ReadonlyMap<string, string>

function semiSynchronous(status: Pairs, settings: Pairs): Replication {
  const [point, timeout] = [settings.get('wait_point') ?? '', Number(settings.get('timeout')) / 1000]
  const clients = status.get('clients') ?? '0'
  if (status.get('status') !== 'ON')
    return warning(
      `半同步复制已退回异步，因为在 ${timeout} 秒之内没有副本应答（现在有 ${clients} 个）：故障切换会丢失最后几次已返回的变更`,
      `semi-synchronous, but asynchronous at present, because no replica answered within ${timeout} s (${clients} connected): a fail-over loses the last changes that were answered`,
    )
  if (clients === '0')
    return warning(
      `半同步复制（${point}），但没有副本连接：每次提交都会等待，最长 ${timeout} 秒，修改数据的请求返回 503`,
      `semi-synchronous (${point}), but no replica is connected: every commit waits for one, ${timeout} s at most, and requests that change something are answered 503`,
    )
  const facts = [
    `半同步复制（${point}），副本 ${clients} 个；${timeout} 秒之内没有应答就退回异步`,
    `semi-synchronous (${point}), ${clients} connected; asynchronous where none answers within ${timeout} s`,
  ] as const
  if (point === 'AFTER_SYNC') return good(...facts)
  return warning(
    `${facts[0]}；请把 wait_point 设为 AFTER_SYNC，否则副本还没有的变更已经能被看到`,
    `${facts[1]}; set the wait point to AFTER_SYNC, or others see changes that no replica has yet`,
  )
}

/** MariaDB counts its replicas in a status variable. MySQL lists them, to users with a right of their own. */
async function replicasOfMysql(db: Database): Promise<number | null> {
  const counted = (await pairs(db, sql`show global status like 'slaves\\_connected'`)).get('slaves_connected')
  if (counted !== undefined) return Number(counted)
  try {
    return (await sql`show replicas`.execute(db)).rows.length
  } catch {
    return null
  }
}

/** Names in lower case, without the beginning that differs between MariaDB and versions of MySQL. */
async function pairs(db: Database, statement: RawBuilder<unknown>): Promise<Pairs> {
  const { rows } = await statement.$castTo<{ Variable_name: string; Value: string }>().execute(db)
  const nameOf = (name: string) => name.toLowerCase().replace(/^rpl_semi_sync_(master|source)_/, '')
  return new Map(rows.map(({ Variable_name: name, Value: value }) => [nameOf(name), value]))
}
