// The feed of changes in SQL. No policy here.
import type { Database } from '../database/schema.ts'

/**
 * What changed. Subscribers ignore kinds that they do not know, because a server of a later version may write
 * them.
 */
type ChangeKind =
  /** The account itself, or its sessions. */
  'account'

export interface AccountChange {
  readonly position: number
  readonly accountId: string
  readonly kind: ChangeKind | (string & {})
}

/**
 * Writes into the feed that an account, or a session of it, changes with this transaction. Returns the
 * position of the change.
 */
export async function insertChange(tx: Database, accountId: string, at: number): Promise<number> {
  const kind: ChangeKind = 'account'
  const insert = tx.insertInto('hufu_account_changes').values({ account_id: accountId, at, kind })
  // MySQL returns the generated number of one row; the other databases return the row.
  if (!tx.getExecutor().adapter.supportsReturning) {
    return Number((await insert.executeTakeFirstOrThrow()).insertId)
  }
  return (await insert.returning('position').executeTakeFirstOrThrow()).position
}

/** Up to `limit` changes behind a position, in order. */
export async function listChanges(db: Database, after: number, limit: number): Promise<AccountChange[]> {
  const rows = await db
    .selectFrom('hufu_account_changes')
    .select(['position', 'account_id', 'kind'])
    .where('position', '>', after)
    .orderBy('position')
    .limit(limit)
    .execute()
  return rows.map(({ position, account_id: accountId, kind }) => ({ position, accountId, kind }))
}

/**
 * The position before all changes since `at`, and before the last `count` positions that were given out and
 * committed.
 */
export async function positionBefore(db: Database, at: number, count: number): Promise<number> {
  const last = await lastPosition(db)
  const { first } = await db
    .selectFrom('hufu_account_changes')
    .select(({ fn }) => fn.min('position').as('first'))
    .where((where) => where.or([where('at', '>=', at), where('position', '>', last - count)]))
    .executeTakeFirstOrThrow()
  return Math.max(0, Math.min(Number(first ?? 0) - 1, last - count))
}

/**
 * Deletes up to `limit` changes from before a time, except the last `keep`, and returns how many it deleted.
 */
export async function deleteChangesBefore(
  db: Database,
  at: number,
  { keep, limit }: { readonly keep: number; readonly limit: number },
): Promise<number> {
  const old = await db
    .selectFrom('hufu_account_changes')
    .select('position')
    .where('at', '<', at)
    .where('position', '<=', (await lastPosition(db)) - keep)
    .orderBy('at')
    .limit(limit)
    .execute()
  if (old.length === 0) return 0
  const positions = old.map(({ position }) => position)
  const { numDeletedRows } = await db
    .deleteFrom('hufu_account_changes')
    .where('position', 'in', positions)
    .executeTakeFirst()
  return Number(numDeletedRows)
}

async function lastPosition(db: Database): Promise<number> {
  const { last } = await db
    .selectFrom('hufu_account_changes')
    .select(({ fn }) => fn.max('position').as('last'))
    .executeTakeFirstOrThrow()
  return Number(last ?? 0)
}
