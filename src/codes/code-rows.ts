// Codes in SQL: guarded updates, so that whoever comes second sees that it did. No policy here.
import type { CodesTable, Database, Purpose } from '../db/schema.ts'

export interface CodeName {
  /** E.164. */
  readonly phoneNumber: string
  readonly purpose: Purpose
}

/** The code that was asked for last, or null. */
export async function findCode(db: Database, { phoneNumber, purpose }: CodeName): Promise<CodesTable | null> {
  const row = await db
    .selectFrom('hufu_codes')
    .selectAll()
    .where('phone_number', '=', phoneNumber)
    .where('purpose', '=', purpose)
    .executeTakeFirst()
  return row ?? null
}

/** Writes the first code of its name. @throws the driver's unique violation where there is one */
export async function insertCode(db: Database, row: CodesTable): Promise<void> {
  await db.insertInto('hufu_codes').values(row).execute()
}

/** Puts a new code in the place of one that has run out, was used, or has no guess left; else does nothing. */
export async function replaceDeadCode(db: Database, row: CodesTable, maxGuesses: number): Promise<void> {
  const { phone_number, purpose, ...values } = row
  await db
    .updateTable('hufu_codes')
    .set(values)
    .where('phone_number', '=', phone_number)
    .where('purpose', '=', purpose)
    .where((where) =>
      where.or([
        where('expires_at', '<=', row.sent_at),
        where('used_at', 'is not', null),
        where('guesses', '>=', maxGuesses),
      ]),
    )
    .execute()
}

/** Counts a guess against a code that is good and has guesses left; false where there is none. */
export async function countGuess(
  db: Database,
  { phoneNumber, purpose }: CodeName,
  now: number,
  maxGuesses: number,
): Promise<boolean> {
  const result = await db
    .updateTable('hufu_codes')
    .set((row) => ({ guesses: row('guesses', '+', 1) }))
    .where('phone_number', '=', phoneNumber)
    .where('purpose', '=', purpose)
    .where('guesses', '<', maxGuesses)
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

/** Deletes up to `limit` codes that ran out before a time, and returns how many. */
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
    // A code that was asked for since is not due.
    .where('expires_at', '<', at)
    .executeTakeFirst()
  return Number(numDeletedRows)
}
