// Wrong passwords and codes: one place compares passwords, and one place records failures.

import { AppError, isWrongCredential } from '../errors.ts'
import type { EventKind, RequestOrigin } from '../events/events.ts'
import type { Guess } from '../limits/guess.ts'
import type { Passwords } from '../passwords/password.ts'
import type { StoredAccount } from '../sessions/account.ts'
import type { AccountWriter } from '../sessions/account-writer.ts'

export interface Refusal {
  readonly kind: Extract<EventKind, 'sign_in_failed' | 'proof_failed'>
  /** E.164; null: the account has no number. */
  readonly phoneNumber: string | null
  /** The caller's account, or the one that had the number when the request began; null: there is none. */
  readonly accountId: string | null
  readonly detail: Readonly<Record<string, string>>
  readonly origin: RequestOrigin
}

/**
 * For `catch`: records that a credential was wrong, for the number and its account, and throws the error
 * again.
 */
export function noteWrong(writer: AccountWriter, { origin, ...event }: Refusal) {
  return async (error: unknown): Promise<never> => {
    if (isWrongCredential(error)) await writer.record(origin, event)
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
  { account, password, guess }: { account: StoredAccount | null; password: string; guess: Guess },
): Promise<string> {
  const stored = account?.passwordHash ?? null
  const decision = await guess.count(stored !== null)
  const isRight = await passwords.verify(stored, password)
  if (!isRight || stored === null || decision === 'full') {
    guess.isWrong = true
    throw new AppError('credentials_wrong', { wrong: account ? 'password' : 'phone_number' })
  }
  return stored
}
