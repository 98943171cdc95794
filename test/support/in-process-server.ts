// The sessions of one server without its HTTP: several of these on one database and one Redis act as several
// servers.

import type { OnBackgroundError } from '../../src/background-errors.ts'
import { Feed } from '../../src/changes/feed.ts'
import { ManualClock } from '../../src/clock.ts'
import { asUnavailable } from '../../src/database/failures.ts'
import { dialectFor, openDatabase, preparedReads, versionReader } from '../../src/database/open.ts'
import type { Database } from '../../src/database/schema.ts'
import { AppError } from '../../src/errors.ts'
import { noOrigin } from '../../src/events/events.ts'
import { newAccountId } from '../../src/ids.ts'
import { MemorySessionCache } from '../../src/session-cache/memory.ts'
import { NoSessionCache } from '../../src/session-cache/none.ts'
import { RedisSessionCache } from '../../src/session-cache/redis.ts'
import type { SessionCache } from '../../src/session-cache/session-cache.ts'
import { AccountWriter } from '../../src/sessions/account-writer.ts'
import { SessionLifetime } from '../../src/sessions/last-seen.ts'
import { admitKnown, type Device, type IssuedSession, Sessions } from '../../src/sessions/sessions.ts'
import { Verification } from '../../src/sessions/verification.ts'
import { pass, type Watcher, watchDialect, watchSessionCache } from './step-faults.ts'

export interface Domain {
  readonly db: Database
  readonly cache: SessionCache
  readonly feed: Feed
  readonly writer: AccountWriter
  readonly sessions: Sessions
  readonly verification: Verification
  readonly clock: ManualClock
  close(): Promise<void>
}

export interface DomainOptions {
  readonly databaseUrl: string
  readonly redisUrl: string | null
  readonly clock?: ManualClock
  readonly watch?: Watcher
  /** A mutant of the writer; the real one by default. */
  readonly Writer?: typeof AccountWriter
  /** Called with the error of a failed write of last uses. */
  readonly onBackgroundError?: OnBackgroundError
}

export const phone: Device = {
  platform: 'ios',
  deviceId: null,
  deviceName: 'iPhone 15',
  appVersion: null,
  ip: null,
}
export const otherPhone: Device = { ...phone, deviceName: 'iPhone 16' }

/** The default of the setting. */
export const writeUsesEveryMs = 3_600_000

/** Last uses are written only where a test moves the clock, and then on a healthy server. */
function throwIt(_work: string, error: unknown): void {
  throw error
}

/** Opens the sessions of one server; every step goes through `watch`. */
export async function openDomain(options: DomainOptions): Promise<Domain> {
  const { databaseUrl, redisUrl, watch = pass, clock = new ManualClock(Date.UTC(2026, 10, 22)) } = options
  const unwatched = dialectFor(databaseUrl, 5)
  const dialect = watchDialect(unwatched, watch)
  const db = openDatabase(dialect)
  const prepareRead = preparedReads(db, dialect)
  const feed = new Feed({ open: () => openDatabase(dialectFor(databaseUrl, 1)), clock })
  const redis = redisUrl === null ? null : new RedisSessionCache({ url: redisUrl, feed })
  await redis?.connect()
  if (redis) await feed.start()
  const readVersion = versionReader(unwatched)
  const embedded = readVersion ? new MemorySessionCache(readVersion) : new NoSessionCache()
  const cache = watchSessionCache(redis ?? embedded, watch)
  const policy = { scope: 'platform', max: 1, whenFull: 'replace_oldest' } as const
  const writer = new (options.Writer ?? AccountWriter)({ db, cache, feed, clock })
  const life = new SessionLifetime(30 * 86_400_000, null)
  const sessions = new Sessions({ db, writer, clock, policy, life, cache })
  const { onBackgroundError = throwIt } = options
  const parts = { db, writer, prepareRead, cache, clock, life, writeEveryMs: writeUsesEveryMs }
  const verification = new Verification({ ...parts, onBackgroundError })
  const close = async () => {
    await writer.close()
    await verification.close()
    await cache.close()
    await feed.close()
    await db.destroy()
  }
  return { db, cache, feed, writer, sessions, verification, clock, close }
}

/** Inserts an account without a password, and returns its id. */
export async function addAccount(db: Database): Promise<string> {
  const id = newAccountId(Date.now())
  await db
    .insertInto('hufu_accounts')
    .values({
      id,
      phone_number: `+86${id.replaceAll('-', '').slice(-16)}`,
      nickname: null,
      password_hash: null,
      registered_at: 0,
      updated_at: 0,
    })
    .execute()
  return id
}

/** Signs the account in; a refusal fails the test. */
export async function signIn(
  { sessions }: Domain,
  accountId: string,
  device: Device = phone,
): Promise<IssuedSession> {
  const issued = await sessions.issue({
    device,
    origin: noOrigin,
    method: 'given',
    admit: admitKnown(accountId),
  })
  if (!issued) throw new Error('the sign-in was refused')
  return issued
}

/**
 * Repeats work that is refused because the server has too much to do at the moment, as a client does. On a
 * busy machine many transactions on one row take longer than the last of them may wait for a connection.
 */
export async function untilAvailable<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work()
    } catch (error) {
      const known = asUnavailable(error)
      if (tries === 20 || !(known instanceof AppError) || known.code !== 'unavailable') throw error
    }
  }
}
