// npm run bench coherence: one server ends sessions, another is asked for them all the time. How long after
// the answer is an ended session still accepted anywhere, with Redis well and with Redis broken in each way?
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
  /** Requests with an ended token, begun after the end was answered. */
  readonly asked: number
  /** Of these, how long after the answer those were begun that were accepted, in ms. */
  readonly accepted: readonly number[]
  /** What was neither accepted nor refused as ended: status -> how often. */
  readonly others: ReadonlyMap<number, number>
  /** How long an end took, in ms. */
  readonly endMs: readonly number[]
}

/** What is broken, and for whom. `ender` ends sessions, `asked` is asked for them. */
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
   * Both have a line to Redis that can be cut. It goes through this process, which is busy: what comes by it
   * comes some ms later.
   */
  readonly hasLines?: true
  /** The ender has another Redis than the asked one, or none. */
  readonly enderRedis?: 'another' | 'none'
  /** Before the ends, while all is well. */
  readonly prepare?: (stage: Stage) => unknown
  readonly begin?: (stage: Stage) => unknown
  readonly end?: (stage: Stage) => unknown
}

const faults: readonly Fault[] = [
  { name: 'nothing is broken' },
  {
    name: 'the line of the server that ends is cut',
    hasLines: true,
    begin: ({ enderLine }) => enderLine.set('refuse'),
    end: ({ enderLine }) => enderLine.set('pass'),
  },
  {
    name: 'the line of the server that is asked goes silent',
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
    name: 'Redis is killed, and comes back with an old data set',
    // It now stores the state from before the ends.
    prepare: ({ redis }) => saveNow(redis),
    begin: async ({ redis }) => {
      await redis.kill('SIGKILL')
      await redis.restart()
    },
  },
  { name: 'the servers have two Redis processes (a fail-over that one missed)', enderRedis: 'another' },
  { name: 'the ender knows of no Redis (a command without the setting)', enderRedis: 'none' },
]

export interface CoherenceOptions {
  /** Makes an empty database and returns its URL. */
  readonly newDatabase: () => Promise<string>
  readonly rounds: number
  /** Sessions that are ended at once in each round. */
  readonly sessions: number
}

/** Each fault in turn, on servers of its own. */
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
    const account = await services.accounts.add({
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

/** All are asked for, the fault begins, all are ended and asked for on and on, the fault ends. */
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

/** Until the server that is asked accepts the session, and remembers it. */
async function becomesGood(server: ServerProcess, token: string): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if ((await statusOf(server, token, 'GET')) === 200) return void (await statusOf(server, token, 'GET'))
    await sleep(50)
  }
  throw new Error('a session that was just made is not accepted')
}

const edges = [1, 10, 50, 100, 250, 500, freshMs]

/** A row for each fault, and how many acceptances after the answer fell into which time. */
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
