// Pools of connections to MySQL / MariaDB and PostgreSQL that never wait without an end.
import { connect } from 'node:net'
import type { MysqlPool, PostgresPool } from 'kysely'
import { createPool as createMysqlPool, type PoolConnection, type TypeCastField } from 'mysql2'
import pg from 'pg'
import type { DatabaseServer } from './database-url.ts'
import type { DatabaseTls } from './database-url-tls.ts'
import { NoConnection } from './failures.ts'
import { mysqlSession, postgresSession, type SessionDeadlines } from './session-defaults.ts'

/** How long to wait for a connection. */
const acquireMs = 2_000

/**
 * What `work` gives, or an error with code DEADLINE after `ms`. A value that comes after that goes to `late`.
 */
function within<T>(ms: number, work: Promise<T>, late: (value: T) => void = () => {}): Promise<T> {
  return new Promise((resolve, reject) => {
    let over = false
    const timer = setTimeout(() => {
      over = true
      reject(Object.assign(new Error(`the database did not answer within ${ms} ms`), { code: 'DEADLINE' }))
    }, ms)
    work.then(
      (value) => {
        clearTimeout(timer)
        if (over) late(value)
        else resolve(value)
      },
      (error) => {
        clearTimeout(timer)
        reject(error)
      },
    )
  })
}

/** One statement at a time with a deadline; after the first that missed it, the connection is good for nothing. */
class Statements {
  broken = false
  readonly #withinMs: number

  /** @param withinMs 0: no deadline */
  constructor(withinMs: number) {
    this.#withinMs = withinMs
  }

  /**
   * A rollback never fails: with its connection the transaction goes as well. What it answers would only hide why there is one, and to
   * take back very many rows takes as long as to write them did.
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
      return await (this.#withinMs === 0 ? start() : within(this.#withinMs, start()))
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

/** VARBINARY is how MySQL compares byte for byte; what we keep in it is text. */
function typeCast(field: TypeCastField, next: () => unknown): unknown {
  return field.type === 'VAR_STRING' ? field.string('utf8') : next()
}

/** What Node's TLS needs to know, under names that both drivers pass on. */
function tlsFor({ mode, authority, certificate, key }: DatabaseTls) {
  return {
    rejectUnauthorized: mode !== 'require',
    ...(authority !== null && { ca: authority }),
    ...(certificate !== null && key !== null && { cert: certificate, key }),
  }
}

/**
 * A connection whose host is known to Node's check of certificates: mysql2 passes on a name, and no address, which would then be
 * compared with "localhost".
 */
function streamTo(host: string, port: number) {
  const socket = connect({ host, port, keepAlive: true, noDelay: true })
  return Object.assign(socket, { _host: host })
}

/** A connection that cannot be set up is none. */
async function prepareMysqlSession(raw: PoolConnection, deadlines: SessionDeadlines): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      raw.query(mysqlSession(deadlines), (error) => (error ? reject(error) : resolve()))
    })
  } catch (error) {
    raw.destroy()
    throw error
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
    // Without it mysql2 speaks plaintext; with it, never.
    ...(tls !== null && { ssl: { ...tlsFor(tls), verifyIdentity: tls.mode === 'verify-full' } }),
    ...(tls !== null && socket === null && { stream: () => streamTo(host, port ?? 3306) }),
    connectionLimit: size,
    connectTimeout: acquireMs,
    charset: 'utf8mb4_general_ci',
    timezone: 'Z',
    stringifyObjects: true,
    typeCast,
  })
  // Kysely prepares each connection object once, so the same raw connection must always have the same wrapper.
  const wrapped = new WeakMap<PoolConnection, ReturnType<typeof mysqlConnection>>()
  const acquire = async () => {
    const raw = await new Promise<PoolConnection>((resolve, reject) => {
      pool.getConnection((error, connection) => (error ? reject(error) : resolve(connection)))
    })
    if (!wrapped.has(raw)) {
      await prepareMysqlSession(raw, deadlines)
      wrapped.set(raw, mysqlConnection(raw, deadlines))
    }
    return raw
  }
  const deadlinePool = {
    getConnection(callback: Callback): void {
      within(acquireMs, acquire(), (raw) => raw.release()).then(
        (raw) => callback(null, wrapped.get(raw)),
        (error) => callback(new NoConnection(error)),
      )
    },
    end: (callback: Callback) => pool.end(callback),
  }
  // Kysely's type also asks for what its streaming and query cancelling use; neither is used here.
  return deadlinePool as unknown as MysqlPool
}

/** As pg wants them. What is not said here, pg would read from PGSSLMODE and its like. */
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
    // As part of the connection: a preset of a millisecond would end the set-up itself.
    statement_timeout: deadlines.statementMs,
    // pg-pool ends a connection whose set-up fails, and tells whoever waits for it.
    onConnect: async (client) => {
      await client.query(postgresSession(deadlines))
    },
    types: {
      getTypeParser: (oid, format) =>
        oid === pg.types.builtins.INT8 ? Number : pg.types.getTypeParser(oid, format),
    },
  })
  // An idle connection that the server closes is not an error of ours: the pool makes a new one.
  pool.on('error', () => {})
  // Nor is one in use: its next statement tells. Without a listener, Node takes it for a fault and ends the process.
  pool.on('connect', (client) => client.on('error', () => {}))
  const deadlinePool = {
    options: {},
    async connect() {
      const raw = await within(acquireMs, pool.connect(), (late) => late.release()).catch((error) => {
        throw new NoConnection(error)
      })
      const statements = new Statements(deadlines.statementMs)
      return {
        query: (sql: string, parameters: unknown[]) => statements.run(sql, () => raw.query(sql, parameters)),
        release: () => raw.release(statements.broken),
      }
    },
    end: () => pool.end(),
  }
  // Kysely's type also asks for what its streaming and query cancelling use; neither is used here.
  return deadlinePool as unknown as PostgresPool
}
