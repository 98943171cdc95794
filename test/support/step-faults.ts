// The steps of the database and of the session cache, one by one, so that a test can pause, stop or order
// them.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Dialect, Driver } from 'kysely'
import type { SessionCache } from '../../src/session-cache/session-cache.ts'

/** Called before each step; decides whether and when it happens. */
export type Watcher = <T>(step: string, work: () => Promise<T>) => Promise<T>

/** A dialect whose begin, statements, commit and rollback are steps. */
export function watchDialect(dialect: Dialect, watch: Watcher): Dialect {
  return {
    createAdapter: () => dialect.createAdapter(),
    createIntrospector: (db) => dialect.createIntrospector(db),
    createQueryCompiler: () => dialect.createQueryCompiler(),
    createDriver: () => watchDriver(dialect.createDriver(), watch),
  }
}

function watchDriver(driver: Driver, watch: Watcher): Driver {
  const watched = new WeakSet<object>()
  return {
    init: () => driver.init(),
    async acquireConnection() {
      const connection = await driver.acquireConnection()
      if (!watched.has(connection)) {
        watched.add(connection)
        const execute = connection.executeQuery.bind(connection)
        connection.executeQuery = (query) =>
          watch(
            `sql ${query.sql.split(' ', 1)[0]}${/ for update$/.test(query.sql) ? ' for update' : ''}`,
            () => execute(query),
          )
      }
      return connection
    },
    // Begin and commit are statements of the connection, and so steps, already; these names say it for every
    // driver.
    beginTransaction: (connection, settings) => driver.beginTransaction(connection, settings),
    commitTransaction: (connection) => driver.commitTransaction(connection),
    rollbackTransaction: (connection) => driver.rollbackTransaction(connection),
    releaseConnection: (connection) => driver.releaseConnection(connection),
    destroy: () => driver.destroy(),
  }
}

/** A session cache whose mark, confirm, settle and fill are steps. */
export function watchSessionCache(cache: SessionCache, watch: Watcher): SessionCache {
  return {
    dropStale: () => cache.dropStale(),
    session: (id) => cache.session(id),
    isValid: (found) => cache.isValid(found),
    beginRead: () => cache.beginRead(),
    // It is not awaited, and by its contract it never throws.
    fill: (ticket, values) => watch('fill', async () => cache.fill(ticket, values)).catch(() => {}),
    async mark(ids) {
      const mark = await watch('mark', () => cache.mark(ids))
      return {
        confirm: () => watch('confirm', () => mark.confirm()),
        settle: (values, position) => watch('settle', () => mark.settle(values, position)),
      }
    },
    noteUses: (uses) => cache.noteUses(uses),
    findUses: (ids) => cache.findUses(ids),
    isReachable: () => cache.isReachable(),
    state: () => cache.state(),
    close: () => cache.close(),
  }
}

/** Runs every step. */
export const pass: Watcher = (_step, work) => work()

export type Fault = 'dies before' | 'dies after' | 'loses the answer'
export const faults: readonly Fault[] = ['dies before', 'dies after', 'loses the answer']

/**
 * Fails at the n-th step. Like a process that dies, the server does nothing afterwards, not even a rollback.
 */
export class Cut {
  steps: string[] = []
  reached: string | null = null
  #n = Number.POSITIVE_INFINITY
  #fault: Fault = 'dies before'
  #dead = false

  arm(n: number, fault: Fault): void {
    this.#n = n
    this.#fault = fault
    this.steps = []
  }

  readonly watch: Watcher = async (step, work) => {
    if (this.#dead) throw new Error('this process is dead')
    this.steps.push(step)
    if (this.steps.length !== this.#n) return await work()
    this.reached = step
    this.#dead = this.#fault !== 'loses the answer'
    if (this.#fault === 'dies before') throw new Error(`killed before ${step}`)
    await work()
    throw Object.assign(new Error(`the answer to ${step} was lost`), { code: 'ECONNRESET' })
  }
}

/** Stops a server before a step until the test releases it. */
export class Gate {
  readonly steps: string[] = []
  #stopBefore: string | null = null
  #arrive: () => void = () => {}
  #release: () => void = () => {}

  readonly watch: Watcher = async (step, work) => {
    this.steps.push(step)
    if (step === this.#stopBefore) {
      this.#stopBefore = null
      const released = new Promise<void>((resolve) => {
        this.#release = resolve
      })
      this.#arrive()
      await released
    }
    return await work()
  }

  /** Resolves when the server has reached this step. */
  stopBefore(step: string): Promise<void> {
    this.#stopBefore = step
    return new Promise((resolve) => {
      this.#arrive = resolve
    })
  }

  release(): void {
    this.#release()
  }
}

/** Waits for a condition without an event. @throws after `withinMs` */
export async function until(isTrue: () => boolean | Promise<boolean>, withinMs = 30_000): Promise<void> {
  const deadline = Date.now() + withinMs
  while (!(await isTrue())) {
    if (Date.now() > deadline) throw new Error(`it did not happen within ${withinMs} ms`)
    await sleep(5)
  }
}

/**
 * The next turn of the event loop: from that turn on, the session cache on SQLite sees the commits of other
 * servers.
 */
export const nextTurn = () => new Promise((resolve) => setImmediate(resolve))
