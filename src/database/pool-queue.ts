// The queue in front of a connection pool: bounded, and in order of importance.
import type { MysqlPool, PostgresPool } from 'kysely'
import { currentPlace, type QueuePlace } from '../queue-order.ts'
import { NoConnection } from './failures.ts'

/**
 * As many may wait for each connection of a pool. Work takes a connection for about 20 ms, so the last in the
 * queue waits for a second: half of the time after which it would be given up. More could only wait in vain.
 */
const waitingForEach = 50
/** How long work waits for its turn. */
const turnMs = 2_000
/**
 * Every fourth turn goes to less important work, and every sixteenth to the least important: under a load
 * of transactions that never ends, the others would otherwise never have their turn.
 */
const turnOfLess = 4
const turnOfLeast = 16

interface Waiting {
  readonly go: () => void
  readonly refuse: (reason: string) => void
}

/** Lets `size` pieces of work through at a time. */
class PoolQueue {
  readonly #waitingMax: number
  #free: number
  #waitingCount = 0
  #turns = 0
  /** A Set keeps the order of insertion, and removes from the middle at once. */
  readonly #waiting: Readonly<Record<QueuePlace, Set<Waiting>>> = {
    first: new Set(),
    middle: new Set(),
    last: new Set(),
  }

  /** @param size the connections of the pool */
  constructor(size: number) {
    this.#free = size
    this.#waitingMax = size * waitingForEach
  }

  /**
   * Resolves when it is this work's turn; then `leave` must be called once. In a full queue, work takes the
   * place of the newest one that is less important.
   * @throws NoConnection at once where the queue is full, or after two seconds
   */
  async enter(): Promise<void> {
    if (this.#free > 0) {
      this.#free--
      return
    }
    const place = currentPlace()
    if (this.#waitingCount >= this.#waitingMax) this.#makeRoomFor(place)
    await new Promise<void>((resolve, reject) => {
      const remove = () => {
        clearTimeout(timer)
        this.#waitingCount--
        this.#waiting[place].delete(waiting)
      }
      const waiting: Waiting = {
        go: () => {
          remove()
          resolve()
        },
        refuse: (reason) => {
          remove()
          reject(new NoConnection(new Error(reason)))
        },
      }
      const timer = setTimeout(() => waiting.refuse(`no connection was free for ${turnMs} ms`), turnMs)
      this.#waitingCount++
      this.#waiting[place].add(waiting)
    })
  }

  leave(): void {
    const next = this.#next()
    if (next) next.go()
    else this.#free++
  }

  #next(): Waiting | undefined {
    const [first, middle, last] = [this.#waiting.first, this.#waiting.middle, this.#waiting.last].map(firstOf)
    this.#turns++
    if (this.#turns % turnOfLeast === 0) return last ?? middle ?? first
    if (this.#turns % turnOfLess === 0) return middle ?? last ?? first
    return first ?? middle ?? last
  }

  #makeRoomFor(place: QueuePlace): void {
    const full = 'too many wait for a connection'
    const { middle, last } = this.#waiting
    const newest =
      place === 'last' ? undefined : (lastOf(last) ?? (place === 'first' ? lastOf(middle) : undefined))
    if (!newest) throw new NoConnection(new Error(full))
    newest.refuse(full)
  }
}

function firstOf(waiting: ReadonlySet<Waiting>): Waiting | undefined {
  const [first] = waiting
  return first
}

/** Walks the whole set, which is bounded. */
function lastOf(waiting: ReadonlySet<Waiting>): Waiting | undefined {
  return [...waiting].at(-1)
}

type Callback = (error: unknown, value?: unknown) => void

/** The parts of a connection of either pool that matter here. */
interface Given {
  release: (...args: never[]) => unknown
  destroy?: () => unknown
}

/** Puts the queue in front of a pool for Kysely's MysqlDialect. */
export function queuedMysqlPool(pool: MysqlPool, size: number): MysqlPool {
  const queue = new PoolQueue(size)
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
  const queue = new PoolQueue(size)
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
function wrap(inner: Given, queue: PoolQueue): { readonly outer: object; readonly use: () => void } {
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
