// What a database loses when a replica that is behind takes over, or when a backup is restored, and what that
// excuses: an acknowledged operation counts as lost only where its row is not in the database that goes on.
import type { Database } from '../../src/database/schema.ts'
import { hashToken } from '../../src/sessions/token.ts'
import type { Operation } from './history.ts'

/** The database lost its last commits, at some time between `from` and `to`. */
export interface Loss {
  readonly from: number
  /** Since then, servers have reached the database with nothing but what is in `kept`. */
  readonly to: number
  /** The sessions that it still had, by their ids. */
  readonly kept: ReadonlyMap<string, KeptSession>
}

export interface KeptSession {
  readonly isLive: boolean
  /** Whether its token was used, so that its sign-in cannot be retried. */
  readonly isUsed: boolean
  /** SHA-256 of its token, base64url. */
  readonly tokenHash: string
}

/** What became of an acknowledged operation. `open`: it overlaps the loss, or its row does not tell. */
export type Fate = 'kept' | 'lost' | 'open'

/** The sessions of a database, of which nothing may be lost between this reading and the loss. */
export async function readKept(db: Database): Promise<Loss['kept']> {
  const rows = await db
    .selectFrom('hufu_sessions')
    .select(['id', 'ended_at', 'token_hash', 'previous_token_hash'])
    .execute()
  return new Map(
    rows.map(({ id, ended_at, token_hash: tokenHash, previous_token_hash }) => [
      id,
      { isLive: ended_at === null, isUsed: previous_token_hash === null, tokenHash },
    ]),
  )
}

function sessionIdOf(token: string): string {
  return token.slice(3, 25)
}

/** The fate of an acknowledged sign-in or sign-out; any other operation is kept. */
export function fateOf({ kind, token, key, start, end }: Operation, { from, to, kept }: Loss): Fate {
  if (start > to || token === null || (kind !== 'sign_in' && kind !== 'sign_out')) return 'kept'
  const row = kept.get(sessionIdOf(token))
  if (!row || (kind === 'sign_out' && row.isLive)) return end < from ? 'lost' : 'open'
  // The session of a retried sign-in may have got this token after what is kept.
  return kind === 'sign_out' || key === undefined || row.tokenHash === hashToken(token) ? 'kept' : 'open'
}

/** The first loss after which an acknowledged operation was not there any more, or may not have been. */
export function lossOf(operation: Operation, losses: readonly Loss[]): Loss | undefined {
  return losses.find((loss) => fateOf(operation, loss) !== 'kept')
}

/** Whether the use of a token, after which its sign-in cannot be retried, is lost or may be. */
export function mayHaveLostUse({ token, start }: Operation, { to, kept }: Loss): boolean {
  return start <= to && token !== null && kept.get(sessionIdOf(token))?.isUsed !== true
}
