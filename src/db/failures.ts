// What a driver's error means, told by its code and never by its text.
import { AppError } from '../errors.ts'

const uniqueViolations = new Set<unknown>([
  'ER_DUP_ENTRY',
  '23505',
  1555, // SQLITE_CONSTRAINT_PRIMARYKEY
  2067, // SQLITE_CONSTRAINT_UNIQUE
])

/** Lost races that a second try of the whole transaction wins: deadlocks, lock waits, serialization. */
const lostRaces = new Set<unknown>([
  'ER_LOCK_DEADLOCK',
  'ER_LOCK_WAIT_TIMEOUT',
  '40001',
  '40P01',
  '55P03',
  5, // SQLITE_BUSY
  517, // SQLITE_BUSY_SNAPSHOT
])

/** The database is away, full, read-only, shutting down or too slow: not the caller's fault, and it may pass. */
const outOfReach = new Set<unknown>([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ERR_STREAM_DESTROYED',
  'PROTOCOL_CONNECTION_LOST',
  'PROTOCOL_ENQUEUE_AFTER_FATAL_ERROR',
  'PROTOCOL_ENQUEUE_AFTER_QUIT',
  'PROTOCOL_SEQUENCE_TIMEOUT',
  'POOL_CLOSED',
  'DEADLINE',
  'ER_CON_COUNT_ERROR',
  'ER_SERVER_SHUTDOWN',
  'ER_NEW_ABORTING_CONNECTION',
  'ER_ABORTING_CONNECTION',
  'ER_CONNECTION_KILLED',
  'ER_STATEMENT_TIMEOUT',
  'ER_QUERY_INTERRUPTED',
  'ER_OPTION_PREVENTS_STATEMENT',
  'ER_RECORD_FILE_FULL',
  'ER_DISK_FULL',
  'ER_ACCESS_DENIED_ERROR',
  'ER_BAD_DB_ERROR',
  'ER_DBACCESS_DENIED_ERROR',
  '57P01',
  '57P02',
  '57P03',
  '57014',
  '53300',
  '53100',
  '25006',
  '25P03',
  '28P01',
  '28000',
  '3D000',
  8, // SQLITE_READONLY
  10, // SQLITE_IOERR
  11, // SQLITE_CORRUPT
  13, // SQLITE_FULL
  14, // SQLITE_CANTOPEN
  26, // SQLITE_NOTADB
])

/** What no waiting changes: somebody has to change the setting, the file or its permissions. */
const unusableFile = new Set<unknown>([
  3, // SQLITE_PERM
  14, // SQLITE_CANTOPEN
  26, // SQLITE_NOTADB
])

const readOnly = new Set<unknown>([
  'ER_OPTION_PREVENTS_STATEMENT',
  '25006',
  8, // SQLITE_READONLY
])

function codesOf(error: unknown): unknown[] {
  if (typeof error !== 'object' || error === null) return []
  const codes: unknown[] = []
  if ('code' in error) codes.push(error.code)
  // node:sqlite tells the extended result code as a number; its low byte is the primary code.
  if ('errcode' in error && typeof error.errcode === 'number') codes.push(error.errcode, error.errcode & 0xff)
  if (error instanceof AggregateError) codes.push(...error.errors.flatMap(codesOf))
  return codes
}

/** True where a unique index refused a row. */
export function isUniqueViolation(error: unknown): boolean {
  return codesOf(error).some((code) => uniqueViolations.has(code))
}

/** True where the same transaction, tried again from its start, may succeed. */
export function isLostRace(error: unknown): boolean {
  return codesOf(error).some((code) => lostRaces.has(code))
}

/** True where the database could not do its work at all. */
export function isOutOfReach(error: unknown): boolean {
  const codes = codesOf(error)
  return (
    codes.some((code) => outOfReach.has(code)) ||
    codes.some((code) => typeof code === 'string' && /^08[0-9A-Z]{3}$/.test(code)) ||
    // pg and mysql2 report some lost connections by text alone, without any code.
    (error instanceof Error &&
      /^(Connection terminated|Client has encountered|Can't add new command)/.test(error.message))
  )
}

/** True where the file of an embedded database can never be opened as it is. */
export function isUnusableFile(error: unknown): boolean {
  return codesOf(error).some((code) => unusableFile.has(code))
}

/** True where the database lets nobody write, or not us. */
export function isReadOnly(error: unknown): boolean {
  return codesOf(error).some((code) => readOnly.has(code))
}

/** `unavailable` for an error that says that the truth cannot be asked now; any other error as it is. */
export function asUnavailable(error: unknown): unknown {
  if (!isOutOfReach(error) && !isLostRace(error)) return error
  return new AppError('unavailable', { retryAfterSeconds: 1 }, { cause: error })
}
