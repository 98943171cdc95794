// How many rows a database reads to answer one statement, whether or not they are in the result.
import { execFileSync } from 'node:child_process'
import { type CompiledQuery, CompiledQuery as Raw, sql } from 'kysely'
import type { DatabaseKind } from '../../src/database/open.ts'
import type { Database, DatabaseTransaction } from '../../src/database/schema.ts'

class RolledBack extends Error {}

/** Runs work in a transaction that is rolled back. */
export async function rolledBack<T>(db: Database, work: (tx: DatabaseTransaction) => Promise<T>): Promise<T> {
  const done: T[] = []
  try {
    await db.transaction().execute(async (tx) => {
      done.push(await work(tx))
      throw new RolledBack()
    })
  } catch (error) {
    if (!(error instanceof RolledBack)) throw error
  }
  const [result] = done
  // It was rolled back after the push.
  return result as T
}

/**
 * Runs a statement, takes it back, and returns how many rows and entries of indexes the database read.
 * @param file the file of an SQLite database, which nothing else writes to at the moment
 */
export async function visitedRows(
  db: Database,
  kind: DatabaseKind,
  statement: CompiledQuery,
  file: string,
): Promise<number> {
  if (kind === 'sqlite') return visitedOnSqlite(file, statement)
  return await rolledBack(db, (tx) =>
    kind === 'postgres' ? visitedOnPostgres(tx, statement) : visitedOnMysql(tx, statement),
  )
}

/** The first two readings tell what a reading of the counters adds to them. */
async function visitedOnMysql(tx: DatabaseTransaction, statement: CompiledQuery): Promise<number> {
  const first = await handlerReads(tx)
  const second = await handlerReads(tx)
  await tx.executeQuery(statement)
  return (await handlerReads(tx)) - second - (second - first)
}

/**
 * Rows and entries that the server asked its engine for. What the engine itself passes over, by a condition
 * that was pushed down to it, has a counter of its own (MariaDB's `Handler_icp_attempts`).
 */
async function handlerReads(tx: DatabaseTransaction): Promise<number> {
  const { rows } = await sql<{ Value: string }>`show session status
    where Variable_name like 'Handler_read%' or Variable_name = 'Handler_icp_attempts'`.execute(tx)
  return rows.reduce((sum, { Value }) => sum + Number(Value), 0)
}

interface PlanNode {
  readonly 'Node Type': string
  readonly 'Actual Rows': number
  readonly 'Actual Loops': number
  readonly 'Rows Removed by Filter'?: number
  readonly 'Rows Removed by Index Recheck'?: number
  readonly 'Shared Hit Blocks'?: number
  readonly 'Shared Read Blocks'?: number
  readonly Plans?: readonly PlanNode[]
}

/**
 * PostgreSQL does not count the entries of an index that a condition on a later column rejects. They show as
 * blocks, each of which has room for some hundred of them.
 */
async function visitedOnPostgres(tx: DatabaseTransaction, statement: CompiledQuery): Promise<number> {
  const explain = `explain (analyze, buffers, timing off, format json) ${statement.sql}`
  const { rows } = await tx.executeQuery<{ 'QUERY PLAN': readonly { readonly Plan: PlanNode }[] }>(
    Raw.raw(explain, [...statement.parameters]) as CompiledQuery<{
      'QUERY PLAN': readonly { readonly Plan: PlanNode }[]
    }>,
  )
  const plan = rows[0]?.['QUERY PLAN'][0]?.Plan
  if (!plan) throw new Error('no plan')
  const blocks = (plan['Shared Hit Blocks'] ?? 0) + (plan['Shared Read Blocks'] ?? 0)
  return Math.max(scanned(plan), blocks)
}

function scanned(node: PlanNode): number {
  const own =
    node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0) + (node['Rows Removed by Index Recheck'] ?? 0)
  const isScan = /Scan$/.test(node['Node Type']) && node['Node Type'] !== 'Subquery Scan'
  const below = (node.Plans ?? []).reduce((sum, child) => sum + scanned(child), 0)
  return below + (isScan ? own * node['Actual Loops'] : 0)
}

/** A row that is read and compared takes the virtual machine about this many steps. */
const stepsOfRow = 10

/** By the steps of SQLite's virtual machine, which its shell shows (https://sqlite.org/cli.html). */
function visitedOnSqlite(file: string, { sql: text, parameters }: CompiledQuery): number {
  const values = [...parameters]
  const literal = (value: unknown) => {
    if (value === null || value === undefined) return 'null'
    return typeof value === 'number' ? String(value) : `'${String(value).replaceAll("'", "''")}'`
  }
  const whole = text.replace(/\?/g, () => literal(values.shift()))
  const script = `pragma foreign_keys = on;\nbegin;\n.stats vmstep\n${whole};\n.stats off\nrollback;\n`
  const output = execFileSync('sqlite3', ['-bail', file], {
    input: script,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  })
  const steps = /^VM-steps: (\d+)$/m.exec(output)?.[1]
  if (steps === undefined) throw new Error(`no steps in ${output.slice(-200)}`)
  return Math.ceil(Number(steps) / stepsOfRow)
}
