// Reports to the operator what a migration does to a table with many rows, before each statement that may
// take long.
import { CompiledQuery, type DatabaseConnection, type Dialect, type Driver } from 'kysely'
import type { DatabaseKind } from './database-url.ts'

/** One sentence in both languages. */
export interface Sentence {
  readonly zh: string
  readonly en: string
}

export type Tell = (sentence: Sentence) => void

/** Changes of smaller tables are fast and are not reported. */
const toldFromRows = 10_000

/** The statements that may take long, with their descriptions and tables. */
const forms: readonly { readonly pattern: RegExp; readonly what: (name: string) => Sentence }[] = [
  {
    pattern: /^create (?:unique )?index (?:if not exists )?\W(?<name>\w+)\W on \W(?<table>\w+)/i,
    what: (name) => ({ zh: `添加索引 ${name}`, en: `adding index ${name}` }),
  },
  {
    pattern: /^alter table \W?(?<table>\w+)\W+add column \W(?<name>\w+)/i,
    what: (name) => ({ zh: `添加列 ${name}`, en: `adding column ${name}` }),
  },
  {
    pattern: /^alter table \W?(?<table>\w+)/i,
    what: () => ({ zh: '修改结构', en: 'changing its columns or indexes' }),
  },
]

/** About how many rows a table has, without counting them. */
const estimates: Readonly<Record<DatabaseKind, (table: string) => CompiledQuery>> = {
  sqlite: (table) => CompiledQuery.raw(`select max(rowid) as n from "${table}"`),
  mysql: (table) =>
    CompiledQuery.raw(
      'select table_rows as n from information_schema.tables where table_schema = database() and table_name = ?',
      [table],
    ),
  // A table that was never analysed has no count: the estimate assumes 100 bytes for each row.
  postgres: (table) =>
    CompiledQuery.raw(
      `select greatest(reltuples, pg_relation_size(oid) / 200) as n from pg_class
        where relname = $1 and relnamespace = current_schema()::regnamespace`,
      [table],
    ),
}

/** A dialect that reports each long statement before it runs. */
export function dialectThatTells(dialect: Dialect, kind: DatabaseKind, tell: Tell): Dialect {
  return {
    createAdapter: () => dialect.createAdapter(),
    createIntrospector: (db) => dialect.createIntrospector(db),
    createQueryCompiler: () => dialect.createQueryCompiler(),
    createDriver: () => driverThatTells(dialect.createDriver(), kind, tell),
  }
}

function driverThatTells(driver: Driver, kind: DatabaseKind, tell: Tell): Driver {
  const telling = new WeakMap<DatabaseConnection, DatabaseConnection['executeQuery']>()
  return {
    init: () => driver.init(),
    async acquireConnection() {
      const connection = await driver.acquireConnection()
      if (!telling.has(connection)) {
        const execute = connection.executeQuery.bind(connection)
        telling.set(connection, execute)
        connection.executeQuery = async (query, ...rest) => {
          const statement = await longStatement(execute, kind, query.sql)
          if (statement) tell(statement)
          return await execute(query, ...rest)
        }
      }
      return connection
    },
    beginTransaction: (connection, settings) => driver.beginTransaction(connection, settings),
    commitTransaction: (connection) => driver.commitTransaction(connection),
    rollbackTransaction: (connection) => driver.rollbackTransaction(connection),
    releaseConnection: (connection) => driver.releaseConnection(connection),
    destroy: () => driver.destroy(),
  }
}

/** The report of a statement; null where there is none. */
async function longStatement(
  execute: DatabaseConnection['executeQuery'],
  kind: DatabaseKind,
  sql: string,
): Promise<Sentence | null> {
  for (const { pattern, what } of forms) {
    const { table, name = '' } = pattern.exec(sql)?.groups ?? {}
    if (table === undefined) continue
    const { rows } = await execute<{ n: number | string | null }>(estimates[kind](table))
    const count = Number(rows[0]?.n ?? 0)
    if (count < toldFromRows) return null
    const { zh, en } = what(name)
    return {
      zh: `迁移：表 ${table}（约 ${Math.round(count / 10_000)} 万行）：${zh}`,
      en: `migration: ${en} on ${table}, about ${inWords(count)} rows`,
    }
  }
  return null
}

function inWords(count: number): string {
  return count < 1_000_000 ? `${Math.round(count / 1_000)},000` : `${(count / 1_000_000).toFixed(1)} M`
}
