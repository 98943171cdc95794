// Numbers whose account was removed under a permanent ban: only a keyed hash of the number is stored, so that
// signing up again is refused and nothing else is known of the person.
import { createHmac } from 'node:crypto'
import type { Database } from '../database/schema.ts'
import { StoredKey } from '../signing-keys/stored-key.ts'
import { findAccountByPhoneNumber } from './account-rows.ts'
import { deleteBarredNumber, isBarredNumber } from './barred-number-rows.ts'

export class BarredNumbers {
  readonly #db: Database
  readonly #key: StoredKey

  constructor(db: Database) {
    this.#db = db
    this.#key = new StoredKey(db, 'barred_numbers')
  }

  /**
   * The hash of an E.164 number: HMAC-SHA-256 under a key of this installation, base64url. A call may
   * read the key, so it must not run inside a transaction, which on SQLite holds the only connection. The
   * key is always the one in the database, because a ban must outlive a change of `HUFU_SECRET`.
   */
  async hashOf(phoneNumber: string): Promise<string> {
    const key = await this.#key.get()
    return createHmac('sha256', key).update(phoneNumber).digest('base64url')
  }

  /** The database may have another key: the next hash reads it. */
  forgetKey(): void {
    this.#key.forget()
  }

  /** Ends the ban of a number without an account. @returns whether there was one */
  async unbar(phoneNumber: string): Promise<boolean> {
    return await deleteBarredNumber(this.#db, await this.hashOf(phoneNumber))
  }
}

/**
 * Whether an account may take an E.164 number; `hash` is that of `BarredNumbers`. For a transaction that
 * writes the number without a lock of the account that has it.
 *
 * The account is read before the ban: one commit removes a banned account from its number and bars the
 * number, so a transaction that no longer finds the account finds the ban. In the other order, a removal that
 * commits between the two reads would let a banned number through.
 */
export async function availabilityOf(
  tx: Database,
  phoneNumber: string,
  hash: string,
): Promise<'free' | 'taken' | 'barred'> {
  if (await findAccountByPhoneNumber(tx, phoneNumber)) return 'taken'
  return (await isBarredNumber(tx, hash)) ? 'barred' : 'free'
}
