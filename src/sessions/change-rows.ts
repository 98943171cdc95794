// The feed of changes in SQL. No policy here.
import type { Database } from '../db/schema.ts'

export interface AccountChanged {
  readonly position: number
  readonly accountId: string
}

/** Writes that an account, or a session of it, changes with this transaction. Returns the position of the change. */
export async function insertChange(tx: Database, accountId: string, at: number): Promise<number> {
  const insert = tx.insertInto('account_changes').values({ account_id: accountId, at })
  // MySQL tells the number that it gave to one row; the others return the row.
  if (!tx.getExecutor().adapter.supportsReturning) {
    return Number((await insert.executeTakeFirstOrThrow()).insertId)
  }
  return (await insert.returning('position').executeTakeFirstOrThrow()).position
}

/** Up to `limit` changes behind a position, in order. */
export async function listChanges(db: Database, after: number, limit: number): Promise<AccountChanged[]> {
  const rows = await db
    .selectFrom('account_changes')
    .select(['position', 'account_id'])
    .where('position', '>', after)
    .orderBy('position')
    .limit(limit)
    .execute()
  return rows.map(({ position, account_id: accountId }) => ({ position, accountId }))
}

/**
 * The position before the first change since `at`, or before the last `count` of them, where that is earlier; 0 where there
 * is none.
 */
export async function positionBefore(db: Database, at: number, count: number): Promise<number> {
  const { last } = await db
    .selectFrom('account_changes')
    .select(({ fn }) => fn.max('position').as('last'))
    .executeTakeFirstOrThrow()
  const { first } = await db
    .selectFrom('account_changes')
    .select(({ fn }) => fn.min('position').as('first'))
    .where((where) => where.or([where('at', '>=', at), where('position', '>', Number(last ?? 0) - count)]))
    .executeTakeFirstOrThrow()
  return first === null ? 0 : Number(first) - 1
}

/** Deletes up to `limit` changes from before a time, and returns how many that were. */
export async function deleteChangesBefore(db: Database, at: number, limit: number): Promise<number> {
  const old = await db
    .selectFrom('account_changes')
    .select('position')
    .where('at', '<', at)
    .orderBy('position')
    .limit(limit)
    .execute()
  if (old.length === 0) return 0
  const positions = old.map(({ position }) => position)
  const { numDeletedRows } = await db
    .deleteFrom('account_changes')
    .where('position', 'in', positions)
    .executeTakeFirst()
  return Number(numDeletedRows)
}
