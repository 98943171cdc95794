// Device proofs in SQL. No policy here.
import type { Database, DeviceProofsTable } from '../database/schema.ts'
import { isOverByPendingEnd } from './pending-end-rows.ts'

/** A device proof as it is stored. */
export interface StoredDeviceProof {
  /** SHA-256 of the proof, base64url. */
  readonly hash: string
  readonly accountId: string
  /** E.164: the number that the account had at the sign-in. */
  readonly phoneNumber: string
  /** null: the client gave none. */
  readonly deviceId: string | null
  /** The last session that signed in with it. */
  readonly sessionId: string
  /** Milliseconds since 1970 UTC. */
  readonly createdAt: number
  /** The time of the last sign-in that received or presented it: milliseconds since 1970 UTC. */
  readonly seenAt: number
}

/** The proof of this hash for this number; null where there is none. */
export async function findDeviceProof(
  db: Database,
  proofHash: string,
  phoneNumber: string,
): Promise<StoredDeviceProof | null> {
  const row = await db
    .selectFrom('hufu_device_proofs')
    .selectAll()
    .where('proof_hash', '=', proofHash)
    .where('phone_number', '=', phoneNumber)
    .executeTakeFirst()
  return row ? toDeviceProof(row) : null
}

/** All proofs of an account. */
export async function listDeviceProofs(tx: Database, accountId: string): Promise<StoredDeviceProof[]> {
  const rows = await tx
    .selectFrom('hufu_device_proofs')
    .selectAll()
    .where('account_id', '=', accountId)
    .execute()
  return rows.map(toDeviceProof)
}

export async function insertDeviceProof(tx: Database, proof: StoredDeviceProof): Promise<void> {
  await tx
    .insertInto('hufu_device_proofs')
    .values({
      proof_hash: proof.hash,
      account_id: proof.accountId,
      phone_number: proof.phoneNumber,
      device_id: proof.deviceId,
      session_id: proof.sessionId,
      created_at: proof.createdAt,
      seen_at: proof.seenAt,
    })
    .execute()
}

/** Notes that a sign-in presented a proof; false where the account has no such proof for its number. */
export async function renewDeviceProof(
  tx: Database,
  proof: Omit<StoredDeviceProof, 'createdAt' | 'deviceId'>,
): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('hufu_device_proofs')
    .set({ session_id: proof.sessionId, seen_at: proof.seenAt })
    .where('proof_hash', '=', proof.hash)
    .where('account_id', '=', proof.accountId)
    .where('phone_number', '=', proof.phoneNumber)
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

/** Deletes these proofs of an account. */
export async function deleteDeviceProofs(
  tx: Database,
  accountId: string,
  proofHashes: readonly string[],
): Promise<void> {
  if (proofHashes.length === 0) return
  await tx
    .deleteFrom('hufu_device_proofs')
    .where('account_id', '=', accountId)
    .where('proof_hash', 'in', proofHashes)
    .execute()
}

/** Deletes the proofs of an account, all but those of one session. */
export async function deleteDeviceProofsOf(
  tx: Database,
  accountId: string,
  exceptSession: string | null,
): Promise<void> {
  let query = tx.deleteFrom('hufu_device_proofs').where('account_id', '=', accountId)
  if (exceptSession !== null) query = query.where('session_id', '<>', exceptSession)
  await query.execute()
}

/** Deletes the proofs that a session of an account signed in with or got. */
export async function deleteDeviceProofsOfSession(
  tx: Database,
  accountId: string,
  sessionId: string,
): Promise<void> {
  await tx
    .deleteFrom('hufu_device_proofs')
    .where('account_id', '=', accountId)
    .where('session_id', '=', sessionId)
    .execute()
}

/** Deletes the proofs of an account that belong to no session that is live at `now`. */
export async function deleteDeviceProofsWithoutSession(
  tx: Database,
  accountId: string,
  now: number,
): Promise<void> {
  const rows = await tx
    .selectFrom('hufu_device_proofs')
    .leftJoin('hufu_sessions', 'hufu_sessions.id', 'hufu_device_proofs.session_id')
    .leftJoin('hufu_pending_ends as pending', 'pending.account_id', 'hufu_device_proofs.account_id')
    .select(['hufu_device_proofs.proof_hash', 'hufu_sessions.id', 'hufu_sessions.ended_at'])
    .select(['hufu_sessions.expires_at', 'hufu_sessions.survives_end'])
    .select(['pending.id as pending_id', 'pending.at as pending_at'])
    .where('hufu_device_proofs.account_id', '=', accountId)
    .execute()
  // At most ten: device-proofs.ts.
  const isWithout = (row: (typeof rows)[number]) =>
    row.id === null ||
    row.ended_at !== null ||
    (row.expires_at !== null && row.expires_at <= now) ||
    isOverByPendingEnd(row)
  await deleteDeviceProofs(
    tx,
    accountId,
    rows.filter(isWithout).map(({ proof_hash }) => proof_hash),
  )
}

/** Deletes up to `limit` proofs that no sign-in presented since a time, and returns how many. */
export async function deleteDeviceProofsBefore(db: Database, at: number, limit: number): Promise<number> {
  const old = await db
    .selectFrom('hufu_device_proofs')
    .select('proof_hash')
    .where('seen_at', '<', at)
    .orderBy('seen_at')
    .limit(limit)
    .execute()
  if (old.length === 0) return 0
  const { numDeletedRows } = await db
    .deleteFrom('hufu_device_proofs')
    .where(
      'proof_hash',
      'in',
      old.map(({ proof_hash }) => proof_hash),
    )
    // A sign-in may have presented it meanwhile.
    .where('seen_at', '<', at)
    .executeTakeFirst()
  return Number(numDeletedRows)
}

function toDeviceProof(row: DeviceProofsTable): StoredDeviceProof {
  return {
    hash: row.proof_hash,
    accountId: row.account_id,
    phoneNumber: row.phone_number,
    deviceId: row.device_id,
    sessionId: row.session_id,
    createdAt: row.created_at,
    seenAt: row.seen_at,
  }
}
