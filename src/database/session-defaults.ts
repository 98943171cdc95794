// The settings of every database session, whatever defaults the server, the database or the role has. One
// statement sets them on each new connection. docs/operations.md lists them; test/operations/presets.test.ts
// tests each.

import { statementMs } from '../timing.ts'

/**
 * The deadlines of a statement (0: none), of its waits for locks, and of a transaction without statements.
 */
export interface SessionDeadlines {
  readonly statementMs: number
  readonly lockMs: number
  readonly idleTransactionMs: number
}

/** The deadlines of requests. */
export const requestDeadlines: SessionDeadlines = {
  statementMs,
  lockMs: 4_000,
  idleTransactionMs: 10_000,
}

/**
 * The deadlines of migrations. Creating an index of a large table has no deadline. A statement waits for a
 * lock no longer than one of a request does, because all later statements wait behind it; migrate.ts retries.
 */
export const migrationDeadlines: SessionDeadlines = {
  ...requestDeadlines,
  statementMs: 0,
  idleTransactionMs: 60_000,
}

const largest = '18446744073709551615'

/**
 * `set session …` for MySQL and MariaDB. Only MariaDB runs the contents of `M!` comments, and only MySQL
 * those of comments with a version from 5.7.7 on, so one statement works on both.
 */
export function mysqlSession({ statementMs, lockMs, idleTransactionMs }: SessionDeadlines): string {
  const lockSeconds = Math.ceil(lockMs / 1000)
  const idleSeconds = Math.ceil(idleTransactionMs / 1000)
  const both = [
    // Text: four-byte characters (emoji) are kept, and every statement is read in the character set in which
    // it was written.
    'character_set_client = utf8mb4',
    'character_set_connection = utf8mb4',
    'character_set_results = utf8mb4',
    'collation_connection = utf8mb4_general_ci',
    // A statement outside a transaction commits; a commit neither begins a transaction nor closes the
    // connection.
    'autocommit = 1',
    "completion_type = 'NO_CHAIN'",
    // Errors instead of truncated values; backslashes in quoted values mean what the driver assumes.
    "sql_mode = 'TRADITIONAL'",
    "time_zone = '+00:00'",
    'sql_auto_is_null = 0',
    'sql_safe_updates = 0',
    'sql_big_selects = 1',
    `sql_select_limit = ${largest}`,
    'foreign_key_checks = 1',
    'unique_checks = 1',
    'default_storage_engine = InnoDB',
    'default_tmp_storage_engine = InnoDB',
    `innodb_lock_wait_timeout = ${lockSeconds}`,
    `lock_wait_timeout = ${lockSeconds}`,
    'wait_timeout = 28800',
    'net_read_timeout = 30',
    'net_write_timeout = 60',
  ]
  const mariadb = [
    "tx_isolation = 'READ-COMMITTED'",
    'tx_read_only = 0',
    `max_statement_time = ${statementMs / 1000}`,
    `idle_transaction_timeout = ${idleSeconds}`,
    `idle_readonly_transaction_timeout = ${idleSeconds}`,
    `idle_write_transaction_timeout = ${idleSeconds}`,
  ]
  const mysql = [
    "transaction_isolation = 'READ-COMMITTED'",
    'transaction_read_only = 0',
    `max_execution_time = ${statementMs}`,
  ]
  const list = (settings: readonly string[]) => settings.map((setting) => `, ${setting}`).join('')
  return `set ${both.join(', ')}/*M!${list(mariadb)} *//*!50720${list(mysql)} */`
}

/** The settings of PostgreSQL. Not every version has all of them. */
function postgresSettings({ statementMs, lockMs, idleTransactionMs }: SessionDeadlines) {
  return {
    client_encoding: 'UTF8',
    DateStyle: 'ISO, YMD',
    IntervalStyle: 'postgres',
    TimeZone: 'UTC',
    bytea_output: 'hex',
    extra_float_digits: '1',
    standard_conforming_strings: 'on',
    backslash_quote: 'safe_encoding',
    transform_null_equals: 'off',
    array_nulls: 'on',
    default_transaction_isolation: 'read committed',
    default_transaction_read_only: 'off',
    default_transaction_deferrable: 'off',
    statement_timeout: String(statementMs),
    lock_timeout: String(lockMs),
    idle_in_transaction_session_timeout: String(idleTransactionMs),
    transaction_timeout: '0',
    idle_session_timeout: '0',
    row_security: 'on',
    exit_on_error: 'off',
    default_table_access_method: 'heap',
    default_tablespace: '',
  }
}

/**
 * `set_config` for PostgreSQL. Names that the server's version does not have are skipped. A stronger
 * durability than the program's is kept; one that acknowledges before the write is on disk is not.
 */
export function postgresSession(deadlines: SessionDeadlines): string {
  const settings = Object.entries(postgresSettings(deadlines))
  const values = settings.map(([name, value]) => `('${name}', '${value}')`)
  return `select pg_catalog.set_config(s.name, wanted.value, false)
    from (values ${values.join(', ')}) wanted (name, value)
    join pg_catalog.pg_settings s on pg_catalog.lower(s.name) = pg_catalog.lower(wanted.name)
    union all select pg_catalog.set_config('synchronous_commit', 'on', false)
    where pg_catalog.current_setting('synchronous_commit') in ('off', 'local')`
}

/**
 * Of `postgresSettings`, those that do not matter within a transaction of this program, which gives its mode
 * where it begins: it reads no dates or intervals as text. The driver sends `client_encoding` to poolers.
 */
const notInTransactions = new Set([
  'client_encoding',
  'DateStyle',
  'IntervalStyle',
  'TimeZone',
  'default_transaction_isolation',
  'default_transaction_read_only',
  'default_transaction_deferrable',
  'idle_session_timeout',
])
/** The first version with it, as in `server_version_num`; every supported version has the others. */
const since: Readonly<Record<string, number>> = {
  default_table_access_method: 120_000,
  transaction_timeout: 170_000,
}

/** The same as `postgresSession`, for the present transaction alone and without a look at the catalog. */
export function postgresTransaction(deadlines: SessionDeadlines, version: number): string {
  const settings = Object.entries(postgresSettings(deadlines)).filter(
    ([name]) => !notInTransactions.has(name) && version >= (since[name] ?? 0),
  )
  const calls = settings.map(([name, value]) => `pg_catalog.set_config('${name}', '${value}', true)`)
  const durability = `case when pg_catalog.current_setting('synchronous_commit') in ('off', 'local')
    then pg_catalog.set_config('synchronous_commit', 'on', true) end`
  return `select ${[...calls, durability].join(', ')}`
}
