// The rotation of a session's token in SQL. No policy here.
import type { Database } from '../database/schema.ts'

export interface TokenRotation {
  readonly id: string
  readonly previousTokenHash: string
  readonly tokenHash: string
  readonly familyHash: string
  readonly nonce: string
  readonly at: number
}

/** Gives a live session a new token, if its current token is the given previous one. */
export async function rotateToken(tx: Database, rotation: TokenRotation): Promise<void> {
  await tx
    .updateTable('hufu_sessions')
    .set({
      token_hash: rotation.tokenHash,
      token_family_hash: rotation.familyHash,
      previous_token_hash: rotation.previousTokenHash,
      rotation_nonce: rotation.nonce,
      rotated_at: rotation.at,
    })
    .where('id', '=', rotation.id)
    .where('token_hash', '=', rotation.previousTokenHash)
    .where('ended_at', 'is', null)
    .execute()
}

/** Removes the hash of the previous token, and the nonce that leads from it to the current token. */
export async function retirePreviousToken(
  tx: Database,
  { id, tokenHash }: { readonly id: string; readonly tokenHash: string },
): Promise<void> {
  await tx
    .updateTable('hufu_sessions')
    .set({ previous_token_hash: null, rotation_nonce: null })
    .where('id', '=', id)
    .where('token_hash', '=', tokenHash)
    .where('ended_at', 'is', null)
    .execute()
}

/** The nonce that leads from the previous token to the current one; null where the former is retired. */
export async function findNonce(tx: Database, id: string): Promise<string | null> {
  const row = await tx
    .selectFrom('hufu_sessions')
    .select('rotation_nonce')
    .where('id', '=', id)
    .executeTakeFirst()
  return row?.rotation_nonce ?? null
}
