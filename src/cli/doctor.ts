// hufu doctor: checks everything that a server depends on, and says what to do.
import { existsSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { sql } from 'kysely'
import { openDatabaseAlone, openServices } from '../app.ts'
import { databaseNow } from '../database/database-clock.ts'
import { parseDatabaseUrl } from '../database/database-url.ts'
import { migrationCount, pendingMigrations } from '../database/migrate.ts'
import { type DatabaseKind, sqlitePath } from '../database/open.ts'
import { shortcomings } from '../database/requirements.ts'
import type { Database } from '../database/schema.ts'
import { redactUrl } from '../redact-url.ts'
import type { Settings } from '../settings/settings.ts'
import { calledAs } from './called-as.ts'
import type { Context } from './context.ts'
import { openFileFindings } from './doctor-files.ts'
import type { Finding } from './doctor-finding.ts'
import type { RedisFacts } from './doctor-redis.ts'
import { databaseTlsFinding, redisTlsFinding } from './doctor-tls.ts'
import { tryWrites } from './doctor-trial-rows.ts'
import { leftBehindWarning } from './left-behind.ts'
import { exitCodes, limitsOffWarning, type Output, testNumbersOverWarning } from './output.ts'
import { shownPrimaries } from './shown-redis.ts'

/** Clocks further apart than this make sessions end early or late, and times in logs hard to compare. */
const clockToleranceMs = 2_000
const lowDiskBytes = 500 * 1024 * 1024

/** `doctor`: exit code 1 where something must be fixed before the server can run. */
export async function doctor({ settings, output }: Context): Promise<number> {
  const findings = [
    settingsFinding(output),
    ...openFileFindings(settings, output),
    ...limitsFindings(settings, output),
    ...proxyFindings(settings, output),
    ...(await databaseFindings(settings, output)),
    ...(await redisFindings(settings, output)),
    smsFinding(settings, output),
    ...testNumberFindings(settings, output),
  ]
  const marks = {
    ok: output.style('green', '✓'),
    warning: output.style('yellow', '!'),
    problem: output.style('red', '✗'),
  }
  for (const { check, status, text: said } of findings) {
    const text = output.hide(said)
    output.line(`${marks[status]} ${check.padEnd(10)} ${text}`)
    output.value({ check, status, text })
  }
  return findings.some(({ status }) => status === 'problem') ? exitCodes.refused : exitCodes.done
}

/** Wrong settings have ended the command already: run.ts reads them first. */
function settingsFinding(output: Output): Finding {
  return {
    check: 'settings',
    status: 'ok',
    text: output.say('所有设置均有效', 'all settings are good'),
  }
}

function limitsFindings({ limits }: Settings, output: Output): Finding[] {
  if (limits.enforcement === 'on') return []
  return [{ check: 'limits', status: 'warning', text: limitsOffWarning(output) }]
}

/**
 * A server that listens to this machine alone gets its phones through a proxy on it. A trial on one machine
 * needs none.
 */
function proxyFindings({ server: { host }, http }: Settings, output: Output): Finding[] {
  const isLocal = host === 'localhost' || host === '::1' || host.startsWith('127.')
  if (!isLocal || http.trustedProxies.length > 0) return []
  const text = output.say(
    '没有设置代理：如果前面有代理，请把它的地址写进 HUFU_TRUSTED_PROXIES，否则所有手机共用它的限额；没有代理时请忽略',
    'no proxy is set: behind one, set its address in HUFU_TRUSTED_PROXIES, or all phones share its limits; without one, ignore this',
  )
  return [{ check: 'proxies', status: 'warning', text }]
}

async function databaseFindings(settings: Settings, output: Output): Promise<Finding[]> {
  const check = 'database'
  const { url, kind } = settings.database.location
  const where = kind === 'sqlite' ? sqlitePath(url) : redactUrl(url)
  if (kind === 'sqlite' && !existsSync(where)) return [newFileFinding(where, output)]
  const services = await openServices({ ...settings, redis: { ...settings.redis, url: null } })
  try {
    await sql`select 1`.execute(services.db)
    const pending = await pendingMigrations(services.db, kind)
    const reached: Finding = {
      check,
      status: 'ok',
      text: `${where} (${await databaseVersion(services.db, kind)})`,
    }
    const schema: Finding =
      pending.length === 0
        ? { check: 'schema', status: 'ok', text: output.say('已是最新', 'up to date') }
        : {
            check: 'schema',
            status: 'warning',
            text: schemaText(pending.length === migrationCount(kind), output),
          }
    const clock =
      kind === 'sqlite'
        ? []
        : [clockFinding('database', (await databaseNow(services.db, kind)) - Date.now(), output)]
    const place = parseDatabaseUrl(url)
    const tls = place.kind === 'sqlite' ? [] : [await databaseTlsFinding(services.db, place, output)]
    const left =
      pending.length === 0
        ? await leftBehindWarning(settings, output, () => openDatabaseAlone(settings))
        : null
    const writes = pending.length === 0 ? await writesFindings(services.db, kind, output) : []
    const lacking = (await shortcomings(services.db, kind)).map(
      ({ isProblem, zh, en }): Finding => ({
        check,
        status: isProblem ? 'problem' : 'warning',
        text: output.say(zh, en),
      }),
    )
    return [
      reached,
      ...lacking,
      ...tls,
      schema,
      ...(left === null ? [] : [{ check, status: 'warning' as const, text: left }]),
      ...writes,
      ...clock,
      ...(kind === 'sqlite' ? [diskFinding(where, output)] : []),
    ]
  } catch (error) {
    const why = error instanceof Error ? error.message || error.name : String(error)
    const advice = output.say(
      '请检查 HUFU_DATABASE_URL，以及数据库是否已启动',
      'check HUFU_DATABASE_URL, and that the database is running',
    )
    return [{ check, status: 'problem', text: `${where}: ${why}; ${advice}` }]
  } finally {
    await services.close()
  }
}

/** A server does not only read: it also needs the permission for each kind of write. */
async function writesFindings(db: Database, kind: DatabaseKind, output: Output): Promise<Finding[]> {
  try {
    await tryWrites(db, kind)
    return []
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    const advice = output.say(
      '服务器需要的写入被拒绝：请按 docs/operations.zh-CN.md 授权',
      'a write that the server needs is refused: grant the rights in docs/operations.md',
    )
    return [{ check: 'database', status: 'problem', text: `${why}; ${advice}` }]
  }
}

/** @param isEmpty no migration has run */
function schemaText(isEmpty: boolean, output: Output): string {
  const migrate = `${calledAs(import.meta.url).command} migrate`
  return isEmpty
    ? output.say(
        `空的：首次启动或 ${migrate} 会建表`,
        `empty; the first start creates the tables, and so does ${migrate}`,
      )
    : output.say(
        `不是最新：启动服务或 ${migrate} 会更新`,
        `not up to date: a start of the server or ${migrate} brings it up to date`,
      )
}

function newFileFinding(path: string, output: Output): Finding {
  const folder = nearestFolder(dirname(path))
  // Permissions are not enough: a file system may be read-only or full, or may refuse files.
  const trial = join(folder, `.hufu-doctor-${process.pid}`)
  try {
    writeFileSync(trial, '', { flag: 'wx' })
    rmSync(trial)
    return {
      check: 'database',
      status: 'ok',
      text: output.say(`${path} 将在首次启动时创建`, `${path} will be made at the first start`),
    }
  } catch {
    return {
      check: 'database',
      status: 'problem',
      text: output.say(
        `不能在 ${folder} 创建文件：请修改权限或 HUFU_DATABASE_URL`,
        `cannot make a file in ${folder}: change its permissions or HUFU_DATABASE_URL`,
      ),
    }
  }
}

function nearestFolder(path: string): string {
  return existsSync(path) ? path : nearestFolder(dirname(path))
}

function diskFinding(path: string, output: Output): Finding {
  const { bavail, bsize } = statfsSync(dirname(path))
  const free = bavail * bsize
  const text = output.say(
    `剩余 ${Math.round(free / 1024 / 1024)} MiB`,
    `${Math.round(free / 1024 / 1024)} MiB free`,
  )
  if (free >= lowDiskBytes) return { check: 'disk', status: 'ok', text }
  return {
    check: 'disk',
    status: 'warning',
    text: `${text}; ${output.say('请清理磁盘：写满后无法登录', 'make room: sign-ins fail on a full disk')}`,
  }
}

async function databaseVersion(db: Database, kind: DatabaseKind): Promise<string> {
  const version =
    kind === 'sqlite'
      ? sql<{ v: string }>`select sqlite_version() as v`
      : sql<{ v: string }>`select version() as v`
  const { rows } = await version.execute(db)
  return `${kind} ${rows[0]?.v ?? ''}`.slice(0, 80)
}

const clockOwners = {
  database: { zh: '数据库', en: 'the database' },
  redis: { zh: ' Redis ', en: 'Redis' },
} as const

function clockFinding(of: keyof typeof clockOwners, aheadMs: number, output: Output): Finding {
  const { zh, en } = clockOwners[of]
  const text = output.say(
    `${zh}的时钟与本机相差 ${aheadMs} 毫秒`.trim(),
    `the clock of ${en} is ${aheadMs} ms from ours`,
  )
  if (Math.abs(aheadMs) <= clockToleranceMs) return { check: 'clock', status: 'ok', text }
  return {
    check: 'clock',
    status: 'warning',
    text: `${text}; ${output.say('请在每台机器上运行 NTP，例如：timedatectl set-ntp true', 'run NTP on every machine, for example: timedatectl set-ntp true')}`,
  }
}

/** Sends nothing; `sms test` does that. */
function smsFinding({ sms }: Settings, output: Output): Finding {
  const check = 'sms'
  const [first, second] = sms.chosen
  if (first === 'console') {
    return {
      check,
      status: 'warning',
      text: output.say(
        'console：验证码只打印在标准错误里，不会发到手机；上线前请设置 HUFU_SMS',
        'console: codes are printed to standard error and reach no phone; set HUFU_SMS before people use it',
      ),
    }
  }
  const drivers = second
    ? output.say(`${first}，失败时改用 ${second}`, `${first}, and ${second} where it surely did not send`)
    : first
  const advice = output.say('试发一条：hufu sms test <手机号>', 'to try it: hufu sms test <phone>')
  return { check, status: 'ok', text: `${drivers} (${advice})` }
}

function testNumberFindings(settings: Settings, output: Output): Finding[] {
  const text = testNumbersOverWarning(settings, output)
  return text === null ? [] : [{ check: 'sms', status: 'warning', text }]
}

async function redisFindings(settings: Settings, output: Output): Promise<Finding[]> {
  const check = 'redis'
  const { url } = settings.redis
  if (url === null) {
    return [
      {
        check,
        status: 'ok',
        text: output.say('未使用（HUFU_REDIS_URL 为空）', 'not used (HUFU_REDIS_URL is empty)'),
      },
    ]
  }
  const where = redactUrl(url)
  try {
    const { probeRedis } = await import('./doctor-redis.ts')
    const facts = await probeRedis(url)
    const primaries = shownPrimaries(url, facts.primaries, output)
    const found: Finding = {
      check,
      status: 'ok',
      text: `${where} (${[primaries, facts.version, facts.maxmemoryPolicy].filter(Boolean).join(', ')})`,
    }
    const tls = redisTlsFinding(url, facts.primaries, output)
    const advice = redisAdvice(facts, output)
    // A trial would only repeat the advice that is there already.
    if (advice.length === 0) await (await import('./doctor-trial-redis.ts')).tryRedis(url)
    return [
      found,
      tls,
      ...advice,
      ...passwordAdvice(facts, output),
      clockFinding('redis', facts.clockAheadMs, output),
    ]
  } catch (error) {
    return [await redisFailure(where, error, output)]
  }
}

/** An unreachable Redis may come back; one that refuses what the server needs will keep refusing it. */
async function redisFailure(where: string, error: unknown, output: Output): Promise<Finding> {
  const why = error instanceof Error ? error.message || error.name : String(error)
  const { isRefusal } = await import('../redis/refusal.ts')
  if (isRefusal(error)) {
    const advice = output.say(
      'Redis 拒绝了服务器需要的命令：请检查 HUFU_REDIS_URL 里的密码、用户的权限和 Redis 的日志',
      'Redis refuses what the server needs: check the password in HUFU_REDIS_URL, the rights of its user, and the log of Redis',
    )
    return { check: 'redis', status: 'problem', text: `${where}: ${why}; ${advice}` }
  }
  const advice = output.say(
    '检查令牌会直接读数据库；请检查 HUFU_REDIS_URL，以及 Redis 是否已启动',
    'tokens are checked in the database; check HUFU_REDIS_URL, and that Redis is running',
  )
  // A port without TLS takes the handshake for an unfinished command and waits for its end: it does not
  // answer.
  const tlsAdvice = where.startsWith('rediss')
    ? output.say(
        '；如果这个端口没有 TLS，请写 redis:// 而不是 rediss://',
        '; if that port does not speak TLS, write redis:// instead of rediss://',
      )
    : ''
  return { check: 'redis', status: 'warning', text: `${where}: ${why}; ${advice}${tlsAdvice}` }
}

/** The server works with a password that Redis does not have. */
function passwordAdvice({ needsNoPassword }: RedisFacts, output: Output): Finding[] {
  if (!needsNoPassword) return []
  const text = output.say(
    'Redis 没有设置密码：请从 HUFU_REDIS_URL 里去掉密码',
    'Redis has no password; remove it from HUFU_REDIS_URL',
  )
  return [{ check: 'redis', status: 'warning', text }]
}

function redisAdvice(facts: RedisFacts, output: Output): Finding[] {
  const major = Number(facts.version.split('.')[0])
  const [silent, alone] = [facts.silentSentinels, facts.alone].map((addresses) => addresses.join(', '))
  const advice: readonly (readonly [isSo: boolean, zh: string, en: string])[] = [
    [
      major < 6,
      '需要 Redis 6 以上（RESP3 客户端缓存）',
      'Redis 6 or newer is needed (RESP3 client-side caching)',
    ],
    [facts.isReplica, '这是只读副本：请指向主节点', 'this is a replica: point HUFU_REDIS_URL to the primary'],
    [
      facts.isClusterNode,
      '这是集群的一个节点：HUFU_REDIS_URL 请以 redis+cluster:// 开头',
      'this is a node of a cluster: HUFU_REDIS_URL must begin with redis+cluster://',
    ],
    [
      silent !== '',
      `哨兵没有应答，或没有监控这个主节点：${silent}`,
      `sentinels that do not answer, or do not know this primary: ${silent}`,
    ],
    [
      alone !== '',
      `主节点没有副本，故障时没有节点可以接替：${alone}`,
      `without a replica, so that none can take over: ${alone}`,
    ],
    [
      /volatile-(ttl|random)/.test(facts.maxmemoryPolicy),
      'maxmemory-policy 会先淘汰保护标记：请用 noeviction 或 allkeys-lru',
      'maxmemory-policy drops the guarding marks first: use noeviction or allkeys-lru',
    ],
  ]
  return advice
    .filter(([isSo]) => isSo)
    .map(([, zh, en]) => ({ check: 'redis', status: 'warning', text: output.say(zh, en) }))
}
