/** A private PgBouncer in front of a PostgreSQL server. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { getBinary } from './binaries.ts'
import { createFolder, removeFolder } from './folders.ts'
import { freePort } from './ports.ts'
import { findOwner, type Postgres } from './postgres.ts'
import { startServer } from './processes.ts'

export type Pgbouncer = {
  /** `postgres://hufu@127.0.0.1:PORT`, without a database: it forwards each one under its name. */
  readonly url: string
  /** Kills it (SIGKILL) or ends it in order (SIGINT), and starts it again after `downMs`. */
  restart(signal: 'SIGKILL' | 'SIGINT', downMs?: number): Promise<void>
  stop(): Promise<void>
}

/** Starts it with these lines in its section `[pgbouncer]`; throws MissingBinary. */
export async function startPgbouncer(
  server: Pick<Postgres, 'url'>,
  lines: readonly string[],
): Promise<Pgbouncer> {
  const file = getBinary(['pgbouncer'], 'pgbouncer')
  // It refuses to run as root.
  const owner = process.getuid?.() === 0 ? (findOwner('postgres') ?? findOwner('nobody')) : null
  const folder = createFolder('pgbouncer', owner)
  const port = await freePort()
  const configuration = join(folder, 'pgbouncer.ini')
  const { hostname, port: serverPort } = new URL(server.url)
  const text = [
    '[databases]',
    `* = host=${hostname} port=${serverPort}`,
    '[pgbouncer]',
    'listen_addr = 127.0.0.1',
    `listen_port = ${port}`,
    'unix_socket_dir =',
    'auth_type = trust',
    `auth_file = ${join(folder, 'users')}`,
    ...lines,
    '',
  ]
  writeFileSync(configuration, text.join('\n'))
  writeFileSync(join(folder, 'users'), '"hufu" ""\n')
  const url = `postgres://hufu@127.0.0.1:${port}`
  const command = { file, args: [configuration], folder, owner } as const
  const start = () =>
    startServer(command, async () => {
      const client = new Client({ connectionString: `${url}/postgres`, connectionTimeoutMillis: 2_000 })
      await client.connect()
      await client.end()
    })
  let pooler = await start()
  return {
    url,
    async restart(signal, downMs = 0) {
      await pooler.kill(signal)
      await sleep(downMs)
      pooler = await start()
    },
    async stop() {
      await pooler.stop('SIGINT')
      removeFolder(folder)
    },
  }
}
