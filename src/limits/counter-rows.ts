// The counters' rows in SQL, locked in the order of their names and then written. No policy here.
//
// On a Galera cluster the locks hold for one node only (database/galera.ts). A request that is counted
// changes every row that its decision depends on, so of two on two nodes the later one starts again. A
// request that is refused, or only reads a row, changes nothing.
import { sql } from 'kysely'
import type { DatabaseKind } from '../database/open.ts'
import type { Database, LimitCountersTable } from '../database/schema.ts'

/** A counter as it is stored. */
export interface StoredCounter {
  /** The key of the counter. */
  readonly name: string
  /** In the text form of counter.ts. */
  readonly counts: string
  /** From this time on the counter counts nothing: milliseconds since 1970 UTC. */
  readonly expiresAt: number
}

/** `expires_at` is rounded up to an hour, so that its index changes rarely. */
const expiryStepMs = 3_600_000

/**
 * Locks the rows of these names and reads them. Every transaction locks its rows in the same order, so that
 * no deadlock arises. A row that is missing is not locked: `insertCounters` fails when another transaction
 * has inserted it meanwhile.
 */
export async function lockCounters(tx: Database, names: readonly string[]): Promise<StoredCounter[]> {
  const rows = await tx
    .selectFrom('hufu_limit_counters')
    .selectAll()
    .where('name', 'in', names)
    .orderBy('name')
    .forUpdate()
    .execute()
  return rows.map(({ name, counts, expires_at: expiresAt }) => ({ name, counts, expiresAt }))
}

/** Inserts new rows. @throws the driver's unique violation where another transaction has inserted one */
export async function insertCounters(tx: Database, counters: readonly StoredCounter[]): Promise<void> {
  if (counters.length > 0) await tx.insertInto('hufu_limit_counters').values(counters.map(toRow)).execute()
}

/** Updates locked rows in one statement. */
export async function updateCounters(
  tx: Database,
  kind: DatabaseKind,
  counters: readonly StoredCounter[],
): Promise<void> {
  if (counters.length === 0) return
  const insert = tx.insertInto('hufu_limit_counters').values(counters.map(toRow))
  const written =
    kind === 'mysql'
      ? insert.onDuplicateKeyUpdate({ counts: sql`values(counts)`, expires_at: sql`values(expires_at)` })
      : insert.onConflict((conflict) =>
          conflict.column('name').doUpdateSet(({ ref }) => ({
            counts: ref('excluded.counts'),
            expires_at: ref('excluded.expires_at'),
          })),
        )
  await written.execute()
}

export async function deleteCounters(tx: Database, names: readonly string[]): Promise<void> {
  if (names.length > 0) await tx.deleteFrom('hufu_limit_counters').where('name', 'in', names).execute()
}

/** Deletes up to `limit` expired rows, and returns how many it deleted. */
export async function deleteExpiredCounters(db: Database, now: number, limit: number): Promise<number> {
  const old = await db
    .selectFrom('hufu_limit_counters')
    .select('name')
    .where('expires_at', '<=', now)
    .orderBy('expires_at')
    .limit(limit)
    .execute()
  if (old.length === 0) return 0
  const { numDeletedRows } = await db
    .deleteFrom('hufu_limit_counters')
    .where(
      'name',
      'in',
      old.map(({ name }) => name),
    )
    // A row with a count in the meantime is kept.
    .where('expires_at', '<=', now)
    .executeTakeFirst()
  return Number(numDeletedRows)
}

/**
 * For the counters' connection in SQLite: a commit does not wait for the disk. A crash of the process loses
 * nothing; a power cut may lose the counts of the last moments
 * (https://sqlite.org/pragma.html#pragma_synchronous).
 */
export async function disableDiskSync(db: Database): Promise<void> {
  await sql`pragma synchronous = normal`.execute(db)
}

function toRow({ name, counts, expiresAt }: StoredCounter): LimitCountersTable {
  return { name, counts, expires_at: Math.ceil(expiresAt / expiryStepMs) * expiryStepMs }
}
