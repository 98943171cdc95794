// npm run bench coherence: one server ends sessions while another one is asked for them. For how long after
// the response is an ended session accepted anywhere, with Redis working and with each fault of Redis?
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from 'redis'
import { openServices } from '../src/app.ts'
import { migrate } from '../src/database/migrate.ts'
import { noOrigin } from '../src/events/events.ts'
import { admitKnown } from '../src/sessions/sessions.ts'
import { readSettings } from '../src/settings/settings.ts'
import { freshMs } from '../src/timing.ts'
import { type ServerProcess, startProcess } from '../test/support/app.ts'
import { type RedisServer, startRedis } from '../test/support/services/redis.ts'
import { startProxy, type TcpProxy } from '../test/support/tcp-proxy.ts'

export interface CoherenceResult {
  readonly name: string
  readonly ends: number
  /** Requests with an ended token that started after the end was acknowledged. */
  readonly asked: number
  /** For those that were accepted: the time from the acknowledgement to their start, in ms. */
  readonly accepted: readonly number[]
  /** Responses that neither accept the token nor refuse it as ended: status -> count. */
  readonly others: ReadonlyMap<number, number>
  /** The duration of an end, in ms. */
  readonly endMs: readonly number[]
}

/** A fault and the server that it affects: `ender` ends sessions, `asked` checks them. */
interface Stage {
  readonly ender: ServerProcess
  readonly asked: ServerProcess
  readonly redis: RedisServer
  readonly enderLine: TcpProxy
  readonly askedLine: TcpProxy
}

interface Fault {
  readonly name: string
  /**
   * Both connect to Redis through a proxy that can break the connection. The proxy runs in this busy process,
   * which adds some ms.
   */
  readonly hasLines?: true
  /** The ender uses a different Redis than the asked server, or none. */
  readonly enderRedis?: 'another' | 'none'
  /** Runs before the ends, without a fault. */
  readonly prepare?: (stage: Stage) => unknown
  readonly begin?: (stage: Stage) => unknown
  readonly end?: (stage: Stage) => unknown
}

const faults: readonly Fault[] = [
  { name: 'nothing is broken' },
  {
    name: 'the ending server loses its connection to Redis',
    hasLines: true,
    begin: ({ enderLine }) => enderLine.set('refuse'),
    end: ({ enderLine }) => enderLine.set('pass'),
  },
  {
    name: 'the connection of the checking server to Redis stalls',
    hasLines: true,
    begin: ({ askedLine }) => askedLine.set('stall'),
    end: ({ askedLine }) => askedLine.set('refuse'),
  },
  {
    name: 'Redis is paused (SIGSTOP)',
    begin: ({ redis }) => redis.kill('SIGSTOP'),
    end: ({ redis }) => redis.kill('SIGCONT'),
  },
  {
    name: 'Redis is killed and comes back with an old data set',
    // The data set from before the ends.
    prepare: ({ redis }) => saveNow(redis),
    begin: async ({ redis }) => {
      await redis.kill('SIGKILL')
      await redis.restart()
    },
  },
  { name: 'the servers have two Redis processes (a fail-over that one missed)', enderRedis: 'another' },
  { name: 'the ending process has no Redis (a command without the setting)', enderRedis: 'none' },
]

export interface CoherenceOptions {
  /** Creates an empty database and returns its URL. */
  readonly newDatabase: () => Promise<string>
  readonly rounds: number
  /** The number of sessions that are ended at once in each round. */
  readonly sessions: number
}

/** Each fault, on servers of its own. */
export async function benchCoherence(options: CoherenceOptions): Promise<CoherenceResult[]> {
  const results: CoherenceResult[] = []
  for (const fault of faults) results.push(await underFault(fault, options))
  return results
}

async function underFault(fault: Fault, options: CoherenceOptions): Promise<CoherenceResult> {
  const databaseUrl = await options.newDatabase()
  const [redis, another] = await Promise.all([startRedis({ save: 'rdb' }), startRedis()])
  const endersRedis = fault.enderRedis === 'another' ? another.url : redis.url
  const [enderLine, askedLine] = await Promise.all([startProxy(endersRedis), startProxy(redis.url)])
  const services = await openServices(
    readSettings({ HUFU_DATABASE_URL: databaseUrl, HUFU_REDIS_URL: redis.url }),
  )
  await migrate(services.db, 'mysql')
  const environment = { HUFU_DATABASE_URL: databaseUrl, HUFU_LOG_LEVEL: 'error' }
  const serverOn = (redisUrl: string | null) =>
    startProcess({ ...environment, ...(redisUrl !== null && { HUFU_REDIS_URL: redisUrl }) })
  const [ender, asked] = await Promise.all([
    serverOn(fault.enderRedis === 'none' ? null : fault.hasLines ? enderLine.url : endersRedis),
    serverOn(fault.hasLines ? askedLine.url : redis.url),
  ])
  const stage = { ender, asked, redis, enderLine, askedLine }
  const tally: Tally = { ends: 0, asked: 0, accepted: [], others: new Map(), endMs: [] }
  try {
    for (let round = 0; round < options.rounds; round++) {
      await oneRound(stage, fault, await issueTokens(services, options.sessions), tally)
    }
    return { name: fault.name, ...tally }
  } finally {
    await Promise.all([ender.stop(), asked.stop(), services.close()])
    await Promise.all([enderLine.close(), askedLine.close(), redis.stop(), another.stop()])
  }
}

interface Tally {
  ends: number
  asked: number
  readonly accepted: number[]
  readonly others: Map<number, number>
  readonly endMs: number[]
}

async function issueTokens(
  services: Awaited<ReturnType<typeof openServices>>,
  count: number,
): Promise<string[]> {
  const tokens: string[] = []
  for (let i = 0; i < count; i++) {
    nextNumber++
    const account = await services.accounts.create({
      phoneNumber: `+86${nextNumber}`,
      nickname: null,
      password: null,
    })
    const device = { platform: 'ios', deviceId: null, deviceName: null, appVersion: null, ip: null } as const
    const admit = admitKnown(account.id)
    const issued = await services.sessions.issue({ device, origin: noOrigin, method: 'given', admit })
    if (issued) tokens.push(issued.token)
  }
  return tokens
}

let nextNumber = 13_500_000_000
const askForMs = freshMs + 500

/** Checks all sessions, injects the fault, ends all sessions while checking them, and repairs the fault. */
async function oneRound(stage: Stage, fault: Fault, tokens: readonly string[], tally: Tally): Promise<void> {
  await Promise.all(tokens.map((token) => becomesGood(stage.asked, token)))
  await fault.prepare?.(stage)
  await fault.begin?.(stage)
  await Promise.all(
    tokens.map(async (token) => {
      const began = performance.now()
      if ((await statusOf(stage.ender, token, 'DELETE')) !== 204) return
      const answeredAt = performance.now()
      tally.ends++
      tally.endMs.push(answeredAt - began)
      while (performance.now() - answeredAt < askForMs) {
        const after = performance.now() - answeredAt
        note(tally, await statusOf(stage.asked, token, 'GET'), after)
      }
    }),
  )
  await fault.end?.(stage)
}

async function saveNow({ url }: RedisServer): Promise<void> {
  const client = await createClient({ url }).connect()
  await client.sendCommand(['SAVE'])
  client.destroy()
}

function note(tally: Tally, status: number, afterMs: number): void {
  tally.asked++
  if (status === 200) tally.accepted.push(afterMs)
  else if (status !== 401) tally.others.set(status, (tally.others.get(status) ?? 0) + 1)
}

async function statusOf(server: ServerProcess, token: string, method: 'GET' | 'DELETE'): Promise<number> {
  const answer = await fetch(`${server.url}/v1/session`, {
    method,
    headers: { authorization: `Bearer ${token}` },
  })
  await answer.arrayBuffer()
  return answer.status
}

/** Waits until the checking server accepts the session and has it in its memory. */
async function becomesGood(server: ServerProcess, token: string): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if ((await statusOf(server, token, 'GET')) === 200) return void (await statusOf(server, token, 'GET'))
    await sleep(50)
  }
  throw new Error('a session that was just made is not accepted')
}

const edges = [1, 10, 50, 100, 250, 500, freshMs]

/** A row for each fault: how many requests were accepted, by the time since the acknowledgement. */
export function coherenceTable(results: readonly CoherenceResult[]): string {
  const heads = edges.map((edge, i) => (i === 0 ? `to ${edge} ms` : `to ${edge}`))
  const rows = results.map(({ name, ends, asked, accepted, others, endMs }) => {
    const counts = edges.map(
      (edge, i) => accepted.filter((ms) => ms <= edge && ms > (edges[i - 1] ?? -1)).length,
    )
    const late = accepted.filter((ms) => ms > freshMs).length
    const last = Math.max(0, ...accepted)
    const rest = [...others].map(([status, count]) => `${count} x ${status}`).join(', ')
    const took = [...endMs].sort((a, b) => a - b)
    const cells = [
      name,
      ends,
      asked,
      accepted.length,
      ...counts,
      late,
      accepted.length > 0 ? last.toFixed(0) : '-',
      rest || '-',
      (took[Math.floor(took.length / 2)] ?? Number.NaN).toFixed(0),
    ]
    return `| ${cells.join(' | ')} |`
  })
  return `| fault | ends | asked after | accepted | ${heads.join(' | ')} | later | last, ms | other answers | an end takes, ms |
|---|${'--:|'.repeat(edges.length + 7)}
${rows.join('\n')}
`
}
