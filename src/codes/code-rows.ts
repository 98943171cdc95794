// Codes in SQL: conditional updates, so that the later of two concurrent requests learns that it lost. On a
// Galera cluster too: both change one row, so that the later one is checked again (database/galera.ts). No
// policy here.
import { sql } from 'kysely'
import type { CodesTable, Database } from '../database/schema.ts'
import type { Purpose } from './purpose.ts'

export interface CodeName {
  /** E.164. */
  readonly phoneNumber: string
  readonly purpose: Purpose
}

/** A code as it is stored. Times are milliseconds since 1970 UTC. */
export interface StoredCode {
  /** 256 random bits, base64url. The digits are derived from it: code-digits.ts. */
  readonly nonce: string
  /** How many guesses have been counted. */
  readonly guesses: number
  readonly sentAt: number
  readonly expiresAt: number
  /** null: not used yet. */
  readonly usedAt: number | null
}

/** The newest code, or null. */
export async function findCode(db: Database, { phoneNumber, purpose }: CodeName): Promise<StoredCode | null> {
  const row = await db
    .selectFrom('hufu_codes')
    .selectAll()
    .where('phone_number', '=', phoneNumber)
    .where('purpose', '=', purpose)
    .executeTakeFirst()
  if (!row) return null
  const { nonce, guesses, sent_at: sentAt, expires_at: expiresAt, used_at: usedAt } = row
  return { nonce, guesses, sentAt, expiresAt, usedAt }
}

/**
 * Inserts the first code of a number and purpose.
 * @throws the driver's unique violation where there is one
 */
export async function insertCode(db: Database, name: CodeName, code: StoredCode): Promise<void> {
  const { phoneNumber, purpose } = name
  await db
    .insertInto('hufu_codes')
    .values({ phone_number: phoneNumber, purpose, ...columnsOf(code) })
    .execute()
}

/** Replaces the code with this nonce; false where another request has replaced it. */
export async function replaceCode(
  db: Database,
  { phoneNumber, purpose }: CodeName,
  { nonce, by }: { readonly nonce: string; readonly by: StoredCode },
): Promise<boolean> {
  const result = await db
    .updateTable('hufu_codes')
    .set(columnsOf(by))
    .where('phone_number', '=', phoneNumber)
    .where('purpose', '=', purpose)
    .where('nonce', '=', nonce)
    .executeTakeFirst()
  return result.numUpdatedRows > 0n
}

/**
 * Extends a valid code to a time; its guesses stay counted. False where no code is valid: it has expired, was
 * used, has no guess left, or was made before `madeAfter`.
 */
export async function extendCode(
  db: Database,
  { phoneNumber, purpose }: CodeName,
  {
    now,
    until,
    madeAfter,
    maxGuesses,
  }: { now: number; until: number; madeAfter: number; maxGuesses: number },
): Promise<boolean> {
  const result = await db
    .updateTable('hufu_codes')
    .set({ expires_at: until })
    .where('phone_number', '=', phoneNumber)
    .where('purpose', '=', purpose)
    .where('expires_at', '>', now)
    .where('sent_at', '>=', madeAfter)
    .where('used_at', 'is', null)
    .where('guesses', '<', maxGuesses)
    .executeTakeFirst()
  return result.numUpdatedRows > 0n
}

/**
 * Writes to a code without a change of its validity: it becomes a millisecond older. No index contains this
 * column, so that on MariaDB the write cannot deadlock with a write that finds its row by `expires_at`.
 */
export async function touchCode(db: Database, { phoneNumber, purpose }: CodeName): Promise<void> {
  await db
    .updateTable('hufu_codes')
    .set((row) => ({ sent_at: row('sent_at', '-', 1) }))
    .where('phone_number', '=', phoneNumber)
    .where('purpose', '=', purpose)
    .execute()
}

/**
 * Counts a guess at a valid code that has guesses left; false where there is none. Another try of the last
 * guess (with the same fingerprint) needs no guess and uses up none.
 */
export async function countGuess(
  db: Database,
  { phoneNumber, purpose }: CodeName,
  { fingerprint, now, maxGuesses }: { fingerprint: string | null; now: number; maxGuesses: number },
): Promise<boolean> {
  const isSame = sql<boolean>`(last_guess is not null and last_guess = ${fingerprint})`
  const result = await db
    .updateTable('hufu_codes')
    // MySQL assigns from left to right: the guess is counted while `last_guess` is the one before it.
    .set({ guesses: sql`guesses + case when ${isSame} then 0 else 1 end`, last_guess: fingerprint })
    .where('phone_number', '=', phoneNumber)
    .where('purpose', '=', purpose)
    .where((row) => row.or([row('guesses', '<', maxGuesses), isSame]))
    .where('expires_at', '>', now)
    .where('used_at', 'is', null)
    .executeTakeFirst()
  return result.numUpdatedRows > 0n
}

/** Marks exactly this code as used; false where it was used before. */
export async function useCode(tx: Database, name: CodeName, nonce: string, now: number): Promise<boolean> {
  const result = await tx
    .updateTable('hufu_codes')
    .set({ used_at: now })
    .where('phone_number', '=', name.phoneNumber)
    .where('purpose', '=', name.purpose)
    .where('nonce', '=', nonce)
    .where('used_at', 'is', null)
    .executeTakeFirst()
  return result.numUpdatedRows > 0n
}

/** Deletes the codes of a number. */
export async function deleteCodesOf(tx: Database, phoneNumber: string): Promise<void> {
  await tx.deleteFrom('hufu_codes').where('phone_number', '=', phoneNumber).execute()
}

/** Deletes up to `limit` codes that expired before a time, and returns how many. */
export async function deleteCodesBefore(db: Database, at: number, limit: number): Promise<number> {
  const old = await db
    .selectFrom('hufu_codes')
    .select(['phone_number', 'purpose'])
    .where('expires_at', '<', at)
    .orderBy('expires_at')
    .limit(limit)
    .execute()
  if (old.length === 0) return 0
  const { numDeletedRows } = await db
    .deleteFrom('hufu_codes')
    .where('phone_number', 'in', [...new Set(old.map((code) => code.phone_number))])
    // A code that was requested meanwhile is not due.
    .where('expires_at', '<', at)
    .executeTakeFirst()
  return Number(numDeletedRows)
}

/** The columns of a code that has no guess with an idempotency key yet. */
function columnsOf(code: StoredCode): Omit<CodesTable, 'phone_number' | 'purpose'> {
  const { nonce, guesses, sentAt, expiresAt, usedAt } = code
  return { nonce, guesses, last_guess: null, sent_at: sentAt, expires_at: expiresAt, used_at: usedAt }
}
