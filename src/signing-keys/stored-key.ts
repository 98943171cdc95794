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

/** The key with this name from the database, 256 bits. The first call generates it. */
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
      const value = randomText(32)
      await db.insertInto('hufu_server_keys').values({ name, value }).execute()
    } catch (error) {
      // Another server has inserted its key meanwhile, which all servers use.
      if (!isUniqueViolation(error)) throw error
    }
  }
}
