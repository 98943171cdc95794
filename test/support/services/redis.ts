/** Redis servers that a test can kill, pause, and restart with their data. */

import { createClient, ErrorReply } from 'redis'
import { getBinary } from './binaries.ts'
import type { TlsFiles } from './certificates.ts'
import { createFolder, removeFolder } from './folders.ts'
import { freePort } from './ports.ts'
import { type ServerProcess, startServer } from './processes.ts'

export type RedisOptions = {
  /** A free one by default. */
  port?: number
  /** The folder of the data set; by default a temporary one, which `stop` removes. */
  dir?: string
  /** `rdb` saves the data set on SAVE and at an orderly end; `none`, the default, never does. */
  save?: 'none' | 'rdb'
  /** It accepts TLS only, also from its replicas and in a cluster. */
  tls?: TlsFiles | undefined
  /** Further arguments for the command line, such as `--appendonly`, `yes`. */
  args?: readonly string[]
}

/** Starts a server and waits until it answers; throws MissingBinary. */
export async function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  const file = getBinary(['redis-server', 'valkey-server'], 'redis-server')
  const port = options.port ?? (await freePort())
  const { tls } = options
  const url = `${tls ? 'rediss' : 'redis'}://127.0.0.1:${port}`
  const dir = options.dir ?? createFolder('redis')
  const save = options.save === 'rdb' ? '3600 1' : ''
  const listening = tls ? tlsSettings(port, tls).flatMap(asWords) : ['--port', `${port}`]
  const fixed = [...listening, '--bind', '127.0.0.1', '--dir', dir, '--save', save]
  const command = { file, args: [...fixed, ...(options.args ?? [])], folder: dir, owner: null }
  const start = () => startServer(command, () => ping(url))
  const end = options.dir === undefined ? () => removeFolder(dir) : () => {}
  return new RedisServer({ url, port, dir, start, end }, await start())
}

type RedisSetting = readonly [name: string, value: string]

const asWords = ([name, value]: RedisSetting): string[] => [`--${name}`, value]

/** The settings of a server or a sentinel that accepts only TLS. */
export function tlsSettings(port: number, { certificate, key, authority }: TlsFiles): RedisSetting[] {
  return [
    ['port', '0'],
    ['tls-port', `${port}`],
    ['tls-cert-file', certificate],
    ['tls-key-file', key],
    ['tls-ca-cert-file', authority],
    ['tls-auth-clients', 'no'],
    ['tls-replication', 'yes'],
    ['tls-cluster', 'yes'],
  ]
}

type Place = { url: string; port: number; dir: string; start: () => Promise<ServerProcess>; end: () => void }

/** A started server. The object stays valid through `kill` and `restart`; only its `pid` changes. */
export class RedisServer {
  readonly url: string
  readonly port: number
  readonly dir: string
  readonly #place: Place
  #process: ServerProcess

  constructor(place: Place, process: ServerProcess) {
    this.url = place.url
    this.port = place.port
    this.dir = place.dir
    this.#place = place
    this.#process = process
  }

  get pid(): number {
    return this.#process.pid
  }

  /** Sends one command on a connection of its own, and returns its reply (RESP2). */
  async command(...words: string[]): Promise<unknown> {
    return await sendRedisCommand(this.url, ...words)
  }

  /**
   * Sends a signal; after SIGKILL and SIGTERM it resolves when the server is dead, after SIGSTOP and SIGCONT
   * at once.
   */
  async kill(signal: 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT'): Promise<void> {
    await this.#process.kill(signal)
  }

  /** Disconnects a replica from its primary without losing its data: it misses all later writes. */
  async stopReplicating(): Promise<void> {
    // It offers a password that the primary refuses.
    await this.command('CONFIG', 'SET', 'masterauth', 'wrong')
    await this.command('CLIENT', 'KILL', 'TYPE', 'master')
  }

  /** Restarts the server on its port with its saved data; a running one ends in order first. */
  async restart(): Promise<void> {
    await this.#process.stop()
    this.#process = await this.#place.start()
  }

  /** Ends the server, also a paused or a dead one, and removes its folder unless the caller gave it. */
  async stop(): Promise<void> {
    await this.#process.stop()
    this.#place.end()
  }
}

async function ping(url: string): Promise<void> {
  await sendRedisCommand(url, 'PING')
}

/**
 * Sends one command on a connection of its own, and returns its reply (RESP2); throws without a reply within
 * 2 s.
 */
export async function sendRedisCommand(url: string, ...words: string[]): Promise<unknown> {
  const client = newCommandClient(url)
  try {
    await client.connect()
    return await client.sendCommand(words)
  } finally {
    client.destroy()
  }
}

/** Sends commands on one connection, which is reopened after it was lost. */
export function openCommandConnection(url: string) {
  let open: Promise<ReturnType<typeof newCommandClient>> | null = null
  const close = async () => {
    const client = await open?.catch(() => null)
    open = null
    client?.destroy()
  }
  const command = async (...words: string[]): Promise<unknown> => {
    // It may have been lost since.
    if ((await open?.catch(() => null))?.isReady === false) await close()
    open ??= newCommandClient(url).connect()
    try {
      return await (await open).sendCommand(words)
    } catch (error) {
      if (!(error instanceof ErrorReply)) await close()
      throw error
    }
  }
  return { command, close }
}

function newCommandClient(url: string) {
  const client = createClient({
    url,
    RESP: 2,
    disableOfflineQueue: true,
    socket: {
      reconnectStrategy: false,
      connectTimeout: 2000,
      socketTimeout: 2000,
      // Some tests use a server with an untrusted certificate.
      ...(url.startsWith('rediss:') && { tls: true, rejectUnauthorized: false }),
    },
  })
  // The client emits errors that it also throws; without a listener they would end the process.
  client.on('error', () => {})
  return client
}
