// A service key from its row.
import type { ServiceKeysTable } from '../database/schema.ts'
import { type KeyScope, keyScopes, type StoredKey } from './service-key.ts'

/** The key of a row. A scope that this version does not know gives no right. */
export function toStoredKey(row: ServiceKeysTable): StoredKey {
  const scopes = wordsOf(row.scopes)
  return {
    id: row.id,
    name: row.name,
    scopes: keyScopes.filter((scope: KeyScope) => scopes.includes(scope)),
    networks: wordsOf(row.networks),
    createdAt: row.created_at,
    createdBy: row.created_by,
    expiresAt: row.expires_at,
    rotatedAt: row.rotated_at,
    previousUntil: row.previous_until,
    revokedAt: row.revoked_at,
    lastUsedAt: row.last_used_at,
    secretHash: row.secret_hash,
    previousHash: row.previous_hash,
  }
}

function wordsOf(text: string): string[] {
  return text === '' ? [] : text.split(' ')
}
