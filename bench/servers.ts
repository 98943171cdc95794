// Several servers on one Redis and one database: the CPU of a check, the memory of Redis for the keys whose
// changes it announces to each server, and the announcements that an ended session costs.
import { createClient } from 'redis'
import { openServices } from '../src/app.ts'
import { migrate } from '../src/database/migrate.ts'
import { readSettings } from '../src/settings/settings.ts'
import { type ServerProcess, startProcess } from '../test/support/app.ts'
import type { RedisServer } from '../test/support/services/redis.ts'
import { measureLoad } from './http-load.ts'
import { median } from './median.ts'
import { addRows } from './million-sessions.ts'
import { rotateOrder } from './rotate-order.ts'
import { type Load, measurePipelined, piecesOf } from './workers.ts'

export interface ServersResult {
  readonly servers: number
  readonly requestsPerSecond: number
  /** null without /proc. */
  readonly cpuMicros: number | null
  /** The CPU of a check with one server divided by that with this many. */
  readonly cpuOfOne: number | null
  /** What Redis tracks when each of these servers has every session in its memory. */
  readonly tracked: Tracked
}

/** Of Redis's `INFO`. */
interface Tracked {
  readonly keys: number
  /** Pairs of a key and a connection that has read it. */
  readonly items: number
  /** Memory beyond that of the entries themselves. */
  readonly bytes: number
}

interface Announcements {
  /** For one ended session, to all servers together. */
  readonly perEnd: number
  /** For one ended session, to each server, if it asked for every write under the prefix (`BCAST`). */
  readonly broadcastPerEnd: number
  /** For one session that comes into the cache, likewise. */
  readonly broadcastPerFill: number
}

export interface Servers {
  readonly results: readonly ServersResult[]
  readonly announcements: Announcements
  readonly sessions: number
}

export interface ServersOptions {
  readonly redis: RedisServer
  readonly newDatabase: () => Promise<string>
  readonly counts: readonly number[]
  readonly sessions: number
  readonly ends: number
  readonly rounds: number
  readonly secondsPerRound: number
}

type RedisClient = Awaited<ReturnType<typeof connect>>

const connect = (url: string) => createClient({ url }).connect()

/** Each count is measured with the first servers of the same list. */
export async function benchServers(options: ServersOptions): Promise<Servers> {
  const { redis, counts, sessions, rounds, secondsPerRound } = options
  const environment = { HUFU_DATABASE_URL: await options.newDatabase(), HUFU_REDIS_URL: redis.url }
  const client = await connect(redis.url)
  const servers: ServerProcess[] = []
  try {
    await client.flushAll()
    const tokens = await addSessions(environment, sessions)
    for (let i = 0; i < Math.max(...counts); i++)
      servers.push(await startProcess(environment, { keepOutput: false }))
    const [first] = servers
    if (!first) throw new Error('no count of servers')
    const broadcastPerFill = await broadcasts(redis.url, sessions, () => askEach(first, tokens))
    const tracked = await track(client, servers, tokens)
    const loads = new Map<number, Load[]>(counts.map((count) => [count, []]))
    // Round 0 is a warm-up for the compiler.
    for (let round = 0; round <= rounds; round++)
      for (const count of rotateOrder(counts, round)) {
        const load = await measure(servers.slice(0, count), tokens, secondsPerRound)
        if (round > 0) loads.get(count)?.push(load)
      }
    const ended = tokens.slice(0, options.ends)
    const before = (await trackedNow(client)).items
    const broadcastPerEnd = await broadcasts(redis.url, ended.length, () => end(first, ended))
    const perEnd = (before - (await trackedNow(client)).items) / ended.length
    return {
      results: counts.map((count) => resultOf(count, loads, tracked)),
      announcements: { perEnd, broadcastPerEnd, broadcastPerFill },
      sessions,
    }
  } finally {
    await Promise.all(servers.map((server) => server.stop()))
    await client.flushAll()
    client.destroy()
  }
}

async function addSessions(environment: Record<string, string>, count: number): Promise<string[]> {
  const settings = readSettings(environment)
  const services = await openServices(settings)
  try {
    await migrate(services.db, settings.database.location.kind)
    return await addRows(services.db, count)
  } finally {
    await services.close()
  }
}

/** Checks every token once. */
async function askEach(server: ServerProcess, tokens: readonly string[]): Promise<void> {
  const asked = {
    name: 'GET /user',
    url: server.url,
    pid: undefined,
    requests: tokens.map((token) => ({ path: '/user', headers: { token } })),
    isRight: (body: string) => body.startsWith('{"code":1'),
  }
  await measureLoad(asked, { connections: 64, seconds: 'each once' })
}

/** By number of servers that have read every entry. */
async function track(
  client: RedisClient,
  servers: readonly ServerProcess[],
  tokens: readonly string[],
): Promise<Tracked[]> {
  const entries = (await trackedNow(client)).bytes
  const all: Tracked[] = []
  for (const server of servers) {
    await askEach(server, tokens)
    const now = await trackedNow(client)
    all.push({ ...now, bytes: now.bytes - entries })
  }
  return all
}

async function trackedNow(client: RedisClient): Promise<Tracked> {
  const info = `${await client.info('stats')}\n${await client.info('memory')}`
  const read = (name: string) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1])
  return {
    keys: read('tracking_total_keys'),
    items: read('tracking_total_items'),
    bytes: read('used_memory'),
  }
}

/** The keys, for each of `count`, that Redis announces to a connection in its broadcast mode. */
async function broadcasts(url: string, count: number, work: () => Promise<void>): Promise<number> {
  const client = createClient({ url, RESP: 3, emitInvalidate: true })
  let announced = 0
  client.on('invalidate', () => announced++)
  await client.connect()
  try {
    // The client library has turned on the other mode.
    await client.sendCommand(['CLIENT', 'TRACKING', 'OFF'])
    await client.sendCommand(['CLIENT', 'TRACKING', 'ON', 'BCAST', 'PREFIX', 'hufu:s:'])
    await work()
    // What was announced before comes before the answer.
    await client.ping()
    return announced / count
  } finally {
    client.destroy()
  }
}

async function end(server: ServerProcess, tokens: readonly string[]): Promise<void> {
  for (const token of tokens) {
    const headers = { authorization: `Bearer ${token}` }
    const { status } = await fetch(`${server.url}/v1/session`, { method: 'DELETE', headers })
    if (status !== 204) throw new Error(`a sign-out was answered ${status}`)
  }
}

async function measure(servers: readonly ServerProcess[], tokens: readonly string[], seconds: number) {
  const pids = servers.flatMap(({ child }) => (child.pid === undefined ? [] : [child.pid]))
  const urls = servers.map(({ url }) => url)
  return await measurePipelined(urls, pids, { pieces: piecesOf(tokens), seconds })
}

function resultOf(
  count: number,
  loads: ReadonlyMap<number, readonly Load[]>,
  tracked: readonly Tracked[],
): ServersResult {
  const [ofOne, ours] = [loads.get(1) ?? [], loads.get(count) ?? []]
  const cpu = ours.flatMap(({ cpuMicros }) => (cpuMicros === null ? [] : [cpuMicros]))
  const ratios = ours.flatMap(({ cpuMicros }, round) => {
    const one = ofOne[round]?.cpuMicros ?? null
    return one === null || cpuMicros === null ? [] : [one / cpuMicros]
  })
  return {
    servers: count,
    requestsPerSecond: median(ours.map(({ requestsPerSecond }) => requestsPerSecond)),
    cpuMicros: cpu.length === 0 ? null : median(cpu),
    cpuOfOne: ratios.length === 0 ? null : median(ratios),
    tracked: tracked[count - 1] ?? { keys: 0, items: 0, bytes: 0 },
  }
}
