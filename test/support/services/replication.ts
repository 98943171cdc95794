/** A primary and its replica, on MariaDB or PostgreSQL, and the ways in which the replica takes over. */

import { createConnection, type RowDataPacket } from 'mysql2/promise'
import { Client } from 'pg'
import { startProxy } from '../tcp-proxy.ts'
import {
  createMariadbDatabase,
  followMariadb,
  type Mariadb,
  replicationArgs,
  startMariadb,
  switchOverMariadb,
} from './mariadb.ts'
import { createPostgresDatabase, type Postgres, startPostgres } from './postgres.ts'
import { until } from './until.ts'

/** Servers of which one is the primary. */
export type Replication = {
  /** A database on the first primary, as a user to whom a read-only server says no. */
  readonly databaseUrl: string
  /** Starts a replica of the present primary. */
  addReplica(): Promise<Replica>
  /** Ends all servers. */
  stop(): Promise<void>
}

export type ReplicationOptions = {
  /** A commit is answered when the replica has it (docs/guarantees.md). */
  waits?: boolean
}

type Replica = {
  /** Without a database. */
  readonly url: string
  /** From now on it gets nothing from the primary. It has everything that was committed before the call. */
  cutOff(): Promise<void>
  /** The primary ends, and the replica has taken its place when this resolves. */
  failOver(): Promise<void>
  /**
   * The primary takes no more writes, and the replica has everything and has taken its place when this
   * resolves. A primary of MariaDB keeps its connections; one of PostgreSQL starts again as a standby.
   */
  switchOver(): Promise<void>
  /** Ends the primary whose place it has taken. */
  stopFormer(): Promise<void>
}

type Servers<S> = { primary: S; readonly all: { stop(): Promise<unknown> }[] }

async function stopAll({ all }: Servers<unknown>): Promise<void> {
  for (const one of all.splice(0).reverse()) await one.stop()
}

const semiSync = [
  '--rpl-semi-sync-master-wait-point=AFTER_SYNC',
  '--rpl-semi-sync-master-timeout=31536000000',
  '--rpl-semi-sync-slave-enabled=ON',
]

export async function startMariadbReplication({
  waits = false,
}: ReplicationOptions = {}): Promise<Replication> {
  let count = 0
  const start = () => startMariadb({ args: [...replicationArgs(++count), ...(waits ? semiSync : [])] })
  const primary = await start()
  const servers: Servers<Mariadb> = { primary, all: [primary] }
  return {
    databaseUrl: await createPlainDatabase(primary),
    async addReplica() {
      const former = servers.primary
      const replica = await start()
      servers.all.push(replica)
      await followMariadb(replica, former)
      if (waits) await askMariadb(former.url, 'set global rpl_semi_sync_master_enabled = 1')
      const takesOver = () => {
        servers.primary = replica
      }
      return mariadbReplica(former, replica, takesOver)
    },
    stop: () => stopAll(servers),
  }
}

/** read_only is not for administrators. */
async function createPlainDatabase({ url }: Mariadb): Promise<string> {
  const databaseUrl = await createMariadbDatabase(url)
  const name = databaseUrl.slice(databaseUrl.lastIndexOf('/') + 1)
  await askMariadb(url, "create user plain@'%'", `grant all on ${name}.* to plain@'%'`)
  return databaseUrl.replace('root@', 'plain@')
}

function mariadbReplica(former: Mariadb, replica: Mariadb, takesOver: () => void): Replica {
  return {
    url: replica.url,
    async cutOff() {
      const position = await askMariadb(former.url, 'select @@gtid_binlog_pos')
      await askMariadb(replica.url, `select master_gtid_wait('${position}', 30)`, 'stop slave')
    },
    async failOver() {
      process.kill(former.pid, 'SIGKILL')
      await former.stop()
      await askMariadb(replica.url, 'stop slave', 'reset slave all', 'set global read_only = 0')
      takesOver()
    },
    async switchOver() {
      await switchOverMariadb(former, replica)
      takesOver()
    },
    stopFormer: () => former.stop(),
  }
}

/** Returns the first value of the last answer, as text. */
async function askMariadb(url: string, ...statements: readonly string[]): Promise<string> {
  const connection = await createConnection(url)
  try {
    let last = ''
    for (const sql of statements) {
      const [rows] = await connection.query<RowDataPacket[][]>({ sql, rowsAsArray: true })
      last = String(rows[0]?.[0])
    }
    return last
  } finally {
    connection.destroy()
  }
}

export async function startPostgresReplication({
  waits = false,
}: ReplicationOptions = {}): Promise<Replication> {
  const primary = await startPostgres()
  const servers: Servers<Postgres> = { primary, all: [primary] }
  return {
    databaseUrl: await createPostgresDatabase(primary.url),
    async addReplica() {
      const former = servers.primary
      const stream = await startProxy(former.url)
      servers.all.push({ stop: () => stream.close() })
      const replica = await startPostgres({ standbyOf: stream })
      servers.all.push(replica)
      if (waits) await waitForReplica(former)
      const takesOver = () => {
        servers.primary = replica
      }
      return postgresReplica(former, replica, { cut: () => stream.set('refuse'), takesOver })
    },
    stop: () => stopAll(servers),
  }
}

function postgresReplica(
  former: Postgres,
  replica: Postgres,
  { cut, takesOver }: { readonly cut: () => void; readonly takesOver: () => void },
): Replica {
  return {
    url: replica.url,
    async cutOff() {
      const position = await askPostgres(former.url, 'select pg_current_wal_insert_lsn()')
      const hasAll = `select pg_last_wal_replay_lsn() >= '${position}'`
      await until(async () => (await askPostgres(replica.url, hasAll)) === 'true')
      cut()
    },
    async failOver() {
      await former.stop()
      await replica.promote()
      takesOver()
    },
    async switchOver() {
      // A primary that ends in order sends everything first, but only to a standby that already follows it.
      const follows = "select count(*) from pg_stat_replication where state = 'streaming'"
      await until(async () => (await askPostgres(former.url, follows)) === '1')
      former.becomeStandby()
      await former.restart('SIGINT')
      const end = await askPostgres(former.url, 'select pg_last_wal_replay_lsn()')
      const hasAll = `select pg_last_wal_receive_lsn() >= '${end}'`
      if ((await askPostgres(replica.url, hasAll)) !== 'true')
        throw new Error(`the replica has not received the log of the primary up to its end at ${end}`)
      await replica.promote()
      takesOver()
    },
    stopFormer: () => former.stop(),
  }
}

async function waitForReplica({ url }: Postgres): Promise<void> {
  await askPostgres(url, "alter system set synchronous_standby_names = '*'")
  await askPostgres(url, 'select pg_reload_conf()')
}

/** Returns the first value of the answer to one statement, as text. */
async function askPostgres(serverUrl: string, statement: string): Promise<string> {
  const client = new Client({ connectionString: `${serverUrl}/postgres` })
  await client.connect()
  try {
    const { rows } = await client.query({ text: statement, rowMode: 'array' })
    return String(rows[0]?.[0])
  } finally {
    await client.end()
  }
}
