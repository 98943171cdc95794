// The meaning of a driver's error, by its code and, with one exception, never by its text.
import { AppError } from '../errors.ts'
import {
  lostConnections,
  mysqlErrors,
  postgresClasses,
  postgresErrors,
  sqliteErrors,
} from './failure-codes.ts'
import { WrongServer } from './server-identity.ts'

/**
 * No connection to the database was available. `cause` is the reason; in every case the statement was not
 * sent.
 */
export class NoConnection extends Error {
  constructor(cause: unknown) {
    super(messageOf(cause), { cause })
    this.name = 'NoConnection'
  }
}

/** Node reports a refused connection to several addresses as one error without a message. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.message || (error instanceof AggregateError && String(error.errors[0]?.message)) || error.name
}

type Meaning =
  | 'unique'
  | 'lostRace'
  | 'readOnly'
  | 'wrongServer'
  | 'connectionEnds'
  | 'outOfReach'
  | 'unusableFile'

/** The error itself, those of several addresses, and the cause of a missing connection. */
function partsOf(error: unknown): unknown[] {
  if (error instanceof NoConnection) return [error, ...partsOf(error.cause)]
  if (error instanceof AggregateError) return [error, ...error.errors.flatMap(partsOf)]
  return [error]
}

/** Whether the tables of the error's own database give it this meaning. */
function means(error: unknown, meaning: Meaning): boolean {
  if (typeof error !== 'object' || error === null) return false
  const isIn = (table: Partial<Record<Meaning, ReadonlySet<unknown>>>, code: unknown) =>
    table[meaning]?.has(code) ?? false
  // node:sqlite reports the extended result code as a number; its low byte is the primary code.
  if ('errcode' in error && typeof error.errcode === 'number')
    return isIn(sqliteErrors, error.errcode) || isIn(sqliteErrors, error.errcode & 0xff)
  // An error packet of MySQL or MariaDB; an `errno` of the system is below 0.
  if ('errno' in error && typeof error.errno === 'number' && error.errno > 0)
    return isIn(mysqlErrors, error.errno)
  // Only PostgreSQL's own errors have a severity.
  if ('severity' in error && 'code' in error) return isIn(postgresErrors, error.code)
  return false
}

function anyMeans(error: unknown, meaning: Meaning): boolean {
  return partsOf(error).some((part) => means(part, meaning))
}

/** Whether a unique index refused a row. */
export function isUniqueViolation(error: unknown): boolean {
  return anyMeans(error, 'unique')
}

/** Whether the same transaction may succeed when it is retried from its start. */
export function isRetryable(error: unknown): boolean {
  return anyMeans(error, 'lostRace')
}

/**
 * Whether the database could not work at all: it is unreachable, full, read-only, shutting down or too slow,
 * or refuses the login.
 */
export function isUnavailable(error: unknown): boolean {
  return (
    error instanceof NoConnection ||
    anyMeans(error, 'outOfReach') ||
    isOfWrongServer(error) ||
    endsConnection(error) ||
    partsOf(error).some(isInPostgresClass)
  )
}

/**
 * Whether the server of the connection refuses what the primary would do, whichever user asks: it is
 * read-only, a standby or not ready. The connection may be left over from before a fail-over.
 */
export function isOfWrongServer(error: unknown): boolean {
  return isReadOnly(error) || anyMeans(error, 'wrongServer')
}

/** Whether the connection is lost, or the server closes it: no further statement would be answered. */
export function endsConnection(error: unknown): boolean {
  return (
    anyMeans(error, 'connectionEnds') ||
    partsOf(error).some((part) => isLostConnection(part) || isPostgresConnectionException(part))
  )
}

/** Class 08, as in `isInPostgresClass`. */
function isPostgresConnectionException(error: unknown): boolean {
  return (
    isInPostgresClass(error) && error instanceof Error && 'code' in error && /^08/.test(String(error.code))
  )
}

function isInPostgresClass(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false
  if (!('severity' in error && 'code' in error)) return false
  // A pooler without a free server connection closes the client's with this code. With severity ERROR it
  // comes from the server, and concerns a message of this program.
  if (error.code === '08P01') return error.severity === 'FATAL'
  return typeof error.code === 'string' && postgresClasses.test(error.code)
}

function isLostConnection(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if ('code' in error && lostConnections.has(error.code)) return true
  // pg and mysql2 report some lost connections by text alone, without any code.
  return /^(Connection terminated|Client has encountered|Can't add new command|Cannot use a pool after)/.test(
    error.message,
  )
}

/** Whether the file of an embedded database cannot be opened in its present state. */
export function isUnusableFile(error: unknown): boolean {
  return anyMeans(error, 'unusableFile')
}

/** Whether the database refuses all writes, or those of this user. */
export function isReadOnly(error: unknown): boolean {
  return anyMeans(error, 'readOnly')
}

/** Whether the connections lead to a read-only server or a standby, which may be over in a moment. */
export function isReadOnlyServer(error: unknown): boolean {
  return partsOf(error).some((part) => part instanceof WrongServer && part.isReadOnly)
}

/** `unavailable` for an error that says that the database cannot work now; any other error unchanged. */
export function asUnavailable(error: unknown): unknown {
  if (!isUnavailable(error) && !isRetryable(error)) return error
  return new AppError('unavailable', { retryAfterSeconds: 1 }, { cause: error })
}
