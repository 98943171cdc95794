// doctor's checks of the database: reachable, up to date, writable, and set as a server needs it.
import { existsSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { sql } from 'kysely'
import { openDatabaseAlone } from '../app/databases.ts'
import { openServices } from '../app.ts'
import { databaseNow } from '../database/database-clock.ts'
import { parseDatabaseUrl } from '../database/database-url.ts'
import { laterMigrations, migrationCount, pendingMigrations } from '../database/migrate.ts'
import { type DatabaseKind, sqlitePath } from '../database/open.ts'
import { refusalOf } from '../database/refused.ts'
import { replicationOf } from '../database/replication.ts'
import { shortcomings } from '../database/requirements.ts'
import type { Database } from '../database/schema.ts'
import { redactUrl } from '../redact-url.ts'
import type { Settings } from '../settings/settings.ts'
import { calledAs } from './called-as.ts'
import { clockFinding } from './doctor-clock.ts'
import type { Finding } from './doctor-finding.ts'
import { databaseTlsFinding } from './doctor-tls.ts'
import { tryWrites } from './doctor-trial-rows.ts'
import { leftBehindWarning } from './left-behind.ts'
import type { Output } from './output.ts'

const lowDiskBytes = 500 * 1024 * 1024

export async function databaseFindings(settings: Settings, output: Output): Promise<Finding[]> {
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
        ? {
            check: 'schema',
            status: 'ok',
            text: currentText(await laterMigrations(services.db, kind), output),
          }
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
      ...(await replicationFindings(services.db, kind, output)),
      ...clock,
      ...(kind === 'sqlite' ? [diskFinding(where, output)] : []),
    ]
  } catch (error) {
    return [{ check, status: 'problem', text: `${where}: ${failureText(error, output)}` }]
  } finally {
    await services.close()
  }
}

/** What `serve` would say where the database refuses for good. */
function failureText(error: unknown, output: Output): string {
  const refusal = refusalOf(error)
  if (refusal) return output.say(`${refusal.zh}（${refusal.why}）`, `${refusal.en} (${refusal.why})`)
  const why = error instanceof Error ? error.message || error.name : String(error)
  const advice = output.say(
    '请检查 HUFU_DATABASE_URL，以及数据库是否已启动',
    'check HUFU_DATABASE_URL, and that the database is running',
  )
  return `${why}; ${advice}`
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

/** What a fail-over to a replica would lose. */
async function replicationFindings(db: Database, kind: DatabaseKind, output: Output): Promise<Finding[]> {
  const found = await replicationOf(db, kind)
  if (found === null) return []
  const { isWarning, zh, en } = found
  return [{ check: 'replicas', status: isWarning ? 'warning' : 'ok', text: output.say(zh, en) }]
}

/** @param later the migrations of a later version, with which this one works too */
function currentText(later: readonly string[], output: Output): string {
  if (later.length === 0) return output.say('已是最新', 'up to date')
  return output.say(
    `已是最新；更新的版本还做过迁移：${later.join('、')}`,
    `up to date; a later version has migrated further: ${later.join(', ')}`,
  )
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
