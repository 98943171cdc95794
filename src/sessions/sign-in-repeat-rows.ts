// Sessions whose sign-in can be repeated, in SQL. No policy here.
import type { Database } from '../database/schema.ts'
import { isOverByPendingEnd } from './pending-end-rows.ts'
import type { Session } from './session.ts'
import { sessionColumns, toSession } from './session-columns.ts'

/**
 * The state of a session whose sign-in can be repeated, until its token is first used. It uses the columns of
 * a rotation whose successor is unused: the fingerprint is the hash of no token, and the first use clears it
 * as it clears a previous token.
 */
export interface RepeatableSignIn {
  /** From sign-in-repeats.ts. */
  readonly fingerprint: string
  readonly tokenHash: string
  /** The family hash of the token. */
  readonly familyHash: string
  /** From keyed-tokens.ts. */
  readonly nonce: string
  /** When this token was made. */
  readonly at: number
}

/** A session whose sign-in can be repeated. */
export interface Repeatable {
  readonly session: Session
  readonly fingerprint: string
  readonly tokenHash: string
  /** From keyed-tokens.ts; null or other text: by the version before. */
  readonly nonce: string | null
}

export interface RepeatSearch {
  readonly fingerprint: string
  /** Only a session that began after this time. */
  readonly since: number
}

/**
 * The session of an account that this sign-in created, if it has not ended and its token was never used; null
 * where there is none.
 */
export async function findRepeatable(
  db: Database,
  accountId: string,
  { fingerprint, since }: RepeatSearch,
): Promise<Repeatable | null> {
  // Without a condition on the end, and without a join, MySQL and MariaDB begin at `since` in the index
  // (account_id, created_at); otherwise they would read all live sessions of the account.
  const rows = await db
    .selectFrom('hufu_sessions')
    .leftJoin('hufu_pending_ends as pending', 'pending.account_id', 'hufu_sessions.account_id')
    .select(sessionColumns)
    .select(['hufu_sessions.ended_at', 'hufu_sessions.rotation_nonce', 'hufu_sessions.survives_end'])
    .select('hufu_sessions.token_hash')
    .select(['pending.id as pending_id', 'pending.at as pending_at'])
    .where('hufu_sessions.account_id', '=', accountId)
    .where('hufu_sessions.created_at', '>', since)
    .where('hufu_sessions.previous_token_hash', '=', fingerprint)
    .execute()
  const row = rows.find(({ ended_at, ...rest }) => ended_at === null && !isOverByPendingEnd(rest))
  if (!row) return null
  const { token_hash: tokenHash, rotation_nonce: nonce } = row
  return { session: toSession(row), fingerprint, tokenHash, nonce }
}

/** Whether a session of an account was created by this sign-in after a time, whatever became of it. */
export async function hasSignedIn(
  tx: Database,
  accountId: string,
  { fingerprint, since }: RepeatSearch,
): Promise<boolean> {
  const row = await tx
    .selectFrom('hufu_sessions')
    .select('id')
    .where('account_id', '=', accountId)
    .where('created_at', '>', since)
    .where('sign_in_fingerprint', '=', fingerprint)
    .executeTakeFirst()
  return row !== undefined
}

/** Gives a session whose token was never used another one. */
export async function replaceUnusedToken(tx: Database, id: string, next: RepeatableSignIn): Promise<void> {
  await tx
    .updateTable('hufu_sessions')
    .set({
      token_hash: next.tokenHash,
      token_family_hash: next.familyHash,
      rotation_nonce: next.nonce,
      rotated_at: next.at,
    })
    .where('id', '=', id)
    .where('previous_token_hash', '=', next.fingerprint)
    .where('ended_at', 'is', null)
    .execute()
}
