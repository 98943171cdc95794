// Compares the cost of a check with a million signed-in accounts to the cost with a thousand, and measures
// the memory of Redis for each of them.
import { sql } from 'kysely'
import { createClient } from 'redis'
import { openServices } from '../src/app.ts'
import type { Database } from '../src/database/schema.ts'
import { newAccountId } from '../src/ids.ts'
import { readSettings } from '../src/settings/settings.ts'
import { startProcess } from '../test/support/app.ts'
import type { RedisServer } from '../test/support/services/redis.ts'
import { addFilledSessions } from './filled-sessions.ts'
import { type Asked, type Load, measureLoad } from './http-load.ts'
import { median } from './median.ts'
import { newSessionRow } from './session-row.ts'
import { issueTokens } from './tokens.ts'

export interface CrowdResult {
  readonly few: number
  readonly many: number
  readonly fewPerSecond: number
  readonly manyPerSecond: number
  /** Bytes of Redis memory for each account. */
  readonly bytesPerSession: number
}

export interface CrowdOptions {
  readonly redis: RedisServer
  readonly newDatabase: () => Promise<string>
  readonly few: number
  readonly many: number
  readonly rounds: number
  readonly secondsPerRound: number
}

/**
 * Two servers on MariaDB and Redis that are asked alternately with equally many tokens; one of them has a
 * million further sessions.
 */
export async function benchCrowd(options: CrowdOptions): Promise<CrowdResult> {
  const { redis, few, many } = options
  const client = await createClient({ url: redis.url }).connect()
  await client.flushAll()
  const before = await usedMemory(client)
  await addFilledSessions(redis.url, many)
  const bytesPerSession = ((await usedMemory(client)) - before) / (await client.dbSize())
  const small = await open(
    { HUFU_DATABASE_URL: await options.newDatabase(), HUFU_REDIS_URL: `${redis.url}/1` },
    few,
  )
  const environment = { HUFU_DATABASE_URL: await options.newDatabase(), HUFU_REDIS_URL: redis.url }
  const large = await open(environment, few, many)
  const loads = { few: [] as Load[], many: [] as Load[] }
  try {
    for (const { asked } of [small, large])
      await measureLoad(asked, { connections: 64, seconds: 'each once' })
    for (let round = 0; round <= options.rounds; round++) {
      const size = { connections: 64, seconds: options.secondsPerRound }
      const taken = [await measureLoad(small.asked, size), await measureLoad(large.asked, size)] as const
      // The first round is for the compiler.
      if (round > 0) loads.few.push(taken[0])
      if (round > 0) loads.many.push(taken[1])
    }
  } finally {
    await Promise.all([small.stop(), large.stop()])
    await client.flushAll()
    client.destroy()
  }
  const perSecond = (list: readonly Load[]) => median(list.map(({ requestsPerSecond }) => requestsPerSecond))
  return {
    few,
    many,
    fewPerSecond: perSecond(loads.few),
    manyPerSecond: perSecond(loads.many),
    bytesPerSession,
  }
}

async function open(environment: Record<string, string>, tokenCount: number, crowd = 0) {
  const tokens = await issueTokens(environment, tokenCount)
  if (crowd > 0) {
    const services = await openServices(readSettings(environment))
    await addRows(services.db, crowd)
    await services.close()
  }
  const server = await startProcess(environment, { keepOutput: false })
  const asked: Asked = {
    name: `GET /user, ${crowd} more`,
    url: server.url,
    pid: server.child.pid,
    requests: tokens.map((token) => ({ path: '/user', headers: { token } })),
    isRight: (body) => body.startsWith('{"code":1'),
  }
  return { asked, stop: () => server.stop() }
}

const rowsAtOnce = 2_000

/** Accounts with one live session each, as sign-ins would have left them; returns the tokens. */
export async function addRows(db: Database, count: number): Promise<string[]> {
  // The tests' server has 64 MB for small tables: a million rows would wait for the disk.
  await sql`set global innodb_buffer_pool_size = ${sql.lit(2 ** 30)}`.execute(db)
  const now = Date.now()
  const tokens: string[] = []
  for (let made = 0; made < count; made += rowsAtOnce) {
    const ids = Array.from({ length: Math.min(rowsAtOnce, count - made) }, () => newAccountId(now))
    const accounts = ids.map((id, i) => ({
      id,
      phone_number: `+86${17_000_000_000 + made + i}`,
      nickname: '测试用户1',
      password_hash: null,
      banned_at: null,
      banned_until: null,
      ban_reason: null,
      registered_at: now,
      updated_at: now,
    }))
    const sessions = ids.map((accountId) => newSessionRow(accountId, now))
    await db.insertInto('hufu_accounts').values(accounts).execute()
    await db
      .insertInto('hufu_sessions')
      .values(sessions.map(({ row }) => row))
      .execute()
    for (const { token } of sessions) tokens.push(token)
  }
  return tokens
}

async function usedMemory(client: { info(section: string): Promise<string> }): Promise<number> {
  return Number(/^used_memory:(\d+)/m.exec(await client.info('memory'))?.[1])
}
