// hufu serve: starts the server, prints where it listens, and stops it in order.
import cluster from 'node:cluster'
import { once } from 'node:events'
import { Server } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { openDatabaseAlone } from '../app/databases.ts'
import { openServer, openServices, type Services } from '../app.ts'
import { isReadOnly, isUnusableFile, messageOf } from '../database/failures.ts'
import { sqlitePath, waitForDatabase } from '../database/open.ts'
import { refusalOf } from '../database/refused.ts'
import { shortcomings } from '../database/requirements.ts'
import { AppError } from '../errors.ts'
import { acceptWaiting } from '../http/accept-waiting.ts'
import { connectionLimit } from '../http/connection-limit.ts'
import { backgroundErrorLog, createLog, type Log, type Logger, requestLog, withoutValues } from '../log.ts'
import { redactUrl } from '../redact-url.ts'
import type { RedisReport } from '../redis/connections.ts'
import { readEnvironment } from '../settings/environment.ts'
import { serverSettings } from '../settings/server.ts'
import { SettingsError } from '../settings/setting.ts'
import type { Settings } from '../settings/settings.ts'
import { version } from '../version.ts'
import { calledAs } from './called-as.ts'
import type { Context } from './context.ts'
import { leftBehindWarning } from './left-behind.ts'
import { exitCodes, limitsOffWarning, type Output, testNumbersOverWarning } from './output.ts'
import { logPurges } from './purge.ts'
import { shownRedis } from './shown-redis.ts'
import { exitOnSignalAsProcess1, stopSignal, stopWithinMs, stopWithNpm } from './signals.ts'
import { upgradeDatabase } from './upgrade-database.ts'
import { isFirstWorker, runWorkers, stopMessage, unrefPrimary } from './workers.ts'

/**
 * When the rest of the queue for password hashes is refused after a signal: each of these requests is
 * answered 503 instead of being cut off, and a hash that has begun has time to end.
 */
const refuseHashesAfterMs = stopWithinMs - 2_000
const purgeEveryMs = 3_600_000
/**
 * How long the server still accepts connections after a signal: those that clients had opened by then would
 * otherwise be reset.
 */
const takeConnectionsForMs = 300
const acceptWithinMs = 5_000
/**
 * How long a proxy may take to close its kept-alive connections; deploy/nginx.conf closes unused ones after 2
 * s.
 */
const proxyClosesWithinMs = 3_000
/** How long a start waits for Redis. Without Redis, each check reads the database. */
const redisWithinMs = 5_000

/** `serve`: returns when a signal has stopped the server and every request in flight is answered. */
export async function serve({ settings, output }: Context): Promise<number> {
  const programLog = await createLog(settings, process.stdout.isTTY, output.hide)
  const log = programLog.logger
  exitOnUncaught(log)
  if (!cluster.isWorker) stopWithNpm(readEnvironment())
  if (settings.server.workers === 1)
    return await serveHere({ settings, output }, programLog, { printsStart: true, stopSignal })
  if (!cluster.isWorker) return await runWorkers({ count: settings.server.workers, log })
  try {
    return await serveHere({ settings, output }, programLog, {
      printsStart: isFirstWorker(),
      stopSignal: stopMessage,
    })
  } finally {
    unrefPrimary()
  }
}

const redisLines = {
  ok: 'redis is reachable: checks are answered from the session cache',
  out_of_reach: 'redis is unreachable: checks are answered from the database',
  refused:
    'redis refuses what the server needs: checks are answered from the database; check HUFU_REDIS_URL, the rights of its user, and the log of Redis',
}

interface ServeHooks {
  /** One process of a server prints the start message. */
  readonly printsStart: boolean
  /** Called once, when requests may be in flight. */
  readonly stopSignal: () => Promise<void>
}

async function serveHere(
  { settings, output }: Context,
  programLog: Log,
  { printsStart, stopSignal }: ServeHooks,
): Promise<number> {
  const log = programLog.logger
  exitOnSignalAsProcess1()
  await prepareDatabase(settings, output)
  let redis: RedisReport | null = null
  const services = await openServices(settings, {
    onBackgroundError: backgroundErrorLog(programLog),
    onSmsFailOver: ({ driver, code, vendorCode }) =>
      log.warn(
        { driver, code, gatewayCode: vendorCode },
        'text message refused by one gateway, given to the next',
      ),
    onRedis: (report) => {
      redis = report
      if (report.state === 'ok') log.info(redisLines.ok)
      else log.warn({ err: withoutValues(report.cause) }, redisLines[report.state])
    },
  })
  try {
    let stopping = false
    const server = await openServer(services, settings, {
      log: requestLog(programLog),
      isStopping: () => stopping,
    })
    // This compiles all routes, which blocks the event loop: Redis's replies are not read meanwhile.
    await server.ready()
    await waitForRedis(services)
    // From here on, requests may be in flight; before, a signal just ends the process.
    const signalled = stopSignal()
    const address = await listen(server, settings)
    warnOfFewerConnections(settings, log)
    if (printsStart) process.stderr.write(await startMessage({ address, redis }, settings, output))
    const purging = schedulePurge(services, log)
    await signalled
    clearInterval(purging)
    stopping = true
    log.info('stopping')
    setTimeout(() => process.exit(exitCodes.internal), stopWithinMs).unref()
    setTimeout(() => services.passwords.refuseRest(), refuseHashesAfterMs).unref()
    if (settings.http.trustedProxies.length === 0) {
      await delay(takeConnectionsForMs)
      await acceptWaiting(server.server, acceptWithinMs)
    } else await drainProxyConnections(server)
    // Clients keep a connection open that was busy when the stop began, after its request is answered.
    setInterval(() => server.server.closeIdleConnections(), 50).unref()
    await server.close()
    return exitCodes.done
  } finally {
    await services.close()
  }
}

/**
 * Waits for a short time until the session cache is reachable: if Redis is down, a server that reads the
 * database is better than none. On a busy machine, loading the program alone can take so long that the first
 * connections to Redis time out.
 */
async function waitForRedis({ cache }: Services): Promise<void> {
  const giveUpAt = performance.now() + redisWithinMs
  do {
    // This wait comes before the first check too: a timer of the Redis client finds out that a connection is
    // too old to be trusted.
    await delay(20)
  } while (!cache.isReachable() && performance.now() < giveUpAt)
}

/**
 * Accepts no more connections, and waits until the proxy has closed its kept-alive ones. The proxy sends a
 * refused connection's request to another server, but it cannot repeat a POST that is under way on a
 * connection that this server closes. For the same reason this comes first and not after a wait: a proxy with
 * kept-alive connections opens few new ones, but "connection: close" on every response would make it open one
 * for each request, and those that this server has not accepted when it closes would be reset.
 */
async function drainProxyConnections({ server }: FastifyInstance): Promise<void> {
  await acceptWaiting(server, acceptWithinMs)
  const late = new AbortController()
  const allClosed = once(server, 'close')
  // http.Server's own `close` would end unused connections at once.
  Server.prototype.close.call(server)
  await Promise.race([
    allClosed,
    delay(proxyClosesWithinMs, undefined, { signal: late.signal }).catch(() => {}),
  ])
  late.abort()
}

/**
 * Removes expired data, at the start and every hour. When several servers do it at the same time, only one
 * does the work.
 */
function schedulePurge(services: Services, log: Logger): NodeJS.Timeout {
  const purgeExpired = async () => {
    try {
      logPurges(await services.purgeExpired(), log)
    } catch (error) {
      log.warn({ err: withoutValues(error) }, 'old data not removed')
    }
  }
  void purgeExpired()
  return setInterval(() => void purgeExpired(), purgeEveryMs).unref()
}

/** Waits until the database answers, and upgrades its schema, before anything else reads it. */
async function prepareDatabase(settings: Settings, output: Output): Promise<void> {
  const db = openDatabaseAlone(settings)
  const seconds = settings.database.waitSeconds
  const where = redactUrl(settings.database.location.url)
  try {
    await waitForDatabase(db, seconds, (cause) => {
      const why = messageOf(cause)
      process.stderr.write(
        output.hide(
          output.say(
            `等待数据库 ${where}，最多 ${seconds} 秒：${why}\n`,
            `Waiting up to ${seconds} s for the database at ${where}: ${why}\n`,
          ),
        ),
      )
    })
  } catch (cause) {
    if (isUnusableFile(cause) || isReadOnly(cause) || refusalOf(cause)) throw cause
    const why = messageOf(cause)
    throw new AppError(
      'unavailable',
      {},
      {
        cause: new Error(output.say(`${where}：${why}`, `${where}: ${why}`), { cause }),
      },
    )
  } finally {
    await db.destroy()
  }
  await assertUsable(settings)
  await upgradeDatabase({ settings, output })
}

/** @throws SettingsError where the database lacks a setting that a session cannot set */
async function assertUsable(settings: Settings): Promise<void> {
  const db = openDatabaseAlone(settings)
  try {
    const problem = (await shortcomings(db, settings.database.location.kind)).find(
      ({ isProblem }) => isProblem,
    )
    if (problem)
      throw new SettingsError(`HUFU_DATABASE_URL：${problem.zh}。`, `HUFU_DATABASE_URL: ${problem.en}.`)
  } finally {
    await db.destroy()
  }
}

async function listen(server: FastifyInstance, { server: { host, port } }: Settings): Promise<string> {
  try {
    return await server.listen({ host, port })
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error)) throw error
    const { zh, en } = cannotListen(String(error.code), host, port)
    throw new SettingsError(zh, en)
  }
}

function cannotListen(code: string, host: string, port: number): { zh: string; en: string } {
  switch (code) {
    case 'EADDRINUSE':
      return {
        zh: `HUFU_PORT ${port} 在 ${host} 上已被别的程序占用；请停掉它，或者换一个端口，例如 HUFU_PORT=${port === 65_535 ? 5001 : port + 1}。`,
        en: `HUFU_PORT ${port} is in use by another program on ${host}; stop it or choose another port, for example HUFU_PORT=${port === 65_535 ? 5001 : port + 1}.`,
      }
    case 'EACCES':
      return {
        zh: `HUFU_PORT：此用户无权使用 1024 以下的端口 ${port}；请换一个，例如 HUFU_PORT=5001，并在前面放反向代理，见 docs/operations.zh-CN.md。`,
        en: `HUFU_PORT: this user may not use port ${port}, which is below 1024; choose another one, for example HUFU_PORT=5001, behind a reverse proxy as in docs/operations.md.`,
      }
    case 'EADDRNOTAVAIL':
      return {
        zh: `HUFU_HOST ${host} 不是这台机器的地址；请写本机的地址，例如 127.0.0.1，或写 0.0.0.0 使用全部地址。`,
        en: `HUFU_HOST ${host} is not an address of this machine; write one that is, for example 127.0.0.1, or 0.0.0.0 for all of them.`,
      }
    default:
      return {
        zh: `HUFU_HOST 和 HUFU_PORT：无法在 ${host} 的端口 ${port} 上监听（${code}）；请只在 HUFU_HOST 里写地址，例如 127.0.0.1，端口写在 HUFU_PORT 里。`,
        en: `HUFU_HOST and HUFU_PORT: cannot listen on ${host}, port ${port} (${code}); write an address alone in HUFU_HOST, for example 127.0.0.1, and the port in HUFU_PORT.`,
      }
  }
}

/**
 * The log warns at the start, because a limit that the system lowers takes effect only on the busiest day.
 */
function warnOfFewerConnections({ capacity: { maxConnections: wanted } }: Settings, log: Logger): void {
  const max = connectionLimit(wanted)
  if (max < wanted)
    log.warn(
      { wanted, max },
      'HUFU_MAX_CONNECTIONS is lowered: raise the limit of open files (LimitNOFILE, ulimit -n)',
    )
}

/**
 * After an uncaught error, the state in memory may be half changed, so the process ends and its supervisor
 * starts a new one.
 */
function exitOnUncaught(log: Logger): void {
  const die = (error: unknown) => {
    log.fatal({ err: error }, 'uncaught fault')
    process.exit(exitCodes.internal)
  }
  process.on('uncaughtException', die)
  process.on('unhandledRejection', die)
}

/** What a server knows when it has started. */
interface Started {
  /** Where it listens. */
  readonly address: string
  /** What the session cache last reported; null: it does not use Redis. */
  readonly redis: RedisReport | null
}

async function startMessage(
  { address, redis }: Started,
  settings: Settings,
  output: Output,
): Promise<string> {
  const database = settings.database.location
  const redisUrl = settings.redis.url
  const data = database.kind === 'sqlite' ? sqlitePath(database.url) : redactUrl(database.url)
  const cache =
    redisUrl === null
      ? database.kind === 'sqlite'
        ? output.say('无（SQLite 不需要）', 'none (SQLite needs none)')
        : output.say('无（每次检查直接读数据库）', 'none (every check asks the database)')
      : shownRedis(redisUrl, redis, output)
  const warnings = [
    settings.limits.enforcement === 'off' ? limitsOffWarning(output) : null,
    testNumbersOverWarning(settings, output),
    await leftBehindWarning(settings, output, () => openDatabaseAlone(settings)).catch(() => null),
  ]
  const called = calledAs(import.meta.url)
  const add = `echo 123456 | ${called.command} accounts add 12345678901 --nickname 测试用户1 --password-stdin --allow-weak-password`
  const signIn = `curl ${address}/login -H 'Content-Type: application/json' -d '{"phone_number":"12345678901","password":"123456"}'`
  return [
    `Hufu 虎符 ${version}  ${address}`,
    `  ${output.say('数据', 'data')}   ${data}`,
    `  Redis  ${cache}`,
    `  ${output.say('文档', 'docs')}   ${address}/docs`,
    ...warnings.filter((warning) => warning !== null).map((warning) => `  ${warning}`),
    output.say('接下来，在另一个终端里：', 'Next, in another terminal:'),
    `  ${add}`,
    ...(settings.classic.isServed ? [`  ${signIn}`] : []),
    `  ${called.demo(settings.server.port === Number(serverSettings.port.default) ? '' : `--url ${address}`)}`,
    '',
  ].join('\n')
}
