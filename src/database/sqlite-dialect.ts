// A Kysely dialect for node:sqlite: one connection; every transaction takes the write lock when it begins.
import { accessSync, closeSync, constants, openSync, statSync } from 'node:fs'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type Kysely,
  type QueryResult,
  type SelectModifierNode,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely'
import { BoundedMap } from '../bounded-map.ts'
import { NoConnection } from './failures.ts'

/** How long a statement waits for the write lock of another process, and a caller for the connection. */
const busyWithinMs = 2_000
const acquireWithinMs = 2_000
const sqliteBusy = 5
const sqliteIoError = 10
const sqliteReadOnly = 8
const statementsKept = 200

/** The embedded database: a file in WAL mode that survives power loss (`synchronous=FULL`). */
export class NodeSqliteDialect implements Dialect {
  readonly #path: string
  readonly #connection: NodeSqliteConnection
  #reader: DatabaseSync | null = null

  constructor(path: string) {
    this.#path = path
    this.#connection = new NodeSqliteConnection(path)
  }

  createAdapter(): SqliteAdapter {
    return new TransactionalAdapter()
  }

  createDriver(): Driver {
    return new NodeSqliteDriver(this.#connection, () => this.#closeReader())
  }

  createIntrospector(db: Kysely<unknown>): SqliteIntrospector {
    return new SqliteIntrospector(db)
  }

  createQueryCompiler(): SqliteQueryCompiler {
    return new LockFreeCompiler()
  }

  /** A read on a second, read-only connection: it sees every commit and waits for no transaction. */
  prepareRead<R>({ sql }: CompiledQuery<R>): (parameters: readonly unknown[]) => R[] {
    let statement: StatementSync | null = null
    return (parameters) => {
      statement ??= this.#openReader().prepare(sql)
      // Kysely types parameters as unknown and knows the row's columns; the tables hold only text, numbers
      // and null.
      return statement.all(...(parameters as SQLInputValue[])) as R[]
    }
  }

  /**
   * A number that changes with every commit of another process, and not with those of this one
   * (https://sqlite.org/pragma.html#pragma_data_version).
   * @throws the error of SQLite
   */
  dataVersion(): number {
    return this.#connection.dataVersion()
  }

  #closeReader(): void {
    this.#reader?.close()
    this.#reader = null
  }

  #openReader(): DatabaseSync {
    this.#reader ??= new DatabaseSync(this.#path, { readOnly: true })
    return this.#reader
  }
}

/** With `begin immediate`, a migration is one transaction, and two processes migrate one after the other. */
class TransactionalAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true
  }

  /** There is one connection. The driver queues its callers with a deadline; Kysely's own queue has none. */
  override get supportsMultipleConnections(): boolean {
    return true
  }
}

/** `for update` is not needed: the transaction has locked the whole file. */
class LockFreeCompiler extends SqliteQueryCompiler {
  protected override visitSelectModifier(node: SelectModifierNode): void {
    if (node.modifier !== 'ForUpdate') super.visitSelectModifier(node)
  }
}

/** The queue for the one connection. */
class ConnectionQueue {
  #isTaken = false
  readonly #waiting = new Set<() => void>()

  /** @throws NoConnection where the turn does not come within `acquireWithinMs` */
  async enter(): Promise<void> {
    if (!this.#isTaken) {
      this.#isTaken = true
      return
    }
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(go)
        reject(new NoConnection(new Error(`the connection was in use for ${acquireWithinMs} ms`)))
      }, acquireWithinMs)
      const go = () => {
        clearTimeout(timer)
        resolve()
      }
      this.#waiting.add(go)
    })
  }

  leave(): void {
    const [next] = this.#waiting
    if (!next) {
      this.#isTaken = false
      return
    }
    this.#waiting.delete(next)
    next()
  }
}

class NodeSqliteDriver implements Driver {
  readonly #queue = new ConnectionQueue()
  readonly #onDestroy: () => void
  readonly #connection: NodeSqliteConnection

  constructor(connection: NodeSqliteConnection, onDestroy: () => void) {
    this.#connection = connection
    this.#onDestroy = onDestroy
  }

  async init(): Promise<void> {}

  /**
   * First come, first served. The first statement opens the file.
   * @throws NoConnection after 2 s of waiting
   */
  async acquireConnection(): Promise<DatabaseConnection> {
    await this.#queue.enter()
    return this.#connection
  }

  async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('begin immediate'))
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('commit'))
  }

  /**
   * If the disk is full or broken, SQLite has already rolled back, and a second rollback would fail and hide
   * the cause (https://sqlite.org/lang_transaction.html#response_to_errors_within_a_transaction).
   */
  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    if (this.#connection.isInTransaction()) await connection.executeQuery(CompiledQuery.raw('rollback'))
  }

  async releaseConnection(): Promise<void> {
    this.#queue.leave()
  }

  async destroy(): Promise<void> {
    this.#onDestroy()
    this.#connection.close()
  }
}

/** @throws NoConnection, or SQLite's error where the file is only busy */
function openFile(path: string): DatabaseSync {
  let file: DatabaseSync | null = null
  try {
    createForOwner(path)
    file = new DatabaseSync(path)
    assertWritable(path)
    file.exec(`pragma busy_timeout = ${busyWithinMs}`)
    file.exec('pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on')
    // From here on executeQuery waits instead, because SQLite's own wait would block the whole process.
    file.exec('pragma busy_timeout = 0')
    return file
  } catch (error) {
    file?.close()
    if (!(error instanceof Error && 'errcode' in error)) throw new NoConnection(error)
    const { errcode, message } = error
    const withPath = Object.assign(new Error(`${message} (${path})`, { cause: error }), { errcode })
    throw isBusy(error) ? withPath : new NoConnection(withPath)
  }
}

/**
 * Only its owner may read a new file, from its first byte; SQLite gives its WAL and its shared memory the
 * permissions of the file. An existing file keeps the operator's permissions and is not opened: a process
 * that closes a file loses all of its locks on it (fcntl(2)), including those of its other SQLite
 * connections.
 */
function createForOwner(path: string): void {
  try {
    closeSync(openSync(path, 'ax', 0o600))
  } catch {
    // The file exists, or SQLite reports the error, with a code that the rest of the program handles.
  }
}

/**
 * SQLite opens a read-only file without an error and fails at the first write, perhaps hours after the start.
 */
function assertWritable(path: string): void {
  try {
    accessSync(path, constants.W_OK)
  } catch (cause) {
    const message = 'attempt to write a readonly database'
    throw Object.assign(new Error(message, { cause }), { errcode: sqliteReadOnly })
  }
}

/** null where there is no file. @throws NoConnection where the system cannot say */
function inodeOf(path: string): number | null {
  try {
    return statSync(path, { throwIfNoEntry: false })?.ino ?? null
  } catch (error) {
    throw new NoConnection(error)
  }
}

interface PreparedStatement {
  readonly statement: StatementSync
  readonly givesRows: boolean
}

class NodeSqliteConnection implements DatabaseConnection {
  readonly #path: string
  readonly #statements = new BoundedMap<PreparedStatement>(statementsKept)
  #file: DatabaseSync | null = null
  /** The inode of the opened file. */
  #inode: number | null = null

  constructor(path: string) {
    this.#path = path
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const giveUpAt = performance.now() + busyWithinMs
    for (;;) {
      try {
        this.#assertThere()
        return this.#execute(query)
      } catch (error) {
        // Only `begin immediate`, or a statement outside a transaction, can meet the lock of another process.
        if (!isBusy(error) || performance.now() > giveUpAt) throw error
        await sleep(1 + Math.random() * 10)
      }
    }
  }

  /**
   * A process can still write to a file that was deleted or replaced, but those writes are lost with the
   * process. Not checked inside a transaction, so that it can be rolled back.
   */
  #assertThere(): void {
    if (!this.#file || this.#file.isTransaction) return
    if (inodeOf(this.#path) === this.#inode) return
    throw Object.assign(new Error(`the file ${this.#path} was taken away`), { errcode: sqliteIoError })
  }

  #execute<R>(query: CompiledQuery): QueryResult<R> {
    const { statement, givesRows } = this.#prepare(query.sql)
    // Kysely types parameters as unknown; the tables hold only text, numbers and null.
    const parameters = query.parameters as SQLInputValue[]
    if (givesRows) return { rows: statement.all(...parameters) as R[] }
    const { changes } = statement.run(...parameters)
    return { rows: [], numAffectedRows: BigInt(changes) }
  }

  async *streamQuery<R>(query: CompiledQuery): AsyncIterableIterator<QueryResult<R>> {
    yield await this.executeQuery<R>(query)
  }

  dataVersion(): number {
    return Number(this.#prepare('pragma data_version').statement.get()?.data_version)
  }

  isInTransaction(): boolean {
    return this.#file?.isTransaction ?? false
  }

  close(): void {
    this.#statements.clear()
    this.#file?.close()
    this.#file = null
  }

  #prepare(sql: string): PreparedStatement {
    const known = this.#statements.get(sql)
    if (known) return known
    if (!this.#file) {
      this.#file = openFile(this.#path)
      this.#inode = statSync(this.#path).ino
    }
    const statement = this.#file.prepare(sql)
    const prepared = { statement, givesRows: statement.columns().length > 0 }
    this.#statements.set(sql, prepared)
    return prepared
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && Number(error.errcode) % 256 === sqliteBusy
}
