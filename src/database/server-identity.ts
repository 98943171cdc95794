// Which server a connection leads to, and whether that server takes writes. Behind a proxy, a failing-over
// name or a pooler, connections of one process may lead to different servers, or to a former primary.
import { type RawBuilder, sql } from 'kysely'
import type { DatabaseKind } from './database-url.ts'
import type { Database } from './schema.ts'

/** At most one replacement of all connections begins within this time, so that their rate has a bound. */
const replaceEveryMs = 1_000

/**
 * A SQL expression of one text: `w` (takes writes) or `r` (read-only, or a standby), a blank, and what
 * identifies the server process. It reads variables only, so any statement can have it as one more column.
 *
 * MySQL and MariaDB have no time of the start; PostgreSQL has it to the microsecond. The address is no part
 * of the text, because one server has several (IPv4, IPv6, a socket).
 */
export function serverText(kind: DatabaseKind): string {
  return {
    mysql: `concat(if(concat('', @@global.read_only) in ('0', 'OFF') and @@global.innodb_read_only = 0, 'w ', 'r '),
      concat_ws('/', @@global.hostname, @@global.port, @@global.datadir, @@global.server_id))`,
    postgres: `case when pg_catalog.pg_is_in_recovery() then 'r ' else 'w ' end
      || extract(epoch from pg_catalog.pg_postmaster_start_time()) || '/' || pg_catalog.current_setting('port')`,
    sqlite: "'w file'",
  }[kind]
}

/** `serverText` for a statement of Kysely. */
export function serverExpression(kind: DatabaseKind): RawBuilder<string> {
  return sql<string>`${sql.raw(serverText(kind))}`
}

/** The connection leads to a server that must not be used. */
export class WrongServer extends Error {
  readonly isReadOnly: boolean

  constructor(message: string, isReadOnly: boolean) {
    super(message)
    this.name = 'WrongServer'
    this.isReadOnly = isReadOnly
  }
}

/** What a new connection learns of its server. */
export interface FoundServer {
  /** The value of `serverText`. */
  readonly text: string
  /** All its nodes have the same data and take writes (Galera, TiDB, Vitess). */
  readonly isCluster: boolean
}

/** Which connections a connection belongs with: those that were opened between two replacements of all. */
export type Generation = number

/**
 * Knows which server the connections of this process lead to. Every pool of the process shares one. A
 * connection of an older generation is closed when it is released, and never given out again.
 */
export class ServerWatch {
  /** null: the next connection that takes writes decides. */
  #server: string | null = null
  #isCluster = false
  #generation: Generation = 0
  #doubtedAt = Number.NEGATIVE_INFINITY
  #movedAt = Number.NEGATIVE_INFINITY
  /** The connections in use, of the present generation and of older ones. */
  #inUse = 0
  #olderInUse = 0

  /**
   * Takes up a new connection.
   * @throws WrongServer where its server is read-only; or where it is another one than that of the connection
   * before, and that one too was new within the last second
   */
  admit({ text, isCluster }: FoundServer): Generation {
    if (!text.startsWith('w ')) throw new WrongServer('the server is read-only, or a standby', true)
    if (this.#server !== null && this.#server !== text && !isCluster) {
      if (performance.now() - this.#movedAt < replaceEveryMs)
        throw new WrongServer('new connections lead to one server and to another in turn', false)
      this.#movedAt = performance.now()
      this.#replaceAll()
    }
    this.#server = text
    this.#isCluster = isCluster
    return this.#generation
  }

  /** Whether the connections lead to the nodes of a cluster, which all have the same data. */
  get isCluster(): boolean {
    return this.#isCluster
  }

  /** Whether a connection may still be given out. */
  isCurrent(generation: Generation): boolean {
    return generation === this.#generation
  }

  /** A connection was given out; the returned function must be called when it is released. */
  use(generation: Generation): () => void {
    if (this.isCurrent(generation)) this.#inUse++
    else this.#olderInUse++
    return () => {
      if (this.isCurrent(generation)) this.#inUse--
      else this.#olderInUse--
    }
  }

  /** The server of a connection refused a statement as only a wrong server does. */
  doubt(generation: Generation): void {
    if (this.isCurrent(generation)) this.#replaceAtMostOften()
  }

  /**
   * Whether a statement that returned this value of `serverText` was answered by the server that this process
   * uses, and that one takes writes. If not, all connections are replaced.
   */
  confirms(text: string): boolean {
    if (text.startsWith('w ') && (this.#isCluster || text === this.#server)) return true
    if (this.#server !== null) this.#replaceAtMostOften()
    return false
  }

  /**
   * For the feed: whether the reading that returned this value of `serverText` may be trusted. It may not
   * while a request still uses a connection from before a replacement, because that one may lead to another
   * server.
   *
   * The feed selects `serverExpression(kind)` in the statement of each reading and calls this once for each
   * reading. Its own connection comes from a pool with the same watch (`openDatabaseAlone(settings, watch)`),
   * so that a connection to a wrong server is replaced before the next reading. Where this returns false, the
   * reading counts as failed: nothing is fresh, and no position advances.
   */
  trusts(text: string): boolean {
    return this.confirms(text) && this.#olderInUse === 0
  }

  #replaceAtMostOften(): void {
    if (performance.now() - this.#doubtedAt < replaceEveryMs) return
    this.#doubtedAt = performance.now()
    this.#server = null
    this.#replaceAll()
  }

  #replaceAll(): void {
    this.#generation++
    this.#olderInUse += this.#inUse
    this.#inUse = 0
  }
}

/**
 * Resolves where a connection of the pool leads to the server that this process uses, and that server takes
 * writes. A connection that was left over from before a fail-over is replaced, and the next one decides.
 * @throws WrongServer, NoConnection, the driver's errors
 */
export async function assertWritable(db: Database, kind: DatabaseKind, watch: ServerWatch): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const { rows } = await sql<{ server: string }>`select ${serverExpression(kind)} as server`.execute(db)
    const text = rows[0]?.server ?? ''
    if (kind === 'sqlite' || watch.confirms(text)) return
    if (attempt === 2) {
      const isReadOnly = !text.startsWith('w ')
      throw new WrongServer(
        isReadOnly ? 'the server is read-only' : 'the server has just changed',
        isReadOnly,
      )
    }
  }
}
