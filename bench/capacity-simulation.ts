// The arrivals of a day on one machine: its busiest seconds, a wave after a push message, and the storm after
// an outage. Compares what the database does with what the unit costs predict.
import { setTimeout as sleep } from 'node:timers/promises'
import { ManualClock } from '../src/clock.ts'
import type { Database } from '../src/database/schema.ts'
import { noteUsesEveryMs } from '../src/timing.ts'
import {
  addAccount,
  type Domain,
  openDomain,
  signIn,
  writeUsesEveryMs,
} from '../test/support/in-process-server.ts'
import { sendRedisCommand } from '../test/support/services/redis.ts'
import { written } from './capacity-costs.ts'
import { type Compared, load, type Operation, operations, ratesOf, type UnitCosts } from './capacity-model.ts'

export interface SimulationOptions {
  readonly byHand: Database
  readonly databaseUrl: string
  readonly redisUrl: string
  readonly units: UnitCosts
  readonly users: number
  readonly secondsPerPhase: number
}

const phases = ['peak', 'wave', 'storm'] as const
type Issued = Awaited<ReturnType<typeof signIn>>

export async function simulateDay(options: SimulationOptions): Promise<Compared[]> {
  const { databaseUrl, redisUrl, users, secondsPerPhase } = options
  const clock = new ManualClock(Date.now() - 2 * writeUsesEveryMs)
  let statements = 0
  const domain = await openDomain({ databaseUrl, redisUrl, clock })
  const server = await openDomain({
    databaseUrl,
    redisUrl,
    clock,
    watch: async (step, work) => {
      if (step.startsWith('sql ')) statements++
      return await work()
    },
  })
  const compared: Compared[] = []
  try {
    for (const phase of phases) {
      const rates = ratesOf(users, phase)
      const most = (name: Operation) => Math.ceil(rates.operations[name] * secondsPerPhase * 1.3) + 20
      // They were last used two hours ago; the others now.
      const uses = await issue(domain, most('use'))
      clock.advance(2 * writeUsesEveryMs)
      const misses = await issue(domain, most('miss'))
      const ends = await issue(domain, most('sign-out') + most('sign-in') + most('rotation'))
      for (const { session } of misses) await sendRedisCommand(redisUrl, 'DEL', `hufu:s:${session.id}`)
      const [before, asked] = [await written(options.byHand), statements]
      const done = await arrivals(server, rates.operations, { uses, misses, ends, seconds: secondsPerPhase })
      await sleep(noteUsesEveryMs + 500)
      const after = await written(options.byHand)
      const perSecond = (n: number) => n / secondsPerPhase
      const counted = { checks: 0, operations: done }
      compared.push({
        phase,
        predicted: {
          statements: perSecond(load(counted, options.units, 'statements')),
          rows: perSecond(load(counted, options.units, 'rows')),
          bytes: perSecond(load(counted, options.units, 'bytes')),
        },
        measured: {
          statements: perSecond(statements - asked),
          rows: perSecond(after.rows - before.rows),
          bytes: perSecond(after.bytes - before.bytes),
        },
      })
    }
  } finally {
    await domain.close()
    await server.close()
  }
  return compared
}

async function issue(domain: Domain, count: number): Promise<Issued[]> {
  const issued: Issued[] = []
  while (issued.length < count)
    issued.push(
      ...(await Promise.all(
        Array.from({ length: 4 }, async () => signIn(domain, await addAccount(domain.db))),
      )),
    )
  return issued
}

interface Material {
  readonly uses: Issued[]
  readonly misses: Issued[]
  readonly ends: Issued[]
  readonly seconds: number
}

/** Operations begin at random times with these rates, whether or not earlier ones have ended. */
async function arrivals(
  server: Domain,
  rates: Readonly<Record<Operation, number>>,
  { uses, misses, ends, seconds }: Material,
): Promise<Record<Operation, number>> {
  const done: Record<Operation, number> = { 'sign-in': 0, 'sign-out': 0, rotation: 0, miss: 0, use: 0 }
  const work: Record<Operation, () => Promise<unknown> | undefined> = {
    'sign-in': () => from(ends, ({ session }) => signIn(server, session.accountId)),
    'sign-out': () =>
      from(ends, async ({ session: { id, accountId }, token }) => {
        const by = { accountId, sessionId: id, token }
        await server.sessions.end({ id, accountId, reason: 'signed_out', by })
      }),
    rotation: () => from(ends, async ({ token }) => server.verification.rotate(token)),
    miss: () => from(misses, async ({ token }) => server.verification.verify(token)),
    use: () => from(uses, async ({ token }) => server.verification.verify(token)),
  }
  const until = performance.now() + seconds * 1000
  const running: Promise<unknown>[] = []
  const arrive = async (name: Operation) => {
    for (;;) {
      const pauseMs = (-Math.log(1 - Math.random()) / rates[name]) * 1000
      if (performance.now() + pauseMs > until) return
      await sleep(pauseMs)
      const one = work[name]()
      if (!one) throw new Error(`there are too few sessions for: ${name}`)
      running.push(one)
      done[name]++
    }
  }
  await Promise.all(operations.map(arrive))
  await Promise.all(running)
  return done
}

function from(list: Issued[], work: (one: Issued) => Promise<unknown>): Promise<unknown> | undefined {
  const one = list.pop()
  return one && work(one)
}
