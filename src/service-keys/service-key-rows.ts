// Service keys and the networks that they were used from, in SQL. No policy here.
import { sql } from 'kysely'
import type { Database, ServiceKeysTable } from '../database/schema.ts'
import { keyScopes, type StoredKey } from './service-key.ts'

/** Every key, in the order of creation. There are few: service-keys.ts. */
export async function listKeys(db: Database): Promise<StoredKey[]> {
  const rows = await db
    .selectFrom('hufu_service_keys')
    .selectAll()
    .orderBy('created_at')
    .orderBy('id')
    .execute()
  return rows.map(keyOf)
}

/** The key with this id, or null. */
export async function findKey(db: Database, id: string): Promise<StoredKey | null> {
  const row = await db.selectFrom('hufu_service_keys').selectAll().where('id', '=', id).executeTakeFirst()
  return row ? keyOf(row) : null
}

/** A scope that this version does not know gives no right. */
function keyOf(row: ServiceKeysTable): StoredKey {
  const scopes = wordsOf(row.scopes)
  return {
    id: row.id,
    name: row.name,
    scopes: keyScopes.filter((scope) => scopes.includes(scope)),
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

/** How many keys are neither revoked nor expired at `now`. */
export async function countLiveKeys(db: Database, now: number): Promise<number> {
  const { count } = await db
    .selectFrom('hufu_service_keys')
    .select(({ fn }) => fn.countAll<number | string>().as('count'))
    .where('revoked_at', 'is', null)
    .where((row) => row.or([row('expires_at', 'is', null), row('expires_at', '>', now)]))
    .executeTakeFirstOrThrow()
  return Number(count)
}

/** Inserts a new key. */
export async function insertKey(tx: Database, key: StoredKey): Promise<void> {
  await tx
    .insertInto('hufu_service_keys')
    .values({
      id: key.id,
      name: key.name,
      scopes: key.scopes.join(' '),
      networks: key.networks.join(' '),
      secret_hash: key.secretHash,
      previous_hash: key.previousHash,
      previous_until: key.previousUntil,
      created_at: key.createdAt,
      created_by: key.createdBy,
      expires_at: key.expiresAt,
      rotated_at: key.rotatedAt,
      revoked_at: key.revokedAt,
      last_used_at: key.lastUsedAt,
    })
    .execute()
}

export interface KeyRotation {
  readonly id: string
  readonly secretHash: string
  readonly now: number
  /** Until when the present secret stays valid; null: it ends now. */
  readonly previousUntil: number | null
}

/**
 * Replaces the secret of a key that is not revoked. While the secret before the present one is valid, it can
 * be replaced only together with the present one. Returns whether it was replaced.
 */
export async function rotateKey(
  tx: Database,
  { id, secretHash, now, previousUntil }: KeyRotation,
): Promise<boolean> {
  const rotate = tx
    .updateTable('hufu_service_keys')
    // MySQL assigns from left to right, so the present secret is read before it is replaced.
    .set({
      previous_hash: previousUntil === null ? null : sql<string>`secret_hash`,
      previous_until: previousUntil,
      secret_hash: secretHash,
      rotated_at: now,
    })
    .where('id', '=', id)
    .where('revoked_at', 'is', null)
  const guarded =
    previousUntil === null
      ? rotate
      : rotate.where((row) => row.or([row('previous_until', 'is', null), row('previous_until', '<=', now)]))
  const { numUpdatedRows } = await guarded.executeTakeFirst()
  return numUpdatedRows > 0n
}

/** Revokes a key; false where it was revoked before, or there is none. */
export async function revokeKey(tx: Database, id: string, now: number): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('hufu_service_keys')
    .set({ revoked_at: now })
    .where('id', '=', id)
    .where('revoked_at', 'is', null)
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

/** Writes that a key was used at `now`, unless the last note is less than `atMostEveryMs` old. */
export async function updateLastUse(
  db: Database,
  id: string,
  now: number,
  atMostEveryMs: number,
): Promise<void> {
  await db
    .updateTable('hufu_service_keys')
    .set({ last_used_at: now })
    .where('id', '=', id)
    .where((row) => row.or([row('last_used_at', 'is', null), row('last_used_at', '<=', now - atMostEveryMs)]))
    .execute()
}

/** The networks that a key was used from. */
export async function listNetworks(db: Database, keyId: string): Promise<string[]> {
  const rows = await db
    .selectFrom('hufu_service_key_networks')
    .select('network')
    .where('key_id', '=', keyId)
    .execute()
  return rows.map(({ network }) => network)
}

/**
 * Inserts a network that a key is used from for the first time.
 * @throws the driver's unique violation where another server has inserted it
 */
export async function insertNetwork(
  tx: Database,
  { keyId, network, now }: { readonly keyId: string; readonly network: string; readonly now: number },
): Promise<void> {
  await tx
    .insertInto('hufu_service_key_networks')
    .values({ key_id: keyId, network, first_used_at: now })
    .execute()
}

/**
 * Deletes up to `limit` keys that were revoked or expired before a time, with their networks, and returns how
 * many it deleted.
 */
export async function deleteKeysOverBefore(db: Database, at: number, limit: number): Promise<number> {
  const old = await db
    .selectFrom('hufu_service_keys')
    .select('id')
    .where((row) => row.or([row('revoked_at', '<', at), row('expires_at', '<', at)]))
    .limit(limit)
    .execute()
  if (old.length === 0) return 0
  const ids = old.map(({ id }) => id)
  const { numDeletedRows } = await db
    .deleteFrom('hufu_service_keys')
    .where('id', 'in', ids)
    .executeTakeFirst()
  return Number(numDeletedRows)
}
