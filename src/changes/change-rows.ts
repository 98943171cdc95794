// The feed of changes in SQL. No policy here.
import { randomBytes } from 'node:crypto'
import { type RawBuilder, sql } from 'kysely'
import { isMysql } from '../database/pages.ts'
import type { Database } from '../database/schema.ts'
import { randomText } from '../random-text.ts'

/**
 * What changed. Subscribers ignore kinds that they do not know, because a server of a later version may write
 * them.
 */
type ChangeKind =
  /** The account itself, or its sessions. */
  | 'account'
  /** A service key; its id is in the place of the account's. */
  | 'service_key'

export interface AccountChange {
  readonly step: number
  /** The id of what has changed, which is an account where the kind is `account`. */
  readonly accountId: string
  readonly kind: ChangeKind | (string & {})
}

/** A row of the feed. No other row has its mark, also after a restore of the database. */
export interface WrittenChange {
  readonly step: number
  readonly mark: string
}

export interface MarkedChange extends AccountChange, WrittenChange {}

/** A change that a server of the version before has written. */
export interface UnsteppedChange extends Omit<AccountChange, 'step'> {
  readonly position: number
}

export interface FeedReading {
  readonly from: number
  readonly limit: number
  /** An expression that identifies the database server; absent: none. */
  readonly server?: RawBuilder<string | null>
}

/** Rows of the feed and the history that they belong to, of one moment. */
export interface FeedPage {
  /** What `server` of the reading says; null: it was not asked. */
  readonly server: string | null
  /** null: the database has no history. */
  readonly history: string | null
  /** The last position of a change without a step; 0: there is none. */
  readonly unstepped: number
  /** In the order of their steps. */
  readonly changes: readonly MarkedChange[]
}

/**
 * Writes into the feed that an account, or a session of it, changes with this transaction. Its step is one
 * more than the greatest that is visible. Numbers that the database assigns have no useful
 * order: some databases give each connection a block of its own.
 */
export async function insertChange(tx: Database, accountId: string, at: number): Promise<WrittenChange> {
  return await insertChangeOf(tx, { kind: 'account', id: accountId }, at)
}

/** What has changed. */
export interface ChangeSubject {
  readonly kind: ChangeKind
  readonly id: string
}

/** Writes into the feed that something changes with this transaction, as `insertChange` does. */
export async function insertChangeOf(
  tx: Database,
  subject: ChangeSubject,
  at: number,
): Promise<WrittenChange> {
  const row = newChange(subject, at)
  const { mark } = row
  const next = tx
    .selectFrom('hufu_account_changes')
    .select(sql<number>`coalesce(max(step), 0) + 1`.as('step'))
  const insert = tx.insertInto('hufu_account_changes')
  // MySQL can neither read the table that an insert writes nor return the row.
  if (isMysql(tx)) {
    const { step } = await next.executeTakeFirstOrThrow()
    await insert.values({ ...row, step }).execute()
    return { step, mark }
  }
  const inserted = await insert
    .values({ ...row, step: next })
    .returning('step')
    .executeTakeFirstOrThrow()
  return { step: Number(inserted.step), mark }
}

/**
 * The same where this transaction has read the greatest step already, under the account's lock: no statement
 * has to read it once more.
 */
export async function insertChangeAfter(
  tx: Database,
  lastStep: number,
  { accountId, at }: { readonly accountId: string; readonly at: number },
): Promise<WrittenChange> {
  const row = { ...newChange({ kind: 'account', id: accountId }, at), step: lastStep + 1 }
  await tx.insertInto('hufu_account_changes').values(row).execute()
  return row
}

function newChange({ kind, id }: ChangeSubject, at: number) {
  return { mark: randomText(8), account_id: id, at, kind }
}

/**
 * Up to `limit` changes from a step on, in the order of their steps, with the history of the database: one
 * statement, and thus one moment, unless there is no such change.
 */
export async function readChanges(
  db: Database,
  { from, limit, server = sql`null` }: FeedReading,
): Promise<FeedPage> {
  const rows = await db
    .selectFrom('hufu_account_changes')
    .select(['step', 'mark', 'account_id', 'kind'])
    .select((row) => [
      row.selectFrom('hufu_feed').select('history').where('id', '=', 1).as('history'),
      server.as('server'),
      row
        .selectFrom('hufu_account_changes as unstepped')
        .select(({ fn }) => fn.max('unstepped.position').as('position'))
        .where('unstepped.step', 'is', null)
        .as('unstepped'),
    ])
    .where('step', '>=', from)
    .orderBy('step')
    .limit(limit)
    .execute()
  const [first] = rows
  if (!first) return { ...(await readWithoutChanges(db, server)), changes: [] }
  const changes = rows.flatMap(({ step, mark, account_id: accountId, kind }) =>
    step === null || mark === null ? [] : [{ step, mark, accountId, kind }],
  )
  const { history, server: text } = first
  return { history, server: text, unstepped: Number(first.unstepped ?? 0), changes }
}

async function readWithoutChanges(
  db: Database,
  server: RawBuilder<string | null>,
): Promise<Omit<FeedPage, 'changes'>> {
  const feed = await db
    .selectFrom('hufu_feed')
    .select(['history', server.as('server')])
    .where('id', '=', 1)
    .executeTakeFirst()
  const { position } = await db
    .selectFrom('hufu_account_changes')
    .select(({ fn }) => fn.max('position').as('position'))
    .where('step', 'is', null)
    .executeTakeFirstOrThrow()
  const { history = null, server: text = null } = feed ?? {}
  return { history, server: text, unstepped: Number(position ?? 0) }
}

/**
 * Changes that servers of the version before have written behind a position. The next version needs no such
 * rows.
 */
export async function readUnsteppedChanges(db: Database, after: number): Promise<UnsteppedChange[]> {
  const rows = await db
    .selectFrom('hufu_account_changes')
    .select(['position', 'account_id', 'kind'])
    .where('step', 'is', null)
    .where('position', '>', after)
    .execute()
  return rows.map(({ position, account_id: accountId, kind }) => ({ position, accountId, kind }))
}

/** Where a process begins to read, and from where on it reads again until it knows what was under way. */
export interface FeedStart {
  readonly from: number
  readonly again: number
}

/**
 * `from` is the step of the first change since `at`, and at most that of the last `count` changes, where
 * `again` is.
 */
export async function findStart(db: Database, at: number, count: number): Promise<FeedStart> {
  const { first } = await db
    .selectFrom('hufu_account_changes')
    .select(({ fn }) => fn.min('step').as('first'))
    .where('at', '>=', at)
    .executeTakeFirstOrThrow()
  const again = await lastSteps(db, count)
  return { again, from: first === null ? again : Math.min(Number(first), again) }
}

/**
 * Deletes up to `limit` changes from before a time, except the last `keep`, and returns how many it deleted.
 */
export async function deleteChangesBefore(
  db: Database,
  at: number,
  { keep, limit }: { readonly keep: number; readonly limit: number },
): Promise<number> {
  const kept = await lastSteps(db, keep)
  const old = await db
    .selectFrom('hufu_account_changes')
    .select(['position', 'step'])
    .where('at', '<', at)
    .where((row) => row.or([row('step', 'is', null), row('step', '<', kept)]))
    .orderBy('at')
    .limit(limit)
    .execute()
  const steps = [...new Set(old.flatMap(({ step }) => (step === null ? [] : [step])))]
  const positions = old.flatMap(({ step, position }) => (step === null ? [position] : []))
  let deleted = 0n
  for (const [column, values] of [['step', steps] as const, ['position', positions] as const]) {
    if (values.length === 0) continue
    const remove = db.deleteFrom('hufu_account_changes').where(column, 'in', values).where('at', '<', at)
    deleted += (await remove.executeTakeFirst()).numDeletedRows
  }
  return Number(deleted)
}

/** The step of the first of the last `count` changes; 0: there are fewer. */
async function lastSteps(db: Database, count: number): Promise<number> {
  const row = await db
    .selectFrom('hufu_account_changes')
    .select('step')
    .where('step', '>', 0)
    .orderBy('step', 'desc')
    .offset(count - 1)
    .limit(1)
    .executeTakeFirst()
  return row?.step ?? 0
}

/** 32 random bits, hexadecimal. */
export function newHistory(): string {
  return randomBytes(4).toString('hex')
}

/** Begins a history in place of another one (null: of none), if the database still has that one. */
export async function beginHistory(db: Database, history: string, after: string | null): Promise<void> {
  if (after === null) await db.insertInto('hufu_feed').values({ id: 1, history }).execute()
  else
    await db
      .updateTable('hufu_feed')
      .set({ history })
      .where('id', '=', 1)
      .where('history', '=', after)
      .execute()
}
