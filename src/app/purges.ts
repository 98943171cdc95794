// The deletion of all data that expires.
import type { AccountLifecycle } from '../accounts/lifecycle.ts'
import { deleteOldChanges } from '../changes/feed.ts'
import type { Clock } from '../clock.ts'
import type { Codes } from '../codes/codes.ts'
import { databaseNow } from '../database/database-clock.ts'
import { type PurgeStep, Purges } from '../database/purges.ts'
import type { Database } from '../database/schema.ts'
import { deleteEventsBefore } from '../events/event-rows.ts'
import { deleteExpiredCounters } from '../limits/counter-rows.ts'
import type { ServiceKeys } from '../service-keys/service-keys.ts'
import { deleteOldDeviceProofs } from '../sessions/device-proofs.ts'
import { removeOldSessions } from '../sessions/old-sessions.ts'
import type { Settings } from '../settings/settings.ts'

interface PurgeParts {
  readonly db: Database
  readonly lifecycle: AccountLifecycle
  readonly codes: Codes
  readonly keys: ServiceKeys
  readonly settings: Settings
}

interface PurgeClocks {
  readonly clock: Clock
  readonly steady: Clock
  /** For tests: the time that the database reports. */
  readonly databaseNow?: (() => Promise<number>) | undefined
}

export function openPurges(parts: PurgeParts, { clock, steady, databaseNow: askNow }: PurgeClocks): Purges {
  const { db, settings } = parts
  const { kind } = settings.database.location
  const steps = purgeSteps(parts)
  return new Purges({ db, clock, steady, databaseNow: askNow ?? (() => databaseNow(db, kind)), steps })
}

/** Data that grows with time gets its step here. */
function purgeSteps({ db, lifecycle, codes, keys, settings }: PurgeParts): PurgeStep[] {
  const { eventsLifeMs } = settings.accounts
  const events: PurgeStep[] =
    eventsLifeMs === null
      ? []
      : [{ name: 'events', remove: (now, limit) => deleteEventsBefore(db, now - eventsLifeMs, limit) }]
  return [
    { name: 'accounts', remove: (now, limit) => lifecycle.purge(now, limit) },
    {
      name: 'sessions',
      remove: (now, limit) => removeOldSessions(db, { now, limit, keepMs: settings.sessions.keepEndedMs }),
    },
    { name: 'device_proofs', remove: (now, limit) => deleteOldDeviceProofs(db, now, limit) },
    { name: 'codes', remove: (now, limit) => codes.deleteExpired(now, limit) },
    { name: 'account_changes', remove: (now, limit) => deleteOldChanges(db, now, limit) },
    { name: 'limit_counters', remove: (now, limit) => deleteExpiredCounters(db, now, limit) },
    { name: 'service_keys', remove: (now, limit) => keys.deleteOld(now, limit) },
    ...events,
  ]
}
