// The live sessions of an account in SQL, and the accounts that may have some, read page by page. No policy
// here.
import { type InferResult, sql } from 'kysely'
import { isMysql } from '../database/pages.ts'
import type { Database, SessionsTable } from '../database/schema.ts'
import { nextTurn } from '../database/turns.ts'
import { isOverByPendingEnd, pendingEndColumns } from './pending-end-rows.ts'
import type { Platform } from './platform.ts'
import type { Contender } from './policy.ts'
import type { Session } from './session.ts'
import {
  type SessionRow,
  sessionColumns,
  type TokenRow,
  tokenColumns,
  toRotation,
  toSession,
} from './session-columns.ts'
import type { SessionCursor } from './session-pages.ts'
import type { Rotation } from './token-status.ts'

/**
 * A page of the account's sessions without an end of their own, oldest first, behind the cursor: the index
 * hufu_sessions_account_live has this order. The caller selects the live ones, because the search for a page
 * of live ones could read the whole index.
 */
function selectUnended(
  db: Database,
  accountId: string,
  { after, limit }: { readonly after: SessionCursor | null; readonly limit: number },
) {
  const query = db
    .selectFrom(byIndexOfLive(db))
    .where('account_id', '=', accountId)
    .where('ended_at', 'is', null)
    .limit(limit)
    .select(['hufu_sessions.id', 'created_at', 'expires_at', 'survives_end'])
    .select((eb) => pendingEndColumns(eb, accountId))
  if (isMysql(db)) {
    // MySQL and MariaDB sort the rows where the order names a column that `is null` makes equal in all rows;
    // PostgreSQL sorts them where the order does not name it.
    const ordered = query.orderBy('created_at').orderBy('hufu_sessions.id')
    // MySQL and MariaDB do not use a range of an index for a comparison of pairs.
    return after === null
      ? ordered
      : ordered
          .where('created_at', '>=', after.createdAt)
          .where((where) =>
            where.or([where('created_at', '>', after.createdAt), where('hufu_sessions.id', '>', after.id)]),
          )
  }
  const ordered = query
    .orderBy('account_id')
    .orderBy('ended_at')
    .orderBy('created_at')
    .orderBy('hufu_sessions.id')
  // The comparison of pairs is a range of the index also where many sessions began in the same millisecond.
  return after === null
    ? ordered
    : ordered.where(sql<boolean>`(created_at, hufu_sessions.id) > (${after.createdAt}, ${after.id})`)
}

/**
 * The sessions table with an index hint. Where most sessions of an account are live, MySQL and MariaDB would
 * use another index for each page, and sort all sessions of the account.
 */
function byIndexOfLive(db: Database) {
  const hint = isMysql(db) ? sql` force index (hufu_sessions_account_live)` : sql``
  return sql<SessionsTable>`hufu_sessions`.as<'hufu_sessions'>(sql`hufu_sessions${hint}`)
}

type UnendedRow = InferResult<ReturnType<typeof selectUnended>>[number]

function isLiveAt(row: UnendedRow, now: number): boolean {
  return (row.expires_at === null || row.expires_at > now) && !isOverByPendingEnd(row)
}

/** Where the next page begins; null: this was the last one. */
function cursorAfter(rows: readonly UnendedRow[], limit: number): SessionCursor | null {
  const last = rows.at(-1)
  return last && rows.length === limit ? { createdAt: last.created_at, id: last.id } : null
}

/** The most rows of a page, so that its memory and time are bounded. */
const readAtOnce = 1_000

export interface LivePage {
  readonly now: number
  readonly after?: SessionCursor | null
  readonly limit: number
}

/** The live rows of page after page, with turns of the event loop between. */
async function* livePages<R extends UnendedRow>(
  readPage: (after: SessionCursor | null) => Promise<R[]>,
  { now, after = null, limit }: LivePage,
): AsyncGenerator<R[]> {
  for (let from = after; ; await nextTurn()) {
    const rows = await readPage(from)
    yield rows.filter((row) => isLiveAt(row, now))
    from = cursorAfter(rows, limit)
    if (from === null) return
  }
}

export interface LiveSession {
  readonly session: Session
  readonly tokenHash: string
  readonly rotation: Rotation | null
}

/** Up to `limit` of the account's live sessions at `now`, oldest first, behind a cursor. */
export async function listLiveSessions(
  db: Database,
  accountId: string,
  page: LivePage,
): Promise<LiveSession[]> {
  const { limit } = page
  const readPage = (after: SessionCursor | null) =>
    selectUnended(db, accountId, { after, limit }).select(sessionColumns).select(tokenColumns).execute()
  const found: LiveSession[] = []
  for await (const rows of livePages(readPage, page)) {
    found.push(...rows.map(toLiveSession))
    if (found.length >= limit) return found.slice(0, limit)
  }
  return found
}

/** What a transaction on an account needs of its sessions, read by one statement. */
export interface FewLiveSessions {
  readonly sessions: readonly LiveSession[]
  /** The greatest step of the feed that is visible; null: there is no session that could be read with it. */
  readonly lastStep: number | null
}

/** The live sessions of an account at `now`, oldest first; null: there may be more than `limit`. */
export async function readFewLiveSessions(
  tx: Database,
  accountId: string,
  now: number,
  limit: number,
): Promise<FewLiveSessions | null> {
  const rows = await selectUnended(tx, accountId, { after: null, limit: limit + 1 })
    .select(sessionColumns)
    .select(tokenColumns)
    .select((eb) =>
      eb
        .selectFrom('hufu_account_changes')
        .select((changes) => changes.fn.max('hufu_account_changes.step').as('step'))
        .as('last_step'),
    )
    .execute()
  if (rows.length > limit) return null
  const [first] = rows
  return {
    sessions: rows.filter((row) => isLiveAt(row, now)).map(toLiveSession),
    lastStep: first ? Number(first.last_step ?? 0) : null,
  }
}

function toLiveSession(row: SessionRow & TokenRow): LiveSession {
  return { session: toSession(row), tokenHash: row.token_hash, rotation: toRotation(row) }
}

/** Which live sessions are wanted; without a member, all of them. */
export interface ContenderFilter {
  readonly platform?: Platform
  readonly deviceId?: string
}

/**
 * All live sessions of an account at `now` that fit, oldest first, read page by page with turns of the event
 * loop between.
 */
export async function listLiveContenders(
  tx: Database,
  accountId: string,
  now: number,
  { platform, deviceId }: ContenderFilter = {},
): Promise<Contender[]> {
  const found: Contender[] = []
  const readPage = (after: SessionCursor | null) =>
    selectUnended(tx, accountId, { after, limit: readAtOnce }).select(['platform', 'device_id']).execute()
  for await (const rows of livePages(readPage, { now, limit: readAtOnce })) {
    for (const row of rows) {
      if (platform !== undefined && row.platform !== platform) continue
      if (deviceId !== undefined && row.device_id !== deviceId) continue
      const { id, created_at: createdAt } = row
      found.push({ id, platform: row.platform, deviceId: row.device_id, createdAt })
    }
  }
  return found
}

/** The ids of the account's live sessions at `now`, oldest first: all, or the first `limit` of them. */
export async function listLiveSessionIds(
  tx: Database,
  accountId: string,
  now: number,
  limit: number | null,
): Promise<string[]> {
  const found: string[] = []
  const readPage = (after: SessionCursor | null) =>
    selectUnended(tx, accountId, { after, limit: readAtOnce }).execute()
  for await (const rows of livePages(readPage, { now, limit: readAtOnce })) {
    found.push(...rows.map(({ id }) => id))
    if (limit !== null && found.length >= limit) return found.slice(0, limit)
  }
  return found
}

/**
 * The ids of the account's live sessions at `now` that began before a time, oldest first, read page by page.
 */
export async function listLiveSessionIdsBefore(
  tx: Database,
  accountId: string,
  now: number,
  startedBefore: number,
): Promise<string[]> {
  const found: string[] = []
  const readPage = (after: SessionCursor | null) =>
    selectUnended(tx, accountId, { after, limit: readAtOnce })
      .where('created_at', '<', startedBefore)
      .execute()
  for await (const rows of livePages(readPage, { now, limit: readAtOnce }))
    found.push(...rows.map(({ id }) => id))
  return found
}

export interface AccountPage {
  /** The id behind which the page begins; empty: the first page. */
  readonly after: string
  /** Only sessions that began before this time count; null: all. */
  readonly startedBefore: number | null
  /** The number of accounts that are looked at. */
  readonly limit: number
}

/**
 * Looks at a page of all accounts in the order of their ids: those that have a session without an end of its
 * own, which may have expired, and where the next page begins; null: nowhere. Each account costs one look
 * into the index, however many sessions it has had.
 */
export async function listAccountsWithUnended(
  db: Database,
  { after, startedBefore, limit }: AccountPage,
): Promise<{ readonly ids: string[]; readonly next: string | null }> {
  const rows = await db
    .selectFrom('hufu_accounts')
    .select('hufu_accounts.id')
    // PostgreSQL could answer `exists` from a hash of the whole table.
    .select((eb) => {
      const unended = eb
        .selectFrom(byIndexOfLive(db))
        .select(sql<number>`1`.as('one'))
        .whereRef('hufu_sessions.account_id', '=', 'hufu_accounts.id')
        .where('hufu_sessions.ended_at', 'is', null)
        .limit(1)
      const counting =
        startedBefore === null ? unended : unended.where('hufu_sessions.created_at', '<', startedBefore)
      return counting.as('unended')
    })
    .where('hufu_accounts.id', '>', after)
    .where('removal_began_at', 'is', null)
    .orderBy('hufu_accounts.id')
    .limit(limit)
    .execute()
  const ids = rows.filter(({ unended }) => unended !== null).map(({ id }) => id)
  return { ids, next: rows.length < limit ? null : (rows.at(-1)?.id ?? null) }
}

/** A page of the account's sessions without an end of their own. */
export interface UnendedPage {
  readonly ids: string[]
  /** The ids of those whose end the pending end of the account is. */
  readonly over: string[]
  /** Where the next page begins; null: this was the last one. */
  readonly next: SessionCursor | null
}

/** A page of the account's sessions without an end of their own, live and expired ones. */
export async function listUnended(
  tx: Database,
  accountId: string,
  page: { readonly after: SessionCursor | null; readonly limit: number },
): Promise<UnendedPage> {
  const rows = await selectUnended(tx, accountId, page).execute()
  const idsOf = (some: readonly UnendedRow[]) => some.map(({ id }) => id)
  return {
    ids: idsOf(rows),
    over: idsOf(rows.filter(isOverByPendingEnd)),
    next: cursorAfter(rows, page.limit),
  }
}
