/** A Galera cluster of three MariaDB nodes, each of which can be killed, paused, cut off or held back. */

import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type Connection, createConnection } from 'mysql2/promise'
import { getBinary, MissingBinary } from './binaries.ts'
import { createFolder, type Owner, removeFolder } from './folders.ts'
import { freePort } from './ports.ts'
import { run, type ServerProcess, startServer } from './processes.ts'
import { until } from './until.ts'

export interface GaleraCluster {
  readonly nodes: readonly [GaleraNode, GaleraNode, GaleraNode]
  /** Resolves when every node is in the group of all three and has all of its writes. */
  isWhole(): Promise<void>
  stop(): Promise<void>
}

export interface GaleraNode {
  /** `mysql://root@127.0.0.1:PORT`, without a database. */
  readonly url: string
  readonly pid: number
  /** Runs one statement on a connection of its own, and returns the rows. */
  query(statement: string): Promise<readonly Record<string, unknown>[]>
  /**
   * SIGKILL ends it, SIGTERM ends it in order; SIGSTOP pauses it, so that the others put it out of the group
   * after `suspectMs`.
   */
  kill(signal: 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT'): Promise<void>
  /** Starts it again after its end, and resolves when it has the writes that it missed. */
  start(): Promise<void>
  /**
   * Cuts it off from the other nodes, and not from its clients, and resolves when it has noticed; false: lets
   * it join again.
   */
  cutOff(isCut: boolean): Promise<void>
  /** It receives the writes of other nodes and applies none of them until the returned function is called. */
  holdBack(): Promise<() => Promise<void>>
  /** Whether it is in a group of `size` nodes, with a majority and all of its writes. */
  isSynced(size: number): Promise<boolean>
}

/** After this time without a message from a node, the others go on without it. */
const suspectMs = 1_500

const groupSettings = [
  `evs.suspect_timeout=PT${suspectMs / 1000}S`,
  'evs.inactive_timeout=PT3S',
  'evs.install_timeout=PT3S',
  'evs.keepalive_period=PT0.3S',
  'evs.inactive_check_period=PT0.3S',
  'gmcast.peer_timeout=PT1S',
  'gcache.size=32M',
]

interface Programs {
  readonly server: string
  readonly installer: string
  readonly library: string
}

interface Ports {
  readonly client: number
  readonly group: number
  readonly writes: number
  readonly state: number
}

/** Starts three nodes with empty data, and waits until they are one group; throws MissingBinary. */
export async function startGalera(): Promise<GaleraCluster> {
  const programs = findPrograms()
  const owner = serverOwner()
  const folder = createFolder('galera', owner)
  const ports = [await newPorts(), await newPorts(), await newPorts()] as const
  const group = ports.map((one) => `127.0.0.1:${one.group}`).join(',')
  const nodeAt = (i: 0 | 1 | 2) => {
    const place = makeFolder(join(folder, `node${i + 1}`), owner)
    return new Node({ programs, owner, folder: place, ports: ports[i], group })
  }
  const nodes = [nodeAt(0), nodeAt(1), nodeAt(2)] as const
  const cluster: GaleraCluster = {
    nodes,
    isWhole: () =>
      until(async () => (await Promise.all(nodes.map((node) => node.isSynced(nodes.length)))).every(Boolean)),
    async stop() {
      await Promise.all(nodes.map((node) => node.stop()))
      removeFolder(folder)
    },
  }
  try {
    await nodes[0].install()
    // All begin with the same data at the same position, so that none has to fetch it from another one.
    for (const node of nodes.slice(1)) node.copyDataOf(nodes[0])
    const position = `--wsrep-start-position=${randomUUID()}:0`
    await nodes[0].begin(['--wsrep-new-cluster', position])
    await Promise.all(nodes.slice(1).map((node) => node.begin([position])))
    await cluster.isWhole()
    return cluster
  } catch (error) {
    await cluster.stop()
    throw error
  }
}

/** Why there can be no cluster here; null: there can. With CI=true that is an error. */
export function whyNoGalera(): string | null {
  try {
    findPrograms()
    return null
  } catch (error) {
    if (!(error instanceof MissingBinary) || process.env.CI === 'true') throw error
    console.warn(`skipped: ${error.message}; tests on a Galera cluster do not run`)
    return error.message
  }
}

const libraries = ['/usr/lib/galera/libgalera_smm.so', '/usr/lib/libgalera_smm.so']

function findPrograms(): Programs {
  const library = libraries.find((file) => existsSync(file))
  if (library === undefined)
    throw new MissingBinary('libgalera_smm.so not found (Debian: apt-get install galera-4)')
  // The data of a node that joins comes by rsync.
  getBinary(['rsync'], 'rsync')
  getBinary(['wsrep_sst_rsync'], 'mariadb-server')
  return {
    library,
    server: getBinary(['mariadbd', 'mysqld'], 'mariadb-server'),
    installer: getBinary(['mariadb-install-db', 'mysql_install_db'], 'mariadb-server'),
  }
}

/** As root, rsync gives up its rights, and cannot read a folder that is root's alone. */
function serverOwner(): Owner | null {
  if (process.getuid?.() !== 0) return null
  const id = (kind: '-u' | '-g') => Number(execFileSync('id', [kind, 'mysql'], { encoding: 'utf8' }))
  return { uid: id('-u'), gid: id('-g') }
}

function makeFolder(path: string, owner: Owner | null): string {
  mkdirSync(path, { mode: 0o700 })
  if (owner) execFileSync('chown', [`${owner.uid}:${owner.gid}`, path])
  return path
}

async function newPorts(): Promise<Ports> {
  return {
    client: await freePort(),
    group: await freePort(),
    writes: await freePort(),
    state: await freePort(),
  }
}

interface NodeParts {
  readonly programs: Programs
  readonly owner: Owner | null
  readonly folder: string
  readonly ports: Ports
  /** The addresses of all nodes. */
  readonly group: string
}

class Node implements GaleraNode {
  readonly url: string
  readonly #parts: NodeParts
  #process: ServerProcess | null = null

  constructor(parts: NodeParts) {
    this.#parts = parts
    this.url = `mysql://root@127.0.0.1:${parts.ports.client}`
  }

  get pid(): number {
    return this.#process?.pid ?? 0
  }

  async query(statement: string): Promise<readonly Record<string, unknown>[]> {
    const connection = await this.#connect()
    try {
      const [rows] = await connection.query(statement)
      // A statement without rows returns one object instead of a list.
      return Array.isArray(rows) ? (rows as Record<string, unknown>[]) : []
    } finally {
      connection.destroy()
    }
  }

  async kill(signal: 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT'): Promise<void> {
    await this.#process?.kill(signal)
  }

  async start(): Promise<void> {
    // Otherwise a node that was killed would fetch all data instead of the writes that it missed.
    const position = await this.#lastPosition()
    await this.begin(position === null ? [] : [`--wsrep-start-position=${position}`])
  }

  async cutOff(isCut: boolean): Promise<void> {
    await this.query(`set global wsrep_provider_options = 'gmcast.isolate=${isCut ? 1 : 0}'`)
    // A node that comes back before it has noticed that it is alone may stay alone.
    await until(async () => {
      const [row] = await this.query("show global status like 'wsrep_cluster_status'")
      return (row?.Value !== 'Primary') === isCut
    })
  }

  async holdBack(): Promise<() => Promise<void>> {
    const connection = await this.#connect()
    await connection.query('flush tables with read lock')
    let isOver = false
    return async () => {
      if (isOver) return
      isOver = true
      await connection.query('unlock tables')
      connection.destroy()
    }
  }

  async isSynced(size: number): Promise<boolean> {
    const rows = await this.query("show global status like 'wsrep_%'").catch(() => [])
    const status = new Map(rows.map(({ Variable_name, Value }) => [Variable_name, Value]))
    return (
      status.get('wsrep_ready') === 'ON' &&
      status.get('wsrep_local_state_comment') === 'Synced' &&
      Number(status.get('wsrep_cluster_size')) === size
    )
  }

  async install(): Promise<void> {
    const { programs } = this.#parts
    const args = [...this.#shared(), '--auth-root-authentication-method=normal', '--skip-name-resolve']
    await run({ ...this.#place(), file: programs.installer, args: [...args, '--skip-test-db'] })
  }

  copyDataOf(other: Node): void {
    const folderOf = (node: Node) => join(node.#parts.folder, 'data')
    execFileSync('cp', ['-a', folderOf(other), folderOf(this)])
  }

  /** Starts it, and waits until it answers and has all data of the group. */
  async begin(more: readonly string[] = []): Promise<void> {
    const { programs } = this.#parts
    const args = [...this.#shared(), ...this.#settings(), ...more]
    const isReady = async () => {
      const [row] = await this.query("show global status like 'wsrep_ready'")
      if (row?.Value !== 'ON') throw new Error('it is not ready')
    }
    this.#process = await startServer({ ...this.#place(), file: programs.server, args }, isReady)
    await until(async () => {
      const [row] = await this.query("show global status like 'wsrep_local_state_comment'")
      return row?.Value === 'Synced'
    })
  }

  async stop(): Promise<void> {
    // Nothing of it is needed any more, and an orderly end waits for the other nodes.
    await this.#process?.stop('SIGKILL')
  }

  /** The position of the last write in its data; null: it has no data. */
  async #lastPosition(): Promise<string | null> {
    const { programs, folder } = this.#parts
    const log = join(folder, 'recovery.log')
    const args = [...this.#shared(), ...this.#settings(), '--wsrep-recover', `--log-error=${log}`]
    rmSync(log, { force: true })
    await run({ ...this.#place(), file: programs.server, args })
    return /Recovered position: (\S+:-?\d+)/.exec(readFileSync(log, 'utf8'))?.[1] ?? null
  }

  /**
   * Each node has its own folder for temporary files: this process's own may be closed to the user that the
   * nodes run as, and a server that starts removes the temporary tables of every server in the same folder.
   */
  #place() {
    const { folder, owner } = this.#parts
    return { folder, owner, environment: { TMPDIR: folder } }
  }

  /** What the installer and the server must agree on. */
  #shared(): string[] {
    const { folder } = this.#parts
    return [
      '--no-defaults',
      `--datadir=${join(folder, 'data')}`,
      `--tmpdir=${folder}`,
      '--innodb-log-file-size=16M',
    ]
  }

  #settings(): string[] {
    const { programs, folder, ports, group } = this.#parts
    const { client, group: listen, writes, state } = ports
    const provider = [
      `gmcast.listen_addr=tcp://127.0.0.1:${listen}`,
      `ist.recv_addr=127.0.0.1:${writes}`,
      ...groupSettings,
    ]
    return [
      '--bind-address=127.0.0.1',
      `--port=${client}`,
      `--socket=${join(folder, 'socket')}`,
      `--pid-file=${join(folder, 'pid')}`,
      '--max-connections=200',
      '--innodb-buffer-pool-size=32M',
      '--innodb-flush-log-at-trx-commit=2',
      '--performance-schema=off',
      '--binlog-format=ROW',
      '--innodb-autoinc-lock-mode=2',
      '--wsrep-on=ON',
      `--wsrep-provider=${programs.library}`,
      `--wsrep-provider-options=${provider.join(';')}`,
      `--wsrep-cluster-address=gcomm://${group}`,
      '--wsrep-node-address=127.0.0.1',
      `--wsrep-node-incoming-address=127.0.0.1:${client}`,
      '--wsrep-sst-method=rsync',
      `--wsrep-sst-receive-address=127.0.0.1:${state}`,
    ]
  }

  async #connect(): Promise<Connection> {
    const connection = await createConnection({ uri: this.url, connectTimeout: 2_000 })
    connection.on('error', () => {})
    return connection
  }
}
