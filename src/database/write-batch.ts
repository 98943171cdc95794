// Writes of a transaction whose results are not needed: PostgreSQL gets several of them in one statement, so
// that the account's lock is held for fewer round trips.
import {
  CompiledQuery,
  type DatabaseConnection,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
} from 'kysely'
import type { Database, Tables } from './schema.ts'

/** Collects writes until `send`. Of two writes in one batch, none may need what the other one wrote. */
export class WriteBatch {
  /** Statements on this database are collected; they return no rows, and no counts. */
  readonly db: Database
  readonly #tx: Database
  #collected: CompiledQuery[] = []

  constructor(tx: Database) {
    this.#tx = tx
    // SQLite has no round trips; MySQL and MariaDB have no statement with several writes.
    this.db = isPostgres(tx) ? this.#collector() : tx
  }

  /**
   * Runs what was collected since the last call. PostgreSQL runs all parts of a `with` to their end, on the
   * same snapshot.
   */
  async send(): Promise<void> {
    const queries = this.#collected
    this.#collected = []
    const [first, ...others] = queries
    if (!first) return
    if (others.length === 0) return void (await this.#tx.executeQuery(first))
    const parameters = queries.flatMap((query) => query.parameters)
    let before = 0
    const parts = queries.map(({ sql, parameters: { length } }, i) => {
      const from = before
      before += length
      return `w${i} as (${sql.replace(/\$(\d+)/g, (_all, n: string) => `$${Number(n) + from}`)})`
    })
    await this.#tx.executeQuery(CompiledQuery.raw(`with ${parts.join(', ')} select 1`, parameters))
  }

  #collector(): Database {
    const connection: DatabaseConnection = {
      executeQuery: async (query) => {
        this.#collected.push(query)
        return { rows: [] }
      },
      streamQuery: () => {
        throw new Error('a batch has writes alone')
      },
    }
    const nothing = async () => {}
    return new Kysely<Tables>({
      dialect: {
        createAdapter: () => new PostgresAdapter(),
        createIntrospector: (db) => new PostgresIntrospector(db),
        createQueryCompiler: () => new PostgresQueryCompiler(),
        createDriver: () => ({
          init: nothing,
          acquireConnection: async () => connection,
          beginTransaction: nothing,
          commitTransaction: nothing,
          rollbackTransaction: nothing,
          releaseConnection: nothing,
          destroy: nothing,
        }),
      },
    })
  }
}

function isPostgres(db: Database): boolean {
  return db.getExecutor().adapter instanceof PostgresAdapter
}
