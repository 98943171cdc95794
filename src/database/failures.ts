// What a driver's error means, told by its code and never by its text.
import { AppError } from '../errors.ts'
import {
  lostConnections,
  mysqlErrors,
  postgresClasses,
  postgresErrors,
  sqliteErrors,
} from './failure-codes.ts'

/** No connection to the database could be had; `cause` says why, and whatever it is, the statement was not sent. */
export class NoConnection extends Error {
  constructor(cause: unknown) {
    super(cause instanceof Error ? messageOf(cause) : String(cause), { cause })
    this.name = 'NoConnection'
  }
}

/** Node reports a refused connection on several addresses as one error without words. */
function messageOf(error: Error): string {
  return error.message || (error instanceof AggregateError && String(error.errors[0]?.message)) || error.name
}

type Meaning = 'unique' | 'lostRace' | 'readOnly' | 'outOfReach' | 'unusableFile'

/** The errors of which this one is made: itself, those of several addresses, and why there was no connection. */
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
  // node:sqlite tells the extended result code as a number; its low byte is the primary code.
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

/** True where a unique index refused a row. */
export function isUniqueViolation(error: unknown): boolean {
  return anyMeans(error, 'unique')
}

/** True where the same transaction, tried again from its start, may succeed. */
export function isRetryable(error: unknown): boolean {
  return anyMeans(error, 'lostRace')
}

/** True where the database could not do its work at all: it is away, full, read-only, shutting down or too slow, or lets us not in. */
export function isUnavailable(error: unknown): boolean {
  return (
    error instanceof NoConnection ||
    anyMeans(error, 'outOfReach') ||
    isReadOnly(error) ||
    partsOf(error).some((part) => isInPostgresClass(part) || isLostConnection(part))
  )
}

function isInPostgresClass(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false
  if (!('severity' in error && 'code' in error)) return false
  // A pooler that has no connection for us ends ours with this code; the server itself says ERROR, and means our message.
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

/** True where the file of an embedded database can never be opened as it is. */
export function isUnusableFile(error: unknown): boolean {
  return anyMeans(error, 'unusableFile')
}

/** True where the database lets nobody write, or not us. */
export function isReadOnly(error: unknown): boolean {
  return anyMeans(error, 'readOnly')
}

/** `unavailable` for an error that says that the truth cannot be asked now; any other error as it is. */
export function asUnavailable(error: unknown): unknown {
  if (!isUnavailable(error) && !isRetryable(error)) return error
  return new AppError('unavailable', { retryAfterSeconds: 1 }, { cause: error })
}
