// The server's keys. A setting may give the key of codes; the others are generated once and stored in the
// database for all servers.
import { createHash } from 'node:crypto'
import { isUniqueViolation } from '../database/failures.ts'
import type { Database } from '../database/schema.ts'
import { randomText } from '../random-text.ts'

/** The key that belongs to the operator's secret: a text of any length, hashed to 256 bits. */
export function keyOfSecret(secret: string): Buffer {
  return createHash('sha256').update(`hufu codes\n${secret}`).digest()
}

/** The names of the keys in the database. */
type KeyName = 'codes' | 'barred_numbers'

/** How long a process uses a key without reading it again. */
export const keyMaxAgeMs = 60_000

/**
 * A key of the database, as a process remembers it. After a restore to a time before the key existed, the
 * servers have to agree on another one. `forget` is for the moment when the change feed has another history.
 * The age covers a restore that the feed does not show: one that has lost no change of it, and any restore
 * under servers without Redis, which do not read it.
 */
export class StoredKey {
  readonly #read: () => Promise<Buffer>
  readonly #now: () => number
  #remembered: { readonly key: Promise<Buffer>; readonly readAt: number } | null = null

  /** @param now milliseconds of a clock that is never set */
  constructor(db: Database, name: KeyName, now: () => number = () => performance.now()) {
    this.#read = () => getOrCreateKey(db, name)
    this.#now = now
  }

  /** The key, 256 bits. Not for use inside a transaction, which on SQLite holds the only connection. */
  async get(): Promise<Buffer> {
    const known = this.#remembered
    if (known && this.#now() - known.readAt < keyMaxAgeMs) return await known.key
    const read = { key: this.#read(), readAt: this.#now() }
    this.#remembered = read
    try {
      return await read.key
    } catch (error) {
      if (this.#remembered === read) this.#remembered = null
      throw error
    }
  }

  /** The next `get` reads the database; a reading that is under way is not remembered. */
  forget(): void {
    this.#remembered = null
  }
}

/** The key with this name from the database, 256 bits. The first call generates it. */
export async function getOrCreateKey(db: Database, name: KeyName = 'codes'): Promise<Buffer> {
  for (;;) {
    const row = await db
      .selectFrom('hufu_server_keys')
      .select('value')
      .where('name', '=', name)
      .executeTakeFirst()
    if (row) return Buffer.from(row.value, 'base64url')
    try {
      const value = randomText(32)
      await db.insertInto('hufu_server_keys').values({ name, value }).execute()
    } catch (error) {
      // Another server has inserted its key meanwhile, which all servers use.
      if (!isUniqueViolation(error)) throw error
    }
  }
}
