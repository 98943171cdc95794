// Sessions of PostgreSQL: directly, or through a pooler such as PgBouncer, where a session is not ours alone.
import pg from 'pg'
import { serverText } from './server-identity.ts'
import { postgresSession, postgresTransaction, type SessionDeadlines } from './session-defaults.ts'

/** How statements run on one connection. */
export interface PostgresSession {
  query(client: pg.PoolClient, sql: string, parameters: unknown[]): Promise<unknown>
}

/** The session is ours: it was set up once. */
const direct: PostgresSession = {
  query: (client, sql, parameters) => client.query(sql, parameters),
}

/** A connection was opened as a direct one, and a pooler answered: it must be opened again. */
class PoolerFound extends Error {}

/** What a connection finds out of the other side before anything is set. */
const whoAnswers = `select ${serverText('postgres')} as text,
  (select s.setting from pg_catalog.pg_settings s where s.name = 'lock_timeout') as lock_timeout,
  pg_catalog.current_setting('server_version_num') as version`

/**
 * Opens sessions of one database. A pooler gives each transaction any connection to the server, with the
 * settings that other clients have left on it. So behind one, nothing is set for a session: every transaction
 * begins with its own settings, and so does every statement outside of one, which becomes a transaction.
 *
 * A pooler makes itself known because it does not forward the startup parameter `lock_timeout`: it refuses
 * the connection, or ignores the parameter (`ignore_startup_parameters` of PgBouncer).
 */
export class PostgresSessions {
  readonly #deadlines: SessionDeadlines
  #isPooled = false

  constructor(deadlines: SessionDeadlines) {
    this.#deadlines = deadlines
  }

  /** Startup parameters, and options of the driver, of the next connection. */
  parameters(): pg.ClientConfig {
    // `pipeline` sends the statements of a transaction without waiting for the answers in between.
    if (this.#isPooled) return { pipeline: true }
    const { statementMs, lockMs } = this.#deadlines
    // A server's default of a millisecond would make the set-up itself fail.
    return { statement_timeout: statementMs, lock_timeout: lockMs }
  }

  /** The result of `open`, which is called once more where the first time shows that there is a pooler. */
  async findingPooler<T>(open: () => Promise<T>): Promise<T> {
    const wasPooled = this.#isPooled
    try {
      return await open()
    } catch (error) {
      if (wasPooled || !isOfPooler(error)) throw error
      this.#isPooled = true
      return await open()
    }
  }

  /** Sets up a new connection. `text` is the value of `serverText`. */
  async setUp(client: pg.ClientBase): Promise<{ text: string; session: PostgresSession }> {
    const { rows } = await client.query<{ text: string; lock_timeout: string; version: string }>(whoAnswers)
    const { text = '', lock_timeout = '', version = '0' } = rows[0] ?? {}
    if (client instanceof pg.Client && client.pipeline) {
      const settings = postgresTransaction(this.#deadlines, Number(version))
      return { text, session: pooled(settings) }
    }
    if (lock_timeout !== String(this.#deadlines.lockMs)) throw new PoolerFound()
    await client.query(postgresSession(this.#deadlines))
    return { text, session: direct }
  }
}

function isOfPooler(error: unknown): boolean {
  if (error instanceof PoolerFound) return true
  // PgBouncer: "unsupported startup parameter: lock_timeout".
  const isRefused = error instanceof Error && 'code' in error && error.code === '08P01'
  return isRefused && /startup parameter/.test(error.message)
}

const begin = 'begin isolation level read committed, read write, not deferrable'
const begins = /^(begin|start transaction isolation level read committed)$/

/** @param settings sets, with one statement, what holds until the end of the transaction */
function pooled(settings: string): PostgresSession {
  const start = `${begin}; ${settings}`
  return {
    async query(client, sql, parameters) {
      // Several statements have several results; Kysely needs none of them.
      if (begins.test(sql)) return await client.query(start).then(() => ({ rows: [] }))
      if (client.getTransactionStatus() !== 'I') return await client.query(sql, parameters)
      const answers = await Promise.allSettled([
        client.query(start),
        client.query(sql, parameters),
        client.query('commit'),
      ])
      for (const answer of answers) if (answer.status === 'rejected') throw answer.reason
      const [, result] = answers
      return result.status === 'fulfilled' ? result.value : null
    },
  }
}
