/** A private MariaDB server with its default isolation level and collation, which real users have too. */

import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Connection, createConnection } from 'mysql2/promise'
import { getBinary } from './binaries.ts'
import type { TlsFiles } from './certificates.ts'
import { createFolder, removeFolder } from './folders.ts'
import { freePort } from './ports.ts'
import { run, startServer } from './processes.ts'

export type Mariadb = {
  /** `mysql://root@127.0.0.1:PORT`, without a database. */
  readonly url: string
  readonly pid: number
  /** Kills it (SIGKILL) or ends it in order (SIGTERM), and starts it again with its data after `downMs`. */
  restart(signal: 'SIGKILL' | 'SIGTERM', downMs?: number): Promise<void>
  stop(): Promise<void>
}

export type MariadbOptions = {
  /** It offers TLS; without this option, only plaintext. */
  tls?: TlsFiles
  /** Further arguments for the command line. */
  args?: readonly string[]
}

/** Starts a server with an empty data folder, which is removed when it stops; throws MissingBinary. */
export async function startMariadb({ tls, args: more = [] }: MariadbOptions = {}): Promise<Mariadb> {
  const file = getBinary(['mariadbd', 'mysqld'], 'mariadb-server')
  const installer = getBinary(['mariadb-install-db', 'mysql_install_db'], 'mariadb-server')
  const folder = createFolder('mariadb')
  const shared = settings(folder)
  const install = [
    ...shared,
    '--auth-root-authentication-method=normal',
    '--skip-name-resolve',
    '--skip-test-db',
  ]
  await run({ file: installer, args: install, folder, owner: null })
  const port = await freePort()
  const url = `mysql://root@127.0.0.1:${port}`
  const speaking = tls ? [`--ssl-cert=${tls.certificate}`, `--ssl-key=${tls.key}`] : []
  const args = [...shared, ...serverSettings(port, folder), ...speaking, ...more]
  const start = () => startServer({ file, args, folder, owner: null }, () => ask(url, ping))
  let server = await start()
  return {
    url,
    get pid() {
      return server.pid
    },
    async restart(signal, downMs = 0) {
      await server.kill(signal)
      await sleep(downMs)
      server = await start()
    },
    async stop() {
      await server.stop()
      removeFolder(folder)
    },
  }
}

/** Makes a server follow another one by GTID, from that one's first event on. Both have `replicationArgs`. */
export async function followMariadb(replica: Mariadb, primary: Mariadb): Promise<void> {
  const { port } = new URL(primary.url)
  await ask(replica.url, async (connection) => {
    await connection.query(
      `change master to master_host = '127.0.0.1', master_port = ${port}, master_user = 'root', master_use_gtid = slave_pos`,
    )
    await connection.query('start slave')
    await connection.query('set global read_only = 1')
  })
}

/** The primary turns read-only and keeps its connections open; the replica catches up and takes over. */
export async function switchOverMariadb(primary: Mariadb, replica: Mariadb): Promise<void> {
  let position = ''
  await ask(primary.url, async (connection) => {
    await connection.query('set global read_only = 1')
    const [rows] = await connection.query({ sql: 'select @@gtid_binlog_pos', rowsAsArray: true })
    position = String(rows)
  })
  await ask(replica.url, async (connection) => {
    await connection.query(`select master_gtid_wait('${position}', 30)`)
    await connection.query('stop slave')
    await connection.query('reset slave all')
    await connection.query('set global read_only = 0')
  })
}

/** What a server needs to be a primary or a replica. `id` differs from that of every other one. */
export function replicationArgs(id: number): string[] {
  return ['--log-bin', '--binlog-format=ROW', '--log-slave-updates', `--server-id=${id}`]
}

/**
 * Creates a database with a unique name, and returns its URL. It is empty, if no statements are given that
 * create its tables.
 */
export async function createMariadbDatabase(
  serverUrl: string,
  statements: readonly string[] = [],
): Promise<string> {
  const name = `hufu_test_${randomBytes(6).toString('hex')}`
  await ask(
    serverUrl,
    async (connection) => {
      await connection.query(`create database ${name}`)
      await connection.query(`use ${name}`)
      for (const statement of statements) await connection.query(statement)
    },
    patientMs,
  )
  return `${serverUrl}/${name}`
}

/** The statements that copy the tables of a database, and their rows, to another one on the same server. */
export async function copyingStatements(url: string): Promise<string[]> {
  const { name } = splitUrl(url)
  // A table may come before the one that its foreign key names.
  const statements = ['set foreign_key_checks = 0']
  await ask(url, async (connection) => {
    for (const [table] of await rowsOf(connection, 'show tables')) {
      const [[, creation = ''] = []] = await rowsOf(connection, `show create table ${table}`)
      const [[count] = []] = await rowsOf(connection, `select count(*) from ${table}`)
      statements.push(creation)
      if (count !== '0') statements.push(`insert into ${table} select * from ${name}.${table}`)
    }
  })
  return statements
}

/** Drops a database that was created here, and closes its open connections. */
export async function dropMariadbDatabase(url: string): Promise<void> {
  const { origin, name } = splitUrl(url)
  await ask(
    origin,
    async (connection) => {
      await endConnections(connection, name)
      await connection.query('set session lock_wait_timeout = 10')
      await connection.query(`drop database if exists ${name}`)
    },
    patientMs,
  )
}

function splitUrl(url: string): { origin: string; name: string } {
  const slash = url.lastIndexOf('/')
  return { origin: url.slice(0, slash), name: url.slice(slash + 1) }
}

/** Options that the installer and the server must share. */
function settings(folder: string): string[] {
  const user = process.getuid?.() === 0 ? ['--user=root'] : []
  return [
    '--no-defaults',
    ...user,
    `--datadir=${join(folder, 'data')}`,
    // A starting server, such as that of the installer, removes the temporary tables of all servers there.
    `--tmpdir=${folder}`,
    '--innodb-log-file-size=16M',
  ]
}

function serverSettings(port: number, folder: string): string[] {
  return [
    '--skip-networking=0',
    '--bind-address=127.0.0.1',
    `--port=${port}`,
    `--socket=${join(folder, 'socket')}`,
    `--pid-file=${join(folder, 'pid')}`,
    '--max-connections=300',
    '--innodb-buffer-pool-size=64M',
    '--innodb-flush-log-at-trx-commit=2',
    '--performance-schema=off',
  ]
}

async function ping(connection: Connection): Promise<void> {
  await connection.ping()
}

async function endConnections(connection: Connection, database: string): Promise<void> {
  const find = 'select concat("kill ", id) from information_schema.processlist where db = ?'
  // One that ended by itself in between is no error.
  for (const [kill = ''] of await rowsOf(connection, find, [database]))
    await connection.query(kill).catch(() => null)
}

/** The rows that a statement returns, each value as text. */
async function rowsOf(connection: Connection, sql: string, values: string[] = []): Promise<string[][]> {
  const [rows] = await connection.query({ sql, rowsAsArray: true }, values)
  return Array.isArray(rows) ? rows.map((row) => Array.from(Object(row), String)) : []
}

/** A server that is polled until it answers is asked again; one that runs on a busy machine is waited for. */
const impatientMs = 2_000
const patientMs = 30_000

async function ask<T>(
  url: string,
  work: (connection: Connection) => Promise<T>,
  connectTimeout = impatientMs,
): Promise<void> {
  const connection = await createConnection({ uri: url, connectTimeout })
  try {
    await work(connection)
  } finally {
    connection.destroy()
  }
}
