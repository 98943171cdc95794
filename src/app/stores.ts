// The session cache and the counters of limits, where the settings put them: in Redis, in the database, or in
// memory.
import type { Dialect } from 'kysely'
import { signInChecks } from '../authentication/methods/methods.ts'
import type { Feed } from '../changes/feed.ts'
import { type Clock, steadyClock } from '../clock.ts'
import { openDatabase, versionReader } from '../database/open.ts'
import type { ServerWatch } from '../database/server-identity.ts'
import { Limiter } from '../limits/limiter.ts'
import { limitsWith } from '../limits/limits.ts'
import { MemoryLimitStore } from '../limits/store-memory.ts'
import { limitConnections, SqlLimitStore } from '../limits/store-sql.ts'
import type { RedisReport } from '../redis/connections.ts'
import { MemorySessionCache } from '../session-cache/memory.ts'
import { NoSessionCache } from '../session-cache/none.ts'
import type { SessionCache } from '../session-cache/session-cache.ts'
import type { Settings } from '../settings/settings.ts'
import { openDialect } from './databases.ts'
import { countriesOf } from './messages.ts'

interface CacheParts {
  readonly feed: Feed
  readonly onRedis?: (report: RedisReport) => void
  readonly cacheEntrySeconds?: number
}

export async function openSessionCache(
  settings: Settings,
  dialect: Dialect,
  { feed, onRedis, cacheEntrySeconds }: CacheParts,
): Promise<SessionCache> {
  const { url, withoutDatabase } = settings.redis
  if (url === null) {
    const readVersion = versionReader(dialect)
    return readVersion ? new MemorySessionCache(readVersion) : new NoSessionCache()
  }
  const { RedisSessionCache } = await import('../session-cache/redis.ts')
  const cache = new RedisSessionCache({
    url,
    feed,
    trustWithoutDatabase: withoutDatabase === 'trust_cache',
    useSeconds: (2 * settings.sessions.writeUsesEveryMs) / 1000,
    ...(cacheEntrySeconds !== undefined && { cacheEntrySeconds }),
    ...(onRedis && { onChange: onRedis }),
  })
  // Redis knows whether a server has read the feed until now.
  await cache.connect()
  await feed.start()
  return cache
}

/**
 * Counters are in the database, where all processes share them and an outage of Redis does not matter. A
 * single server on SQLite keeps them in memory: a write by another connection would invalidate its session
 * cache.
 */
export function openLimiter(
  settings: Settings,
  { clock, watch }: { readonly clock: Clock | undefined; readonly watch: ServerWatch },
): Limiter {
  const { enforcement, smsDailyBudget, allowances, networkFactor } = settings.limits
  const { kind } = settings.database.location
  const smsCountries = countriesOf(settings)
  const options = { checks: signInChecks, smsDailyBudget, smsCountries, allowances, networkFactor }
  const limits = enforcement === 'off' ? [] : limitsWith(options)
  // More than there are connections, because some are counted, in connections of their own, while others
  // compare.
  const inProgressMax = Math.ceil(1.5 * settings.database.pool)
  if (enforcement === 'off' || (kind === 'sqlite' && settings.redis.url === null))
    return new Limiter({
      store: new MemoryLimitStore({ clock: clock ?? steadyClock }),
      limits,
      inProgressMax,
    })
  const db = openDatabase(openDialect({ ...settings.database, pool: limitConnections }, { watch }))
  return new Limiter({ store: new SqlLimitStore({ db, kind, clock }), limits, inProgressMax })
}
