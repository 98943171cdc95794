/** A private PostgreSQL server. */

import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, chownSync, copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { getBinary } from './binaries.ts'
import type { TlsFiles } from './certificates.ts'
import { createFolder, type Owner, removeFolder } from './folders.ts'
import { freePort } from './ports.ts'
import { run, startServer } from './processes.ts'

export type Postgres = {
  /** `postgres://hufu@127.0.0.1:PORT`, without a database. */
  readonly url: string
  readonly pid: number
  /** From the next restart on it is a standby: read-only, and here it follows no primary. */
  becomeStandby(): void
  /** Makes a standby the primary. */
  promote(): Promise<void>
  /** Sends a signal to the server and to the process of each connection. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void
  /**
   * Kills all its processes (SIGKILL) or ends it in order (SIGINT), and starts it again with its data after
   * `downMs`.
   */
  restart(signal: 'SIGKILL' | 'SIGINT', downMs?: number): Promise<void>
  stop(): Promise<void>
}

export type PostgresOptions = {
  /** Commits survive a kill. Off by default, because most tests need speed. */
  isDurable?: boolean
  /** 300 by default. */
  maxConnections?: number
  /** It offers TLS; without this option, only plaintext. */
  tls?: TlsFiles
  /** The primary of which it is a streaming standby. */
  standbyOf?: Pick<Postgres, 'url'>
}

/** Starts a server with an empty data folder, which is removed when it stops; throws MissingBinary. */
export async function startPostgres(options: PostgresOptions = {}): Promise<Postgres> {
  const initdb = getBinary(['initdb'], 'postgresql')
  const owner = serverOwner()
  const folder = createFolder('postgres', owner)
  const data = join(folder, 'data')
  await (options.standbyOf
    ? run({ ...copyOf(options.standbyOf, data), folder, owner })
    : run({ file: initdb, args: initArgs(data), folder, owner }))
  const port = await freePort()
  const url = `postgres://hufu@127.0.0.1:${port}`
  if (options.tls) giveCertificate(options.tls, data, owner)
  const args = ['-D', data, '-p', `${port}`, ...settingsFor(options).flatMap((setting) => ['-c', setting])]
  const file = join(dirname(initdb), 'postgres')
  // After SIGKILL its System V shared memory would remain; SIGQUIT ends it as fast.
  const command = { file, args, folder, owner, abort: 'SIGQUIT' } as const
  const start = () => startServer(command, () => ask(url, 'select 1'))
  let server = await start()
  return {
    url,
    get pid() {
      return server.pid
    },
    becomeStandby: () => writeFileSync(join(data, 'standby.signal'), ''),
    promote: () => ask(url, 'select pg_promote()', patientMs),
    signal(signal) {
      // The server first: while it is stopped, it starts no process for a new connection.
      for (const pid of [server.pid, ...childrenOf(server.pid)]) process.kill(pid, signal)
    },
    async restart(signal, downMs = 0) {
      const children = signal === 'SIGKILL' ? childrenOf(server.pid) : []
      await server.kill(signal)
      for (const pid of children) killIfAlive(pid)
      await sleep(downMs)
      server = await start()
    },
    async stop() {
      // SIGTERM would wait for all clients to disconnect ("smart shutdown"); SIGINT disconnects them.
      await server.stop('SIGINT')
      removeFolder(folder)
    },
  }
}

function initArgs(data: string): string[] {
  return ['-D', data, '-A', 'trust', '-U', 'hufu', '--no-sync', '--locale=C', '--encoding=UTF8']
}

/** The command that copies a running primary and sets the copy up as its standby. */
function copyOf(primary: Pick<Postgres, 'url'>, data: string) {
  const { hostname, port } = new URL(primary.url)
  const from = ['-h', hostname, '-p', port, '-U', 'hufu', '--checkpoint=fast', '--no-sync']
  return {
    file: getBinary(['pg_basebackup'], 'postgresql'),
    args: ['-D', data, ...from, '--write-recovery-conf', '--wal-method=stream'],
  }
}

/**
 * Creates a database with a unique name, and returns its URL. It is empty, if no database is named of which
 * it is to be a copy.
 */
export async function createPostgresDatabase(serverUrl: string, template = 'template1'): Promise<string> {
  const name = `hufu_test_${randomBytes(6).toString('hex')}`
  await ask(serverUrl, `create database ${name} template ${template}`, patientMs)
  return `${serverUrl}/${name}`
}

/** Drops a database that was created here, and closes its open connections. */
export async function dropPostgresDatabase(url: string): Promise<void> {
  const slash = url.lastIndexOf('/')
  await ask(url.slice(0, slash), `drop database if exists ${url.slice(slash + 1)} with (force)`, patientMs)
}

/** PostgreSQL refuses a key that others can read. */
function giveCertificate({ certificate, key }: TlsFiles, data: string, owner: Owner | null): void {
  for (const [from, name] of [
    [certificate, 'server.crt'],
    [key, 'server.key'],
  ] as const) {
    const to = join(data, name)
    copyFileSync(from, to)
    chmodSync(to, 0o600)
    if (owner) chownSync(to, owner.uid, owner.gid)
  }
}

function settingsFor({ isDurable = false, maxConnections = 300, tls }: PostgresOptions): string[] {
  return [
    ...(tls ? ['ssl=on'] : []),
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    `max_connections=${maxConnections}`,
    // The system keeps the writes of a killed process; only a power failure would lose them.
    'fsync=off',
    `synchronous_commit=${isDurable ? 'on' : 'off'}`,
    'full_page_writes=off',
  ]
}

/** The processes of connections and the background processes; only Linux lists them. */
function childrenOf(pid: number): number[] {
  const pids = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return pids.split(' ').filter(Boolean).map(Number)
}

/** Processes whose server has died end by themselves some time later. */
function killIfAlive(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {}
}

/** PostgreSQL refuses to run as root, so an unprivileged user runs it. */
function serverOwner(): Owner | null {
  if (process.getuid?.() !== 0) return null
  const owner = findOwner('postgres') ?? findOwner('nobody')
  if (owner === null)
    throw new Error('PostgreSQL does not run as root, and there is no user postgres or nobody')
  return owner
}

export function findOwner(name: string): Owner | null {
  try {
    return { uid: numericId('-u', name), gid: numericId('-g', name) }
  } catch {
    return null
  }
}

function numericId(kind: '-u' | '-g', name: string): number {
  return Number(execFileSync('id', [kind, name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))
}

/** A server that is polled until it answers is asked again; one that runs on a busy machine is waited for. */
const impatientMs = 2_000
const patientMs = 30_000

async function ask(serverUrl: string, sql: string, connectionTimeoutMillis = impatientMs): Promise<void> {
  const client = new Client({ connectionString: `${serverUrl}/postgres`, connectionTimeoutMillis })
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}
