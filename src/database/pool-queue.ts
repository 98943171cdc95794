// The queue in front of a connection pool: bounded, and shared out among the classes of work.
import type { MysqlPool, PostgresPool } from 'kysely'
import { type NoTurn, WorkQueue } from '../work-queue.ts'
import { NoConnection } from './failures.ts'

/**
 * As many may wait for each connection of a pool. Work takes a connection for about 20 ms, so the last in the
 * queue waits for a second: half of the time after which it would be given up. More could only wait in vain.
 */
const waitingForEach = 50
/** How long work waits for its turn. */
const turnMs = 2_000

const texts: Readonly<Record<NoTurn, string>> = {
  full: 'too many wait for a connection',
  late: `no connection was free for ${turnMs} ms`,
}

/** @param size the connections of the pool */
function queueOf(size: number): WorkQueue {
  return new WorkQueue({
    places: size,
    waitingMax: size * waitingForEach,
    waitMs: turnMs,
    refusal: (reason) => new NoConnection(new Error(texts[reason])),
  })
}

type Callback = (error: unknown, value?: unknown) => void

/** The parts of a connection of either pool that matter here. */
interface Given {
  release: (...args: never[]) => unknown
  destroy?: () => unknown
}

/** Puts the queue in front of a pool for Kysely's MysqlDialect. */
export function queuedMysqlPool(pool: MysqlPool, size: number): MysqlPool {
  const queue = queueOf(size)
  // Kysely prepares each connection object once, so the same connection must always have the same wrapper.
  const wrappers = new WeakMap<object, { readonly outer: object; use: () => void }>()
  const give = (inner: Given) => {
    const wrapper = wrappers.get(inner) ?? wrap(inner, queue)
    wrappers.set(inner, wrapper)
    wrapper.use()
    return wrapper.outer
  }
  const getConnection = (callback: Callback) => {
    queue.enter().then(() => {
      pool.getConnection((error, connection) => {
        if (error) queue.leave()
        // pools.ts gives these members.
        callback(error, error ? undefined : give(connection as unknown as Given))
      })
    }, callback)
  }
  // Kysely's type also has members for streaming and for cancelling queries; neither is used here.
  return { getConnection, end: (callback: Callback) => pool.end(callback) } as unknown as MysqlPool
}

/** Puts the queue in front of a pool for Kysely's PostgresDialect. */
export function queuedPostgresPool(pool: PostgresPool, size: number): PostgresPool {
  const queue = queueOf(size)
  return {
    ...pool,
    async connect() {
      await queue.enter()
      try {
        // pools.ts gives these members, and Kysely uses no others.
        const { outer, use } = wrap((await pool.connect()) as unknown as Given, queue)
        use()
        return outer as Awaited<ReturnType<PostgresPool['connect']>>
      } catch (error) {
        queue.leave()
        throw error
      }
    },
    end: () => pool.end(),
  }
}

/** A connection that leaves the queue once for each use. */
function wrap(inner: Given, queue: WorkQueue): { readonly outer: object; readonly use: () => void } {
  let isInUse = false
  const leave = () => {
    if (isInUse) queue.leave()
    isInUse = false
  }
  const outer = Object.assign(Object.create(inner), {
    release() {
      inner.release()
      leave()
    },
    destroy() {
      inner.destroy?.()
      leave()
    },
  })
  return {
    outer,
    use: () => {
      isInUse = true
    },
  }
}
