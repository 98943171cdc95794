// The only wiring: settings -> database and copies -> domain -> http.
import type { FastifyInstance } from 'fastify'
import { type Dialect, sql } from 'kysely'
import { Accounts } from './accounts/accounts.ts'
import { Passwords } from './accounts/password.ts'
import { NationalNumbers } from './accounts/phone.ts'
import { type Clock, systemClock } from './clock.ts'
import { asUnavailable } from './db/failures.ts'
import { dialectFor, openDatabase, preparedReads, versionReader } from './db/open.ts'
import type { Database } from './db/schema.ts'
import type { HealthParts } from './http/health.ts'
import type { RequestLog } from './http/request-log.ts'
import { buildServer } from './http/server.ts'
import { Limiter } from './limits/limiter.ts'
import { limitsWith } from './limits/limits.ts'
import { MemoryLimits } from './limits/store-memory.ts'
import { RedisLimits } from './limits/store-redis.ts'
import { Life } from './sessions/activity.ts'
import type { Copies } from './sessions/copies.ts'
import { MemoryCopies } from './sessions/copies-memory.ts'
import { NoCopies } from './sessions/copies-none.ts'
import { RedisCopies } from './sessions/copies-redis.ts'
import { Sessions } from './sessions/sessions.ts'
import { type Settings, SettingsError } from './settings.ts'
import { version } from './version.ts'

/** The domain on its database and its copies: all that the command line needs. */
export interface House {
  readonly db: Database
  readonly copies: Copies
  readonly accounts: Accounts
  readonly sessions: Sessions
  readonly limiter: Limiter
  close(): Promise<void>
}

export interface HouseOptions {
  readonly clock?: Clock
  /** Told when Redis comes into reach, and with a cause when it goes out of reach. */
  readonly onRedis?: (reachable: boolean, cause?: unknown) => void
  /** Told what went wrong off the path of any request. */
  readonly onTrouble?: (error: unknown) => void
  /** For tests: how long copies live. */
  readonly copyLifeSeconds?: number
}

/** Opens everything but the HTTP server. Migrations are not run here. */
export async function openHouse(settings: Settings, options: HouseOptions = {}): Promise<House> {
  const clock = options.clock ?? systemClock
  const dialect = openDialect(settings)
  const db = openDatabase(dialect)
  const [copies, limiter] = await Promise.all([
    openCopies(settings, dialect, options),
    openLimiter(settings, clock),
  ])
  const sessions = new Sessions({
    db,
    prepareRead: preparedReads(db, dialect),
    copies,
    clock,
    policy: { scope: settings.sessionScope, max: settings.sessionMax, whenFull: settings.sessionWhenFull },
    life: new Life(settings.sessionLifeMs, settings.sessionMaxLifeMs),
    onTrouble: options.onTrouble ?? (() => {}),
  })
  const passwords = new Passwords({ parallel: settings.passwordParallel, queue: settings.passwordQueue })
  const accounts = new Accounts({ db, clock, sessions, passwords, limiter, region: settings.region })
  return {
    db,
    copies,
    accounts,
    sessions,
    limiter,
    async close() {
      await sessions.close()
      await limiter.close()
      await copies.close()
      await db.destroy()
    },
  }
}

function openDialect({ database, databasePool }: Settings): Dialect {
  try {
    return dialectFor(database.url, databasePool)
  } catch (error) {
    const why = error instanceof Error ? error.message : error
    throw new SettingsError(`HUFU_DATABASE_URL names a place that cannot be used: ${why}.`)
  }
}

async function openCopies(
  settings: Settings,
  dialect: Dialect,
  { onRedis, copyLifeSeconds }: HouseOptions,
): Promise<Copies> {
  if (settings.redis === null) {
    const readVersion = versionReader(dialect)
    return readVersion ? new MemoryCopies(readVersion) : new NoCopies()
  }
  const copies = new RedisCopies({
    url: settings.redis,
    ...(copyLifeSeconds !== undefined && { copyLifeSeconds }),
    ...(onRedis && { onChange: onRedis }),
  })
  await copies.connect()
  return copies
}

async function openLimiter({ limits, redis, smsDailyBudget }: Settings, clock: Clock): Promise<Limiter> {
  if (limits === 'off') return new Limiter({ store: new MemoryLimits({ clock }), limits: [] })
  const table = limitsWith({ smsDailyBudget })
  if (redis === null) return new Limiter({ store: new MemoryLimits({ clock }), limits: table })
  const store = new RedisLimits(redis)
  await store.connect()
  return new Limiter({ store, limits: table })
}

/** The HTTP server of a house, not listening yet. */
export async function openServer(
  house: House,
  settings: Settings,
  parts: { log: RequestLog; isStopping: () => boolean },
): Promise<FastifyInstance> {
  const { accounts, sessions, db, copies } = house
  const health: HealthParts = {
    askDatabase: () => sql`select 1`.execute(db),
    redis: () => (settings.redis === null ? 'not_used' : copies.isReachable() ? 'ok' : 'out_of_reach'),
    isStopping: parts.isStopping,
  }
  const classic = settings.classicApi && {
    accounts,
    sessions,
    numbers: new NationalNumbers(settings.region),
    tellsUnknownNumber: settings.classicTellsUnknown,
  }
  const { log } = parts
  return await buildServer({
    accounts,
    sessions,
    version,
    trustedProxies: settings.trustedProxies,
    health,
    log,
    asUnavailable,
    classic: classic || null,
  })
}
