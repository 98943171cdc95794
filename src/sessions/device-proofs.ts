// Device proofs (OWASP calls them device cookies): random bits that an installation gets at a sign-in and
// presents at the next one.

import { createHash } from 'node:crypto'
import type { Database } from '../database/schema.ts'
import { randomText } from '../random-text.ts'
import {
  deleteDeviceProofs,
  deleteDeviceProofsBefore,
  findDeviceProof,
  insertDeviceProof,
  listDeviceProofs,
  renewDeviceProof,
  type StoredDeviceProof,
} from './device-proof-rows.ts'
import type { Session } from './session.ts'

/** How many installations of an account can hold a proof. */
export const deviceProofsMax = 10
/** A proof that no sign-in has presented for so long is removed. */
const lifeMs = 400 * 86_400_000

/** What a request presents. */
export interface PresentedProof {
  /** E.164: the number that the request is about. */
  readonly phoneNumber: string
  /** As the client sent it; null: it sent none. */
  readonly text: string | null
  /** The device id of the request; null: it gives none. */
  readonly deviceId: string | null
}

/**
 * What the database keeps of a proof: its SHA-256, base64url. A proof has 256 random bits, so a fast hash is
 * enough.
 */
export function hashDeviceProof(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}

/**
 * The hash of a valid proof for this number and installation; null for a wrong, expired or foreign proof,
 * which all cost one lookup in the table, and for none.
 */
export async function findValidProof(
  db: Database,
  { phoneNumber, text, deviceId }: PresentedProof,
): Promise<string | null> {
  if (text === null) return null
  const stored = await findDeviceProof(db, hashDeviceProof(text), phoneNumber)
  if (!stored) return null
  const isForeign = stored.deviceId !== null && deviceId !== null && stored.deviceId !== deviceId
  return isForeign ? null : stored.hash
}

/**
 * Runs in the transaction of a sign-in. A valid proof that the request presented stays, and belongs to the
 * new session from now on; otherwise the client gets a new proof: `text`, which an earlier try of the same
 * sign-in may have got, or a random one.
 * @returns the new proof, to be shown to the client once; null: the client has a valid one
 */
export async function keepDeviceProof(
  tx: Database,
  presented: string | null,
  { session, phoneNumber, text: made }: { session: Session; phoneNumber: string; text?: string },
): Promise<string | null> {
  const { id: sessionId, accountId, deviceId, createdAt: now } = session
  const values = { accountId, phoneNumber, sessionId, seenAt: now }
  if (presented !== null && (await renewDeviceProof(tx, { ...values, hash: presented }))) return null
  if (made !== undefined && (await renewDeviceProof(tx, { ...values, hash: hashDeviceProof(made) })))
    return made
  await deleteDeviceProofs(tx, accountId, surplus(await listDeviceProofs(tx, accountId)))
  const text = made ?? `hp_${randomText(32)}`
  await insertDeviceProof(tx, { ...values, hash: hashDeviceProof(text), deviceId, createdAt: now })
  return text
}

/**
 * Removes up to `limit` proofs that no sign-in has presented for a long time, and returns how many it
 * removed.
 */
export async function deleteOldDeviceProofs(db: Database, now: number, limit: number): Promise<number> {
  return await deleteDeviceProofsBefore(db, now - lifeMs, limit)
}

/**
 * Which proofs are removed for a new one: first those that no later sign-in presented. A client that keeps
 * none gets a new one at each sign-in, and must not evict those of the person's other devices.
 */
function surplus(proofs: readonly StoredDeviceProof[]): string[] {
  const wasPresented = ({ createdAt, seenAt }: StoredDeviceProof) => Number(seenAt > createdAt)
  const byWorth = proofs.toSorted((a, b) => wasPresented(b) - wasPresented(a) || b.seenAt - a.seenAt)
  return byWorth.slice(deviceProofsMax - 1).map(({ hash }) => hash)
}
