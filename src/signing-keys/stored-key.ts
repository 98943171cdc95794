// The server's keys: that of codes may be given by a setting; others are made once and kept in the database for all servers.
import { createHash, randomBytes } from 'node:crypto'
import { isUniqueViolation } from '../database/failures.ts'
import type { Database } from '../database/schema.ts'

/** The key of a secret that the operator chose: any length, hashed to 256 bits. */
export function keyOfSecret(secret: string): Buffer {
  return createHash('sha256').update(`hufu codes\n${secret}`).digest()
}

/** The key of this name in the database, 256 bits; the first caller makes it. */
export async function getOrCreateKey(
  db: Database,
  name: 'codes' | 'barred_numbers' = 'codes',
): Promise<Buffer> {
  for (;;) {
    const row = await db
      .selectFrom('hufu_server_keys')
      .select('value')
      .where('name', '=', name)
      .executeTakeFirst()
    if (row) return Buffer.from(row.value, 'base64url')
    try {
      const value = randomBytes(32).toString('base64url')
      await db.insertInto('hufu_server_keys').values({ name, value }).execute()
    } catch (error) {
      // Another server was first; its key is the one.
      if (!isUniqueViolation(error)) throw error
    }
  }
}
