// The target of the faults: servers, a database and perhaps Redis as real processes, with a proxy between
// each server and each store.
import { openServices } from '../../src/app.ts'
import { codeOf } from '../../src/codes/code-digits.ts'
import { findCode } from '../../src/codes/code-rows.ts'
import { migrate } from '../../src/database/migrate.ts'
import { dialectFor, openDatabase } from '../../src/database/open.ts'
import type { Database } from '../../src/database/schema.ts'
import { readSettings } from '../../src/settings/settings.ts'
import { getOrCreateKey } from '../../src/signing-keys/stored-key.ts'
import { type ServerProcess, startProcess } from '../support/app.ts'
import { freePort } from '../support/services/ports.ts'
import type { RedisServer } from '../support/services/redis.ts'
import type { TcpProxy } from '../support/tcp-proxy.ts'
import type { Server } from './client.ts'
import { createClock } from './clock.ts'

export interface HufuServer extends Server {
  process: ServerProcess
  /** Everything that the server has logged, across restarts. */
  log(): string
  restart(signal: 'SIGKILL' | 'SIGTERM'): Promise<void>
  /** The returned function starts it again. */
  stop(signal: 'SIGKILL' | 'SIGTERM'): Promise<() => Promise<void>>
  /** Shifts its wall clock by an offset from real time. */
  setClock(offsetMs: number): void
  close(): Promise<void>
}

export interface Deployment {
  readonly servers: readonly [HufuServer, ...HufuServer[]]
  /** A direct connection to the database, without a proxy. */
  readonly databaseUrl: string
  readonly db: Database
  /** The last code that was sent to a number. */
  codeOf(phoneNumber: string): Promise<string>
  close(): Promise<void>
}

/** A server with a proxy in front of each store. */
export interface ProxiedServer extends HufuServer {
  readonly databaseProxy: TcpProxy
  readonly redisProxy: TcpProxy
}

export interface ProxiedDeployment extends Deployment {
  readonly servers: readonly [ProxiedServer, ProxiedServer]
  /** The Redis server behind the proxies. */
  readonly redis: RedisServer
  /** Kills the current Redis and points all proxies at this replica. */
  promote(replica: RedisServer): Promise<void>
}

/** @param source the folder whose `src/main.ts` the server runs: this project or a mutant */
export async function startHufu(
  name: string,
  source: string,
  stores: Record<string, string>,
): Promise<HufuServer> {
  const port = await freePort()
  const clock = createClock()
  const environment = {
    HUFU_PORT: String(port),
    // A violation is explained from this log.
    HUFU_LOG_LEVEL: 'warn',
    HUFU_LOG_FORMAT: 'json',
    HUFU_PASSWORD_QUEUE: '1000',
    ...clock.environment,
    ...stores,
  }
  const start = () => startProcess(environment, { source })
  let logBefore = ''
  const server: HufuServer = {
    name,
    url: `http://127.0.0.1:${port}`,
    process: await start(),
    log: () => logBefore + server.process.output(),
    async restart(signal) {
      const startAgain = await server.stop(signal)
      await startAgain()
    },
    async stop(signal) {
      await server.process.stop(signal)
      return async () => {
        const log = server.log()
        server.process = await start()
        logBefore = log
      }
    },
    setClock: (offsetMs) => clock.set(offsetMs, server.process.child),
    async close() {
      await server.process.stop('SIGKILL')
      clock.close()
    },
  }
  return server
}

/** The parts of a deployment that depend on its database alone. */
export function openDeploymentDatabase(
  databaseUrl: string,
): Pick<Deployment, 'databaseUrl' | 'db' | 'codeOf'> {
  const db = openDatabase(dialectFor(databaseUrl, 3))
  return {
    databaseUrl,
    db,
    async codeOf(phoneNumber) {
      const name = { phoneNumber, purpose: 'sign_in' } as const
      const row = await findCode(db, name)
      if (!row) throw new Error(`no code was sent to ${phoneNumber}`)
      return codeOf(await getOrCreateKey(db), { ...name, nonce: row.nonce })
    },
  }
}

/** Creates the tables, and an account with a password for each of these numbers. */
export async function createAccounts(
  databaseUrl: string,
  phoneNumbers: readonly string[],
  password: string,
): Promise<void> {
  const settings = readSettings({ HUFU_DATABASE_URL: databaseUrl })
  const services = await openServices(settings)
  await migrate(services.db, settings.database.location.kind)
  for (const phoneNumber of phoneNumbers)
    await services.accounts.create({ phoneNumber, nickname: null, password })
  await services.close()
}
