// Wrong passwords and codes: one place compares passwords, and one place records failures.

import { findAccountByPhoneNumber } from '../accounts/account-rows.ts'
import type { Clock } from '../clock.ts'
import type { AccountsTable, Database } from '../database/schema.ts'
import { AppError, isWrongProof } from '../errors.ts'
import { type EventKind, type RequestOrigin, recordEvents } from '../events/events.ts'
import type { Guess } from '../limits/limiter.ts'
import type { Passwords } from '../passwords/password.ts'

export interface Refusal {
  readonly kind: Extract<EventKind, 'sign_in_failed' | 'proof_failed'>
  /** E.164; null: the account has no number. */
  readonly phoneNumber: string | null
  /** null or absent: the account that has the number, if there is one. */
  readonly accountId?: string | null
  readonly detail: Readonly<Record<string, string>>
  readonly origin: RequestOrigin
}

/**
 * For `catch`: records that a credential was wrong, for the number and its account, and throws the error
 * again.
 */
export function noteWrong({ db, clock }: { db: Database; clock: Clock }, refusal: Refusal) {
  return async (error: unknown): Promise<never> => {
    if (isWrongProof(error)) {
      const { kind, phoneNumber, detail, origin } = refusal
      const owner = phoneNumber === null ? null : await findAccountByPhoneNumber(db, phoneNumber)
      const accountId = refusal.accountId ?? owner?.id ?? null
      await recordEvents(db, clock.now(), origin, [{ kind, accountId, phoneNumber, detail }])
    }
    throw error
  }
}

/**
 * The stored hash that a password matches. A number without an account, or without a password, costs the same
 * work. When the number has had too many wrong passwords from callers without a device proof (`full`), such a
 * caller's right password is refused like a wrong one: such callers can still sign in by code.
 * @throws AppError `credentials_wrong`, `overloaded`, `unavailable`
 */
export async function comparePassword(
  passwords: Passwords,
  { row, password, guess }: { row: AccountsTable | null; password: string; guess: Guess },
): Promise<string> {
  const stored = row?.password_hash ?? null
  const judged = await guess.count(stored !== null)
  const isRight = await passwords.verify(stored, password)
  if (!isRight || stored === null || judged === 'full') {
    throw new AppError('credentials_wrong', { wrong: row ? 'password' : 'phone_number' })
  }
  return stored
}
