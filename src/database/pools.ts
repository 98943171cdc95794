// Connection pools for MySQL / MariaDB and PostgreSQL, with a deadline for every wait.
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { MysqlPool, PostgresPool } from 'kysely'
import {
  createPool as createMysqlPool,
  type PoolConnection,
  type RowDataPacket,
  type TypeCastField,
} from 'mysql2'
import pg from 'pg'
import { withinMs } from '../deadline.ts'
import { Addresses } from './addresses.ts'
import type { DatabaseAddress, DatabaseServer } from './database-url.ts'
import type { DatabaseTls } from './database-url-tls.ts'
import { endsConnection, isOfWrongServer, NoConnection } from './failures.ts'
import { assertSynced, prepareForGalera } from './galera.ts'
import { type PostgresSession, PostgresSessions } from './postgres-sessions.ts'
import { type Generation, type ServerWatch, serverText, WrongServer } from './server-identity.ts'
import { mysqlSession, type SessionDeadlines } from './session-defaults.ts'

/** How long to wait for a connection. */
const acquireMs = 2_000
/**
 * A connection to a wrong server keeps its place in the pool for this long, so that requests that need one do
 * not open connections to that server as fast as they come.
 */
const wrongServerRestMs = 200

const from = 'the database'

export interface PoolOptions {
  /** The most connections. */
  readonly size: number
  readonly deadlines: SessionDeadlines
  readonly watch: ServerWatch
}

/**
 * Runs one statement at a time with a deadline. After the first missed deadline, or an error that ends the
 * connection, it is unusable. An error that means a wrong server makes the watch replace all connections.
 */
class Statements {
  broken = false
  readonly #withinMs: number
  readonly #watch: ServerWatch
  readonly #generation: Generation

  /** @param deadlines.statementMs 0: no deadline */
  constructor({ deadlines, watch }: PoolOptions, generation: Generation) {
    this.#withinMs = deadlines.statementMs
    this.#watch = watch
    this.#generation = generation
  }

  /** Whether the connection must be closed when it is released. */
  get isOver(): boolean {
    return this.broken || !this.#watch.isCurrent(this.#generation)
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
      if (endsConnection(error)) this.broken = true
      if (isOfWrongServer(error)) this.#watch.doubt(this.#generation)
      throw error
    }
  }
}

type Callback = (error: unknown, value?: unknown) => void

/** Sets up a connection. @throws what keeps it from being used */
async function setUpInTime<T>(addresses: Addresses, setUp: () => Promise<T>): Promise<T> {
  try {
    return await withinMs(acquireMs / addresses.count, setUp(), { from })
  } catch (error) {
    if (error instanceof WrongServer) await sleep(wrongServerRestMs / addresses.count)
    throw error
  }
}

/** A connection of mysql2 as Kysely uses it. `generation` is that of its set-up. */
function mysqlConnection(raw: PoolConnection, generation: Generation, options: PoolOptions) {
  const statements = new Statements(options, generation)
  let used = () => {}
  const release = (close: boolean) => {
    used()
    used = () => {}
    if (close) raw.destroy()
    else raw.release()
  }
  return {
    threadId: raw.threadId,
    generation,
    /** Called when it is given out. */
    use() {
      used = options.watch.use(generation)
    },
    query(sql: string, parameters: unknown[], callback: Callback): void {
      const start = () =>
        new Promise((resolve, reject) => {
          raw.query(sql, parameters, (error, result) => (error ? reject(error) : resolve(result)))
        })
      statements.run(sql, start).then((result) => callback(null, result), callback)
    },
    release: () => release(statements.isOver),
    destroy: () => release(true),
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
function streamTo({ host, port }: DatabaseAddress) {
  const socket = connect({ host, port, keepAlive: true, noDelay: true })
  return Object.assign(socket, { _host: host })
}

type MysqlConnection = ReturnType<typeof mysqlConnection>

/** A node of a Galera cluster is asked for its state this long after it was asked last, and not earlier. */
const nodeStateMs = 1_000

/** `is_cluster`: TiDB and Vitess, whose servers have other names and the same data. */
const mysqlServer = `select ${serverText('mysql')} as text,
  version() regexp 'tidb|vitess|planetscale' as is_cluster`

/**
 * A connection of the pool with the settings of its session. One that cannot be set up, or that leads to a
 * server which must not be used, is closed.
 */
class PreparedConnection {
  #wrapped: MysqlConnection | null = null
  readonly #raw: PoolConnection
  readonly #addresses: Addresses
  readonly #options: PoolOptions
  #isNode = false
  #askedAt = Number.NEGATIVE_INFINITY

  constructor(raw: PoolConnection, addresses: Addresses, options: PoolOptions) {
    this.#raw = raw
    this.#addresses = addresses
    this.#options = options
  }

  /** @throws the driver's error, or WrongServer; then the connection is closed */
  async prepare(): Promise<MysqlConnection> {
    const isDue = this.#isNode && performance.now() >= this.#askedAt + nodeStateMs
    if (this.#wrapped && !isDue) return this.#wrapped
    try {
      // Without the deadline in there, a connection that nothing answers would stay in the pool.
      return await setUpInTime(this.#addresses, () => this.#prepare())
    } catch (error) {
      this.#raw.destroy()
      throw error
    }
  }

  async #prepare(): Promise<MysqlConnection> {
    const ask = (statement: string) => this.#ask(statement)
    if (!this.#wrapped) {
      await ask(mysqlSession(this.#options.deadlines))
      this.#isNode = await prepareForGalera(ask)
    }
    if (this.#isNode) {
      await assertSynced(ask)
      this.#askedAt = performance.now()
    }
    this.#wrapped ??= mysqlConnection(this.#raw, await this.#admit(), this.#options)
    return this.#wrapped
  }

  async #admit(): Promise<Generation> {
    const [found] = await this.#ask(mysqlServer)
    const isCluster = this.#isNode || found?.is_cluster === 1
    return this.#options.watch.admit({ text: String(found?.text), isCluster })
  }

  async #ask(statement: string): Promise<readonly Record<string, unknown>[]> {
    return await new Promise((resolve, reject) => {
      this.#raw.query<RowDataPacket[]>(statement, (error, rows) => (error ? reject(error) : resolve(rows)))
    })
  }
}

/** A pool for Kysely's MysqlDialect. */
export function mysqlPool(place: DatabaseServer, options: PoolOptions): MysqlPool {
  const { user, password, database, socket, tls } = place
  const addresses = new Addresses(place.addresses)
  // Each connection has a copy of the options. The driver verifies certificates for the host that is there.
  const openStream = ({ config }: { config: { host: string } }) => {
    config.host = addresses.current.host
    return streamTo(addresses.current)
  }
  const pool = createMysqlPool({
    ...(user !== null && { user }),
    ...(password !== null && { password }),
    ...(database !== null && { database }),
    ...(socket === null ? { stream: openStream } : { socketPath: socket }),
    // Without `ssl`, mysql2 connects in plaintext; with it, never.
    ...(tls !== null && { ssl: { ...tlsFor(tls), verifyIdentity: tls.mode === 'verify-full' } }),
    connectionLimit: options.size,
    connectTimeout: acquireMs / addresses.count,
    charset: 'utf8mb4_general_ci',
    timezone: 'Z',
    stringifyObjects: true,
    typeCast,
  })
  // Kysely prepares each connection object once, so the same raw connection must always have the same
  // wrapper.
  const known = new WeakMap<PoolConnection, PreparedConnection>()
  const open = async () => {
    const raw = await new Promise<PoolConnection>((resolve, reject) => {
      pool.getConnection((error, connection) => (error ? reject(error) : resolve(connection)))
    })
    const prepared = known.get(raw) ?? new PreparedConnection(raw, addresses, options)
    known.set(raw, prepared)
    return await prepared.prepare()
  }
  const acquire = async () => {
    for (;;) {
      const connection = await addresses.tryEach(open)
      if (options.watch.isCurrent(connection.generation)) return connection
      connection.destroy()
    }
  }
  const deadlinePool = {
    getConnection(callback: Callback): void {
      withinMs(acquireMs, acquire(), { from, late: (connection) => connection.release() }).then(
        (connection) => {
          connection.use()
          callback(null, connection)
        },
        (error) => callback(new NoConnection(error)),
      )
    },
    // mysql2 reports a connection that is lost, or was never established: closing loses nothing by it.
    end: (callback: Callback) => pool.end(() => callback(null)),
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

const postgresTypes: pg.CustomTypesConfig = {
  getTypeParser: (oid, format) =>
    oid === pg.types.builtins.INT8 ? Number : pg.types.getTypeParser(oid, format),
}

/** Everything of a connection but where it leads and which startup parameters it sends. */
function postgresLogin({ user, password, database, tls, options, applicationName }: DatabaseServer) {
  return {
    ...(user !== null && { user }),
    ...(password !== null && { password }),
    ...(database !== null && { database }),
    ...(options !== null && { options }),
    application_name: applicationName ?? 'hufu',
    ...postgresTls(tls),
    types: postgresTypes,
  }
}

interface PostgresClient {
  readonly generation: Generation
  readonly session: PostgresSession
}

/** A pool for Kysely's PostgresDialect. */
export function postgresPool(place: DatabaseServer, options: PoolOptions): PostgresPool {
  const { socket } = place
  const addresses = new Addresses(place.addresses)
  const sessions = new PostgresSessions(options.deadlines)
  const known = new WeakMap<pg.ClientBase, PostgresClient>()
  const login = postgresLogin(place)
  class Client extends pg.Client {
    constructor() {
      const { host, port } = addresses.current
      const connectionTimeoutMillis = acquireMs / addresses.count
      super({ ...login, host: socket ?? host, port, connectionTimeoutMillis, ...sessions.parameters() })
    }
  }
  const pool = new pg.Pool({
    Client,
    max: options.size,
    connectionTimeoutMillis: acquireMs,
    // If the set-up fails, pg-pool closes the connection and rejects the caller that waits for it.
    onConnect: async (client) => {
      await setUpInTime(addresses, async () => {
        const { text, session } = await sessions.setUp(client)
        known.set(client, { generation: options.watch.admit({ text, isCluster: false }), session })
      })
    },
  })
  // An idle connection that the server closes needs no handling: the pool opens a new one.
  pool.on('error', () => {})
  // Nor does one in use, because its next statement fails. Without a listener, the error would end the
  // process.
  pool.on('connect', (client) => client.on('error', () => {}))
  const open = () => addresses.tryEach(() => sessions.findingPooler(() => pool.connect()))
  const acquire = async () => {
    for (;;) {
      const raw = await open()
      const client = known.get(raw)
      if (client && options.watch.isCurrent(client.generation)) return { raw, ...client }
      raw.release(true)
    }
  }
  const deadlinePool = {
    options: {},
    async connect() {
      const { raw, generation, session } = await withinMs(acquireMs, acquire(), {
        from,
        late: ({ raw }) => raw.release(),
      }).catch((error) => {
        throw new NoConnection(error)
      })
      const statements = new Statements(options, generation)
      const used = options.watch.use(generation)
      return {
        query: (sql: string, parameters: unknown[]) =>
          statements.run(sql, () => session.query(raw, sql, parameters)),
        release() {
          used()
          raw.release(statements.isOver)
        },
      }
    },
    end: () => pool.end(),
  }
  // Kysely's type also has members for streaming and for cancelling queries; neither is used here.
  return deadlinePool as unknown as PostgresPool
}
