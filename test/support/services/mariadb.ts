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
  const shared = settings(join(folder, 'data'))
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

/** Creates an empty database with a unique name, and returns its URL. */
export async function createMariadbDatabase(serverUrl: string): Promise<string> {
  const name = `hufu_test_${randomBytes(6).toString('hex')}`
  await ask(serverUrl, (connection) => connection.query(`create database ${name}`), patientMs)
  return `${serverUrl}/${name}`
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
function settings(dataFolder: string): string[] {
  const user = process.getuid?.() === 0 ? ['--user=root'] : []
  return ['--no-defaults', ...user, `--datadir=${dataFolder}`, '--innodb-log-file-size=16M']
}

function serverSettings(port: number, folder: string): string[] {
  return [
    '--skip-networking=0',
    '--bind-address=127.0.0.1',
    `--port=${port}`,
    `--socket=${join(folder, 'socket')}`,
    `--pid-file=${join(folder, 'pid')}`,
    // A starting server removes the temporary tables of every server in the same folder.
    `--tmpdir=${folder}`,
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
  const [rows] = await connection.query({ sql: find, rowsAsArray: true }, [database])
  if (!Array.isArray(rows)) return
  // One that ended by itself in between is no error.
  for (const row of rows) await connection.query(String(row)).catch(() => null)
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
