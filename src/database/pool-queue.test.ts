// What the queue does around a pool, on pools without a database; test/operations/pool-queue.test.ts has real
// ones.
import type { MysqlPool, PostgresPool } from 'kysely'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { inClass, type QueueClass } from '../queue-order.ts'
import { NoConnection } from './failures.ts'
import { queuedMysqlPool, queuedPostgresPool } from './pool-queue.ts'

interface Connection {
  release(): void
  destroy(): void
}

/** A pool that gives one connection again and again, or the errors that are set. */
class FakePool {
  readonly errors: Error[] = []
  released = 0
  destroyed = 0
  readonly connection: Connection = {
    release: () => void this.released++,
    destroy: () => void this.destroyed++,
  }

  async connect(): Promise<Connection> {
    const error = this.errors.shift()
    if (error) throw error
    return this.connection
  }
}

// The queue uses no other members of a pool.
const kinds = [
  {
    name: 'MySQL',
    queued(pool: FakePool, size: number): () => Promise<Connection> {
      const inner = {
        getConnection: (callback: (error: unknown, connection?: Connection) => void) =>
          void pool.connect().then((one) => callback(null, one), callback),
      }
      const outer = queuedMysqlPool(inner as unknown as MysqlPool, size)
      return () =>
        new Promise((resolve, reject) => {
          outer.getConnection((error, connection) =>
            error ? reject(error) : resolve(connection as unknown as Connection),
          )
        })
    },
  },
  {
    name: 'PostgreSQL',
    queued(pool: FakePool, size: number): () => Promise<Connection> {
      const outer = queuedPostgresPool(pool as unknown as PostgresPool, size)
      return async () => (await outer.connect()) as unknown as Connection
    },
  },
]

afterEach(() => void vi.useRealTimers())

/** The number of pieces of work that have a connection, when all that can happen has happened. */
async function settled(work: readonly Promise<unknown>[]): Promise<number> {
  let given = 0
  for (const one of work)
    one.then(
      () => given++,
      () => {},
    )
  for (let i = 0; i < 20; i++) await Promise.resolve()
  return given
}

const messageOf = (work: Promise<unknown>) =>
  work.then(
    () => 'given',
    (error: Error) => error,
  )

describe.each(kinds)('in front of a pool of $name', ({ queued }) => {
  test('a connection that could not be opened gives its place back', async () => {
    const pool = new FakePool()
    const connect = queued(pool, 1)
    pool.errors.push(...[1, 2, 3].map((i) => new Error(`refused ${i}`)))
    for (const i of [1, 2, 3]) await expect(connect()).rejects.toThrow(`refused ${i}`)
    const first = await connect()
    const second = connect()
    expect(await settled([second])).toBe(0)
    first.release()
    await second
  })

  test('a connection gives its place back once, whether it is released or destroyed', async () => {
    const pool = new FakePool()
    const connect = queued(pool, 1)
    const first = await connect()
    first.release()
    first.release()
    const second = await connect()
    const others = [connect(), connect()]
    expect(await settled(others)).toBe(0)
    second.destroy()
    expect(await settled(others)).toBe(1)
    const last = connect()
    expect(await settled([last])).toBe(0)
    expect([pool.released, pool.destroyed]).toEqual([2, 1])
  })

  test('work waits in the class in which it asked', async () => {
    const connect = queued(new FakePool(), 1)
    const holder = await connect()
    const order: string[] = []
    const ask = async (queueClass: QueueClass) => {
      const connection = await inClass(queueClass, connect)
      order.push(queueClass)
      connection.release()
    }
    const all = (['reading', 'changing', 'counted', 'known'] as const).map(ask)
    await settled(all)
    holder.release()
    await Promise.all(all)
    expect(order).toEqual(['known', 'counted', 'changing', 'reading'])
  })

  test('a full queue refuses at once, or the work that makes room', async () => {
    const connect = queued(new FakePool(), 2)
    const holders = [await connect(), await connect()]
    const waiting = Array.from({ length: 100 }, () => messageOf(inClass('reading', connect)))
    const refused = await messageOf(inClass('reading', connect))
    expect(refused).toBeInstanceOf(NoConnection)
    expect(await settled(waiting)).toBe(0)
    const known = messageOf(inClass('known', connect))
    expect(await waiting[99]).toBeInstanceOf(NoConnection)
    expect(await settled(waiting)).toBe(1)
    for (const holder of holders) holder.release()
    expect(await known).toBe('given')
  })

  test('work that waited for two seconds leaves, with its place', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const connect = queued(new FakePool(), 1)
    const holder = await connect()
    const waiting = Array.from({ length: 50 }, () => messageOf(connect()))
    await settled(waiting)
    vi.advanceTimersByTime(1_999)
    expect(await settled(waiting)).toBe(0)
    vi.advanceTimersByTime(1)
    for (const one of waiting) expect(await one).toBeInstanceOf(NoConnection)
    const later = Array.from({ length: 50 }, () => messageOf(connect()))
    expect(await settled(later)).toBe(0)
    holder.release()
    expect(await later[0]).toBe('given')
    // The one that has its turn waits no longer.
    vi.advanceTimersByTime(10_000)
    expect((await Promise.all(later)).slice(1).every((one) => one instanceof NoConnection)).toBe(true)
  })
})

test('Kysely gets the same object for the same connection of MySQL, because it prepares each once', async () => {
  const connect = kinds[0]?.queued(new FakePool(), 1) ?? expect.fail()
  const first = await connect()
  first.release()
  expect(await connect()).toBe(first)
})
