// Two servers, a database and Redis as real processes, with a line of its own from each server to each store.
import { codeOf } from '../../src/codes/code-digits.ts'
import { findCode } from '../../src/codes/code-rows.ts'
import { storedKey } from '../../src/codes/server-key.ts'
import { dialectFor, openDatabase } from '../../src/db/open.ts'
import type { Database } from '../../src/db/schema.ts'
import { type ServerProcess, startProcess } from '../running.ts'
import { createMariadbDatabase, startMariadb } from '../services/mariadb.ts'
import { freePort } from '../services/ports.ts'
import { type RedisServer, startRedis } from '../services/redis.ts'
import { startProxy, type TcpProxy } from '../tcp-proxy.ts'
import type { Server } from './client.ts'

export interface HufuServer extends Server {
  readonly toDatabase: TcpProxy
  readonly toRedis: TcpProxy
  process: ServerProcess
  restart(signal: 'SIGKILL' | 'SIGTERM'): Promise<void>
}

export interface Stage {
  readonly servers: readonly [HufuServer, HufuServer]
  readonly redis: RedisServer
  readonly mariadb: Awaited<ReturnType<typeof startMariadb>>
  /** Straight to the database, past the lines. */
  readonly databaseUrl: string
  readonly db: Database
  /** The code that was sent to a number last. */
  codeOf(phoneNumber: string): Promise<string>
  close(): Promise<void>
}

/** @param source the folder whose `src/main.ts` the servers run: this project, or a copy that was broken on purpose */
export async function openStage(source: string): Promise<Stage> {
  const [mariadb, redis] = await Promise.all([startMariadb(), startRedis({ save: 'rdb' })])
  const databaseUrl = await createMariadbDatabase(mariadb.url)
  const start = (name: string) => startServer(name, source, databaseUrl, redis.url)
  const first = await start('s1')
  const servers = [first, await start('s2')] as const
  const db = openDatabase(dialectFor(databaseUrl, 3))
  return {
    servers,
    redis,
    mariadb,
    databaseUrl,
    db,
    async codeOf(phoneNumber) {
      const name = { phoneNumber, purpose: 'sign_in' } as const
      const row = await findCode(db, name)
      if (!row) throw new Error(`no code was sent to ${phoneNumber}`)
      return codeOf(await storedKey(db), { ...name, nonce: row.nonce })
    },
    async close() {
      await Promise.all(servers.map(({ process }) => process.stop('SIGKILL')))
      await Promise.all(servers.flatMap(({ toDatabase, toRedis }) => [toDatabase.close(), toRedis.close()]))
      await db.destroy()
      await Promise.all([mariadb.stop(), redis.stop()])
    },
  }
}

async function startServer(
  name: string,
  source: string,
  databaseUrl: string,
  redisUrl: string,
): Promise<HufuServer> {
  const [toDatabase, toRedis] = await Promise.all([startProxy(databaseUrl), startProxy(redisUrl)])
  const port = await freePort()
  const environment = {
    HUFU_PORT: String(port),
    HUFU_DATABASE_URL: toDatabase.url,
    HUFU_REDIS_URL: toRedis.url,
    HUFU_LOG_LEVEL: 'silent',
    HUFU_PASSWORD_QUEUE: '1000',
  }
  const start = () => startProcess(environment, { source })
  const server: HufuServer = {
    name,
    url: `http://127.0.0.1:${port}`,
    toDatabase,
    toRedis,
    process: await start(),
    async restart(signal) {
      await server.process.stop(signal)
      server.process = await start()
    },
  }
  return server
}
