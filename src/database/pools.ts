// Connection pools for MySQL / MariaDB and PostgreSQL, with a deadline for every wait.
import { connect } from 'node:net'
import type { MysqlPool, PostgresPool } from 'kysely'
import {
  createPool as createMysqlPool,
  type PoolConnection,
  type RowDataPacket,
  type TypeCastField,
} from 'mysql2'
import pg from 'pg'
import { withinMs } from '../deadline.ts'
import type { DatabaseServer } from './database-url.ts'
import type { DatabaseTls } from './database-url-tls.ts'
import { NoConnection } from './failures.ts'
import { assertSynced, prepareForGalera } from './galera.ts'
import { mysqlSession, postgresSession, type SessionDeadlines } from './session-defaults.ts'

/** How long to wait for a connection. */
const acquireMs = 2_000

const from = 'the database'

/**
 * Runs one statement at a time with a deadline. After the first missed deadline the connection is unusable.
 */
class Statements {
  broken = false
  readonly #withinMs: number

  /** @param withinMs 0: no deadline */
  constructor(withinMs: number) {
    this.#withinMs = withinMs
  }

  /**
   * A rollback never fails: closing its connection rolls the transaction back as well. Its error would only
   * hide the reason for the rollback, and rolling back very many rows takes as long as writing them did.
   */
  async run(sql: string, start: () => Promise<unknown>): Promise<unknown> {
    if (sql !== 'rollback') return await this.#run(start)
    return await this.#run(start).catch(() => {
      this.broken = true
      return { command: 'ROLLBACK', rows: [] }
    })
  }

  async #run<T>(start: () => Promise<T>): Promise<T> {
    if (this.broken) throw Object.assign(new Error('the connection was given up'), { code: 'DEADLINE' })
    try {
      return await (this.#withinMs === 0 ? start() : withinMs(this.#withinMs, start(), { from }))
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'DEADLINE') this.broken = true
      throw error
    }
  }
}

type Callback = (error: unknown, value?: unknown) => void

function mysqlConnection(raw: PoolConnection, { statementMs }: SessionDeadlines) {
  const statements = new Statements(statementMs)
  return {
    threadId: raw.threadId,
    query(sql: string, parameters: unknown[], callback: Callback): void {
      const start = () =>
        new Promise((resolve, reject) => {
          raw.query(sql, parameters, (error, result) => (error ? reject(error) : resolve(result)))
        })
      statements.run(sql, start).then((result) => callback(null, result), callback)
    },
    release: () => (statements.broken ? raw.destroy() : raw.release()),
    destroy: () => raw.destroy(),
  }
}

/** Columns that are compared byte by byte are VARBINARY on MySQL, but hold text. */
function typeCast(field: TypeCastField, next: () => unknown): unknown {
  return field.type === 'VAR_STRING' ? field.string('utf8') : next()
}

/** The options for Node's TLS, under names that both drivers pass on. */
function tlsFor({ mode, authority, certificate, key }: DatabaseTls) {
  return {
    rejectUnauthorized: mode !== 'require',
    ...(authority !== null && { ca: authority }),
    ...(certificate !== null && key !== null && { cert: certificate, key }),
  }
}

/**
 * A connection that knows its host for Node's check of certificates: mysql2 passes on a host name but not an
 * address, so that the certificate would be checked for "localhost".
 */
function streamTo(host: string, port: number) {
  const socket = connect({ host, port, keepAlive: true, noDelay: true })
  return Object.assign(socket, { _host: host })
}

type MysqlConnection = ReturnType<typeof mysqlConnection>

/** A node of a Galera cluster is asked for its state this long after it was asked last, and not earlier. */
const nodeStateMs = 1_000

/**
 * A connection of the pool with the settings of its session. One that cannot be set up, or that leads to a
 * node which is not in use, is closed.
 */
class PreparedConnection {
  readonly wrapped: MysqlConnection
  readonly #raw: PoolConnection
  readonly #deadlines: SessionDeadlines
  #isPrepared = false
  #isNode = false
  #askedAt = Number.NEGATIVE_INFINITY

  constructor(raw: PoolConnection, deadlines: SessionDeadlines) {
    this.#raw = raw
    this.#deadlines = deadlines
    this.wrapped = mysqlConnection(raw, deadlines)
  }

  /** @throws the driver's error, or NodeNotSynced; then the connection is closed */
  async prepare(): Promise<void> {
    const isDue = this.#isNode && performance.now() >= this.#askedAt + nodeStateMs
    if (this.#isPrepared && !isDue) return
    try {
      // The caller gives up earlier. Without this deadline, a connection that nothing answers would stay in
      // the pool.
      await withinMs(acquireMs, this.#prepare(), { from })
    } catch (error) {
      this.#raw.destroy()
      throw error
    }
  }

  async #prepare(): Promise<void> {
    const ask = (statement: string) => this.#ask(statement)
    if (!this.#isPrepared) {
      await ask(mysqlSession(this.#deadlines))
      this.#isNode = await prepareForGalera(ask)
      this.#isPrepared = true
    }
    if (!this.#isNode) return
    await assertSynced(ask)
    this.#askedAt = performance.now()
  }

  async #ask(statement: string): Promise<readonly Record<string, unknown>[]> {
    return await new Promise((resolve, reject) => {
      this.#raw.query<RowDataPacket[]>(statement, (error, rows) => (error ? reject(error) : resolve(rows)))
    })
  }
}

/** A pool for Kysely's MysqlDialect. */
export function mysqlPool(place: DatabaseServer, size: number, deadlines: SessionDeadlines): MysqlPool {
  const { host, port, user, password, database, socket, tls } = place
  const pool = createMysqlPool({
    host,
    port: port ?? 3306,
    ...(user !== null && { user }),
    ...(password !== null && { password }),
    ...(database !== null && { database }),
    ...(socket !== null && { socketPath: socket }),
    // Without `ssl`, mysql2 connects in plaintext; with it, never.
    ...(tls !== null && { ssl: { ...tlsFor(tls), verifyIdentity: tls.mode === 'verify-full' } }),
    ...(tls !== null && socket === null && { stream: () => streamTo(host, port ?? 3306) }),
    connectionLimit: size,
    connectTimeout: acquireMs,
    charset: 'utf8mb4_general_ci',
    timezone: 'Z',
    stringifyObjects: true,
    typeCast,
  })
  // Kysely prepares each connection object once, so the same raw connection must always have the same
  // wrapper.
  const known = new WeakMap<PoolConnection, PreparedConnection>()
  const acquire = async () => {
    const raw = await new Promise<PoolConnection>((resolve, reject) => {
      pool.getConnection((error, connection) => (error ? reject(error) : resolve(connection)))
    })
    const connection = known.get(raw) ?? new PreparedConnection(raw, deadlines)
    known.set(raw, connection)
    await connection.prepare()
    return raw
  }
  const deadlinePool = {
    getConnection(callback: Callback): void {
      withinMs(acquireMs, acquire(), { from, late: (raw) => raw.release() }).then(
        (raw) => callback(null, known.get(raw)?.wrapped),
        (error) => callback(new NoConnection(error)),
      )
    },
    end: (callback: Callback) => pool.end(callback),
  }
  // Kysely's type also has members for streaming and for cancelling queries; neither is used here.
  return deadlinePool as unknown as MysqlPool
}

/** The TLS options of pg. Without an explicit value, pg would read PGSSLMODE and similar variables. */
function postgresTls(tls: DatabaseTls | null) {
  if (tls === null) return { ssl: false }
  return {
    ssl: { ...tlsFor(tls), ...(tls.mode !== 'verify-full' && { checkServerIdentity: () => undefined }) },
    enableChannelBinding: true,
    ...(tls.direct && { sslnegotiation: 'direct' as const }),
  }
}

/** A pool for Kysely's PostgresDialect. */
export function postgresPool(place: DatabaseServer, size: number, deadlines: SessionDeadlines): PostgresPool {
  const { host, port, user, password, database, socket, tls, options, applicationName } = place
  const pool = new pg.Pool({
    host: socket ?? host,
    ...(port !== null && { port }),
    ...(user !== null && { user }),
    ...(password !== null && { password }),
    ...(database !== null && { database }),
    ...(options !== null && { options }),
    application_name: applicationName ?? 'hufu',
    ...postgresTls(tls),
    max: size,
    connectionTimeoutMillis: acquireMs,
    // A startup parameter, because a server's default of a millisecond would make the set-up itself fail.
    statement_timeout: deadlines.statementMs,
    // If the set-up fails, pg-pool closes the connection and rejects the caller that waits for it.
    onConnect: async (client) => {
      await client.query(postgresSession(deadlines))
    },
    types: {
      getTypeParser: (oid, format) =>
        oid === pg.types.builtins.INT8 ? Number : pg.types.getTypeParser(oid, format),
    },
  })
  // An idle connection that the server closes needs no handling: the pool opens a new one.
  pool.on('error', () => {})
  // Nor does one in use, because its next statement fails. Without a listener, the error would end the
  // process.
  pool.on('connect', (client) => client.on('error', () => {}))
  const deadlinePool = {
    options: {},
    async connect() {
      const raw = await withinMs(acquireMs, pool.connect(), { from, late: (raw) => raw.release() }).catch(
        (error) => {
          throw new NoConnection(error)
        },
      )
      const statements = new Statements(deadlines.statementMs)
      return {
        query: (sql: string, parameters: unknown[]) => statements.run(sql, () => raw.query(sql, parameters)),
        release: () => raw.release(statements.broken),
      }
    },
    end: () => pool.end(),
  }
  // Kysely's type also has members for streaming and for cancelling queries; neither is used here.
  return deadlinePool as unknown as PostgresPool
}
