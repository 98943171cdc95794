// Connects the parts of the program, in this order: settings, database and session cache, domain, HTTP.
import type { FastifyInstance } from 'fastify'
import { Accounts } from './accounts/accounts.ts'
import { BarredNumbers } from './accounts/barred-numbers.ts'
import { AccountLifecycle } from './accounts/lifecycle.ts'
import { openDatabaseAlone, openDialect } from './app/databases.ts'
import { openDestinations, openSms } from './app/messages.ts'
import { openPurges } from './app/purges.ts'
import { openLimiter, openSessionCache } from './app/stores.ts'
import { CodeSender } from './authentication/code-sender.ts'
import { Credentials } from './authentication/credentials.ts'
import { signInMethods } from './authentication/methods/methods.ts'
import { SignInService } from './authentication/sign-in.ts'
import type { OnBackgroundError } from './background-errors.ts'
import { Feed } from './changes/feed.ts'
import { type Clock, steadyClock, systemClock } from './clock.ts'
import { Codes } from './codes/codes.ts'
import { asUnavailable, isReadOnlyServer } from './database/failures.ts'
import { openDatabase, preparedReads } from './database/open.ts'
import type { PurgeReport } from './database/purges.ts'
import type { Database } from './database/schema.ts'
import { assertWritable, ServerWatch, serverExpression } from './database/server-identity.ts'
import { connectionLimit } from './http/connection-limit.ts'
import type { HealthParts } from './http/health/health.ts'
import type { RequestLog } from './http/request-log.ts'
import type { Limiter } from './limits/limiter.ts'
import { type HashCost, Passwords } from './passwords/password.ts'
import { NationalNumbers } from './phone/phone.ts'
import { inClass } from './queue-order.ts'
import type { RedisReport } from './redis/connections.ts'
import { KeyAllowance } from './service-keys/key-allowance.ts'
import { KeyCache } from './service-keys/key-cache.ts'
import { KeyUses } from './service-keys/key-uses.ts'
import { KeyVerification } from './service-keys/key-verification.ts'
import { ServiceKeys } from './service-keys/service-keys.ts'
import type { SessionCache } from './session-cache/session-cache.ts'
import { AccountWriter } from './sessions/account-writer.ts'
import { findValidProof } from './sessions/device-proofs.ts'
import { SessionLifetime } from './sessions/last-seen.ts'
import { ProofLookups } from './sessions/proof-lookups.ts'
import { Sessions } from './sessions/sessions.ts'
import { Verification } from './sessions/verification.ts'
import type { Settings } from './settings/settings.ts'
import { keyOfSecret, StoredKey } from './signing-keys/stored-key.ts'
import type { SmsError } from './sms/sms.ts'
import type { SmsSender } from './sms/sms-sender.ts'
import { version } from './version.ts'

/** The domain with its database and its session cache: all that the command line needs. */
export interface Services {
  readonly clock: Clock
  readonly db: Database
  /** Which database server the connections of this process lead to. */
  readonly watch: ServerWatch
  readonly cache: SessionCache
  /** A server runs it, with and without Redis; a command starts it only if it needs it. */
  readonly feed: Feed
  readonly accounts: Accounts
  readonly signIn: SignInService
  readonly credentials: Credentials
  readonly lifecycle: AccountLifecycle
  readonly codeSender: CodeSender
  readonly sessions: Sessions
  readonly verification: Verification
  readonly writer: AccountWriter
  readonly keys: ServiceKeys
  readonly keyVerification: KeyVerification
  /**
   * Completes the pending ends of sessions that a crashed process has left, and deletes expired data if the
   * clocks can be trusted or an operator says so: database/purges.ts.
   */
  purgeExpired(options?: { readonly isClockRight?: boolean }): Promise<PurgeReport[]>
  readonly sms: SmsSender
  readonly limiter: Limiter
  readonly passwords: Passwords
  close(): Promise<void>
}

export interface ServicesOptions {
  readonly clock?: Clock
  /** A steady clock. By default the clock of `clock` where tests give one. */
  readonly steady?: Clock
  /** For tests: the time that the database reports. */
  readonly databaseNow?: () => Promise<number>
  /** Called when Redis becomes reachable, and when it does not answer or refuses commands. */
  readonly onRedis?: (report: RedisReport) => void
  /** Called with the errors of background work. */
  readonly onBackgroundError?: OnBackgroundError
  /** Called when a text message went to the second driver, with the reason why the first one refused it. */
  readonly onSmsFailOver?: (refusal: SmsError) => void
  /** For tests: the work of one password hash. */
  readonly passwordCost?: HashCost
  /** For tests: the lifetime of cache entries. */
  readonly cacheEntrySeconds?: number
}

/** Opens everything but the HTTP server. Migrations are not run here. */
export async function openServices(settings: Settings, options: ServicesOptions = {}): Promise<Services> {
  const { clock = systemClock, onBackgroundError = () => {} } = options
  const watch = new ServerWatch()
  const dialect = openDialect(settings.database, { watch })
  const db = openDatabase(dialect)
  const feed = openFeed(settings, { clock, watch, onBackgroundError })
  const cache = await openSessionCache(settings, dialect, { ...options, feed })
  const writer = new AccountWriter({ db, cache, feed, clock, onBackgroundError })
  const { lifeMs, maxLifeMs, writeUsesEveryMs: writeEveryMs } = settings.sessions
  const life = new SessionLifetime(lifeMs, maxLifeMs)
  const parts = { db, writer, cache, clock, life, writeEveryMs, prepareRead: preparedReads(db, dialect) }
  const sessions = new Sessions({ ...parts, policy: settings.sessions })
  const verification = new Verification({ ...parts, onBackgroundError })
  const limiter = openLimiter(settings, { clock: options.clock, watch })
  const passwords = openPasswords(settings, options.passwordCost)
  const { defaultRegion: region } = settings.phone
  const { signUp, closingMs } = settings.accounts
  const codes = openCodes(settings, { db, clock, feed })
  const barredNumbers = new BarredNumbers(db)
  feed.onHistory(() => barredNumbers.forgetKey())
  const proofs = new ProofLookups((presented) => findValidProof(db, presented))
  const proving = { passwords, barredNumbers, limiter, region }
  const accounts = new Accounts({ db, clock, verification, writer, ...proving })
  const methods = signInMethods({ db, clock, writer, passwords, codes, barredNumbers, region, signUp })
  const signIn = new SignInService({ db, proofs, sessions, limiter, methods })
  const lifecycle = new AccountLifecycle({ db, clock, writer, barredNumbers, closingMs, onBackgroundError })
  const steady = options.steady ?? options.clock ?? steadyClock
  const sms = openSms(settings, clock, { steady, onFailOver: options.onSmsFailOver })
  const sending = { db, proofs, writer, codes, region, signUp, sms, limiter, onBackgroundError }
  const codeSender = new CodeSender({ ...sending, destinations: openDestinations(settings) })
  const keys = new ServiceKeys({ db, feed, clock })
  const keyVerification = openKeyVerification({ db, feed, clock, onBackgroundError })
  const purges = openPurges({ db, lifecycle, codes, keys, settings }, { ...options, clock, steady })
  const tellMoved = tellOldNumber(sms, onBackgroundError)
  const credentials = new Credentials({ db, proofs, writer, codes, ...proving, tellMoved })
  return {
    clock,
    db,
    watch,
    cache,
    feed,
    accounts,
    signIn,
    credentials,
    lifecycle,
    codeSender,
    sessions,
    verification,
    writer,
    keys,
    keyVerification,
    purgeExpired: (how) => writer.pendingEnds.resume().then(() => purges.run(how)),
    sms,
    limiter,
    passwords,
    async close() {
      await codeSender.close()
      await writer.close()
      await lifecycle.settled()
      await verification.close()
      await keyVerification.flush()
      await passwords.close()
      await limiter.close()
      await cache.close()
      await feed.close()
      await db.destroy()
    },
  }
}

function tellOldNumber(sms: SmsSender, onBackgroundError: OnBackgroundError) {
  return (to: string, newNumber: string): void => {
    const sent = sms.send({ to, template: 'phone_changed', newNumber })
    sent.catch((error) => onBackgroundError('tell_old_number', error))
  }
}

interface KeyParts {
  readonly db: Database
  readonly feed: Feed
  readonly clock: Clock
  readonly onBackgroundError: OnBackgroundError
}

function openKeyVerification({ db, feed, clock, onBackgroundError }: KeyParts): KeyVerification {
  const uses = new KeyUses({ db, clock, onBackgroundError })
  return new KeyVerification({ cache: new KeyCache({ db, feed }), uses, clock })
}

interface FeedParts {
  readonly clock: Clock
  readonly watch: ServerWatch
  readonly onBackgroundError: OnBackgroundError
}

function openFeed(settings: Settings, { clock, watch, onBackgroundError }: FeedParts): Feed {
  const onError = (error: unknown) => onBackgroundError('pass_on_change', error)
  const { kind } = settings.database.location
  const server = {
    expression: serverExpression(kind),
    trusts: (text: string) => watch.trusts(text),
    mayHaveLost: () => !watch.isCluster,
  }
  return new Feed({
    open: () => openDatabaseAlone(settings, watch),
    clock,
    ...(kind !== 'sqlite' && { server }),
    onBackgroundError: onError,
  })
}

/** Each worker gets its share of the hashing threads and of their queue. */
function openPasswords({ capacity, server: { workers } }: Settings, cost?: HashCost): Passwords {
  return new Passwords({
    parallel: Math.max(1, Math.floor(capacity.passwordParallel / workers)),
    queue: Math.ceil(capacity.passwordQueue / workers),
    ...(cost && { cost }),
  })
}

interface CodeParts {
  readonly db: Database
  readonly clock: Clock
  readonly feed: Feed
}

function openCodes(settings: Settings, { db, clock, feed }: CodeParts): Codes {
  const { secret, testNumbers, testNumbersUntil } = settings.codes
  const stored = new StoredKey(db, 'codes')
  feed.onHistory(() => stored.forget())
  const given = secret === null ? null : keyOfSecret(secret)
  return new Codes({
    db,
    clock,
    key: async () => given ?? (await stored.get()),
    testNumbers: { codes: testNumbers, until: testNumbersUntil ?? 0 },
  })
}

/**
 * Whether requests can read and write. All that ask while an answer is on its way get that one. It is work of
 * the server itself: a flood of invented tokens that fills the queue for a connection must not make balancers
 * take every server out of use.
 */
function databaseState({ db, watch }: Services, settings: Settings): HealthParts['database'] {
  const { kind } = settings.database.location
  const ask = async () => {
    try {
      await assertWritable(db, kind, watch)
      return 'ok'
    } catch (error) {
      return isReadOnlyServer(error) ? 'read_only' : 'out_of_reach'
    }
  }
  let asked: ReturnType<HealthParts['database']> | null = null
  return () => {
    asked ??= inClass('known', ask).finally(() => {
      asked = null
    })
    return asked
  }
}

/** The HTTP server of these services, not listening yet. */
export async function openServer(
  services: Services,
  settings: Settings,
  parts: { log: RequestLog; isStopping: () => boolean },
): Promise<FastifyInstance> {
  const { accounts, signIn, credentials, lifecycle: accountLifecycle, codeSender, limiter, cache } = services
  const { sessions, verification, keyVerification } = services
  const health: HealthParts = {
    database: databaseState(services, settings),
    redis: () => (settings.redis.url === null ? 'not_used' : cache.state()),
    isStopping: parts.isStopping,
  }
  const classic = settings.classic.isServed && {
    signIn,
    sessions,
    verification,
    numbers: new NationalNumbers(settings.phone.defaultRegion),
    tellsUnknownNumber: settings.classic.tellsUnknownNumber,
  }
  const { log } = parts
  await services.feed.start()
  const { buildServer } = await import('./http/server.ts')
  return await buildServer({
    accounts,
    signIn,
    credentials,
    accountLifecycle,
    codeSender,
    sessions,
    verification,
    keyVerification,
    keyAllowance: new KeyAllowance(settings.capacity.keyLookups, steadyClock),
    limiter,
    clock: { now: () => services.clock.now(), timeZone: settings.texts.timeZone },
    version,
    trustedProxies: settings.http.trustedProxies,
    allowedOrigins: settings.http.allowedOrigins,
    maxConnections: connectionLimit(settings.capacity.maxConnections),
    health,
    log,
    asUnavailable,
    classic: classic || null,
  })
}
