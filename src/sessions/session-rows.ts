// Sessions in SQL. No policy here.
import { type ExpressionBuilder, type InferResult, sql } from 'kysely'
import type { PrepareRead } from '../database/open.ts'
import { isMysql, valuesOfPage } from '../database/pages.ts'
import type {
  AccountsTable,
  Database,
  EndReason,
  Platform,
  SessionsTable,
  Tables,
} from '../database/schema.ts'
import { nextTurn } from '../database/turns.ts'
import { type MaybePromise, mapMaybe } from '../maybe-promise.ts'
import { accountFactsOf } from './account-state.ts'
import { isOverByPendingEnd, type MayBeOver } from './pending-end-rows.ts'
import type { Ending, Session, SignedInAccount } from './session.ts'
import type { Rotation } from './token-status.ts'

const sessionColumns = [
  'hufu_sessions.id',
  'hufu_sessions.account_id',
  'hufu_sessions.platform',
  'hufu_sessions.device_id',
  'hufu_sessions.device_name',
  'hufu_sessions.app_version',
  'hufu_sessions.ip',
  'hufu_sessions.created_at',
  'hufu_sessions.seen_at',
  'hufu_sessions.expires_at',
] as const

const tokenColumns = [
  'hufu_sessions.token_hash',
  'hufu_sessions.token_family_hash',
  'hufu_sessions.previous_token_hash',
  'hufu_sessions.rotated_at',
] as const

type ColumnOf<T extends string> = T extends `hufu_sessions.${infer Name extends keyof SessionsTable}`
  ? Name
  : never
type SessionRow = Pick<SessionsTable, ColumnOf<(typeof sessionColumns)[number]>>
type TokenRow = Pick<SessionsTable, ColumnOf<(typeof tokenColumns)[number]>>

function toRotation(row: TokenRow): Rotation | null {
  const { token_family_hash: familyHash, previous_token_hash: previousHash, rotated_at: rotatedAt } = row
  if (familyHash === null) return null
  const pending = previousHash === null || rotatedAt === null ? null : { previousHash, rotatedAt }
  return { familyHash, pending }
}

function toSession(row: SessionRow): Session {
  return {
    id: row.id,
    accountId: row.account_id,
    platform: row.platform,
    deviceId: row.device_id,
    deviceName: row.device_name,
    appVersion: row.app_version,
    ip: row.ip,
    createdAt: row.created_at,
    seenAt: row.seen_at,
    expiresAt: row.expires_at,
  }
}

/**
 * The row of an account, locked until the transaction ends; null where there is no such account, or its
 * removal has begun.
 */
export async function lockAccount(tx: Database, id: string): Promise<AccountsTable | null> {
  const row = await lockAccountRow(tx, id)
  return row?.removal_began_at === null ? row : null
}

/** The same, also of an account whose removal has begun. */
export async function lockAccountRow(tx: Database, id: string): Promise<AccountsTable | null> {
  const row = await tx
    .selectFrom('hufu_accounts')
    .selectAll()
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst()
  return row ?? null
}

export type AccountChange = Partial<Omit<AccountsTable, 'id' | 'updated_at'>>

/**
 * Changes columns of an account, and returns the new row.
 * @throws the driver's unique violation where a number is taken
 */
export async function updateAccount(
  tx: Database,
  row: AccountsTable,
  set: AccountChange,
  now: number,
): Promise<AccountsTable> {
  const change = { ...set, updated_at: now }
  await tx.updateTable('hufu_accounts').set(change).where('id', '=', row.id).execute()
  return { ...row, ...change }
}

/** Deletes an account and, by foreign keys, everything that belongs to it. */
export async function deleteAccount(tx: Database, id: string): Promise<void> {
  await tx.deleteFrom('hufu_accounts').where('id', '=', id).execute()
}

export interface StoredSession {
  readonly session: Session
  readonly tokenHash: string
  readonly rotation: Rotation | null
  readonly ending: Ending | null
  readonly account: SignedInAccount
  /** As in `Live`. */
  readonly condition?: string
}

function selectSessions(db: Database) {
  return db
    .selectFrom('hufu_sessions')
    .innerJoin('hufu_accounts', 'hufu_accounts.id', 'hufu_sessions.account_id')
    .leftJoin('hufu_pending_ends as pending', 'pending.account_id', 'hufu_sessions.account_id')
    .leftJoin('hufu_sessions as ender', (join) =>
      join.on('ender.id', '=', (eb) =>
        eb.fn.coalesce('hufu_sessions.ended_by_session', 'pending.by_session'),
      ),
    )
    .select(sessionColumns)
    .select(tokenColumns)
    .select(['hufu_sessions.ended_at', 'hufu_sessions.end_reason', 'hufu_sessions.survives_end'])
    .select(['pending.id as pending_id', 'pending.at as pending_at', 'pending.reason as pending_reason'])
    .select(['ender.platform as ender_platform', 'ender.device_name as ender_device_name'])
    .select(['hufu_accounts.phone_number', 'hufu_accounts.nickname'])
    .select(['hufu_accounts.banned_at', 'hufu_accounts.banned_until', 'hufu_accounts.closes_at'])
}

function selectSession(db: Database, id: string) {
  return selectSessions(db).where('hufu_sessions.id', '=', id)
}

type StoredSessionRow = InferResult<ReturnType<typeof selectSessions>>[number]

interface EndRow extends MayBeOver, Pick<SessionsTable, 'ended_at' | 'end_reason'> {
  readonly pending_reason: EndReason | null
}

/** When and why a session ended: by its own row, or by the pending end of its account; null: it did not. */
function endOf(row: EndRow): Pick<Ending, 'at' | 'reason'> | null {
  if (row.ended_at !== null) return { at: row.ended_at, reason: row.end_reason ?? 'signed_out' }
  if (row.pending_at === null || !isOverByPendingEnd(row)) return null
  return { at: row.pending_at, reason: row.pending_reason ?? 'signed_out' }
}

function toStoredSession(row: StoredSessionRow): StoredSession {
  const end = endOf(row)
  const by = row.ender_platform && { platform: row.ender_platform, deviceName: row.ender_device_name }
  return {
    session: toSession(row),
    tokenHash: row.token_hash,
    rotation: toRotation(row),
    ending: end && { ...end, by },
    account: {
      id: row.account_id,
      phoneNumber: row.phone_number,
      nickname: row.nickname,
      ...accountFactsOf(row),
    },
  }
}

/** A session with its account and, where it has ended, how; null where there is none. */
export async function findSession(db: Database, id: string): Promise<StoredSession | null> {
  const row = await selectSession(db, id).executeTakeFirst()
  return row ? toStoredSession(row) : null
}

/**
 * The same as `findSession`, compiled once: without a cache entry it runs for every request, and compiling
 * costs more than the query.
 */
export function prepareFindSession(
  db: Database,
  prepare: PrepareRead,
): (id: string) => MaybePromise<StoredSession | null> {
  const read = prepare<StoredSessionRow>(selectSession(db, '').compile())
  const first = ([row]: StoredSessionRow[]) => (row ? toStoredSession(row) : null)
  return (id) => mapMaybe(read([id]), first)
}

/** A session with its end, as it is shown to the owner of the account. */
export interface SessionRecord extends Session {
  readonly endedAt: number | null
  readonly endReason: EndReason | null
}

/** Up to `limit` of all sessions that an account has had, oldest first, after the session `after`. */
export async function listSessionRecords(
  db: Database,
  accountId: string,
  after: Pick<SessionRecord, 'createdAt' | 'id'> | null,
  limit: number,
): Promise<SessionRecord[]> {
  const sessions = db
    .selectFrom('hufu_sessions')
    .select(sessionColumns)
    .select(['ended_at', 'end_reason', 'survives_end'])
    .select((eb) => pendingEnd(eb, accountId))
    .limit(limit)
  const page = after
    ? sessions
        .where('account_id', 'in', valuesOfPage(db, accountId))
        // This condition starts a range scan of the index on every database.
        .where('created_at', '>=', after.createdAt)
        .where((where) => where.or([where('created_at', '>', after.createdAt), where('id', '>', after.id)]))
        .orderBy('account_id')
    : sessions.where('account_id', '=', accountId)
  const rows = await page.orderBy('created_at').orderBy('id').execute()
  return rows.map((row) => {
    const end = endOf(row)
    return { ...toSession(row), endedAt: end?.at ?? null, endReason: end?.reason ?? null }
  })
}

/**
 * The pending end of an account, as columns of each row: one lookup per statement, whatever the number of
 * rows.
 */
function pendingEnd(eb: ExpressionBuilder<Tables, 'hufu_sessions'>, accountId: string) {
  const column = <C extends 'id' | 'at' | 'reason'>(name: C) =>
    eb
      .selectFrom('hufu_pending_ends')
      .select(`hufu_pending_ends.${name}` as const)
      .where('hufu_pending_ends.account_id', '=', accountId)
  return [
    column('id').as('pending_id'),
    column('at').as('pending_at'),
    column('reason').as('pending_reason'),
  ] as const
}

export interface LiveSession {
  readonly session: Session
  readonly tokenHash: string
  readonly rotation: Rotation | null
}

/** Where a page of live sessions ended. */
export interface SessionCursor {
  readonly createdAt: number
  readonly id: string
}

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
    .select((eb) => pendingEnd(eb, accountId))
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

export interface LivePage {
  readonly now: number
  readonly after?: SessionCursor | null
  readonly limit: number
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

function toLiveSession(row: SessionRow & TokenRow): LiveSession {
  return { session: toSession(row), tokenHash: row.token_hash, rotation: toRotation(row) }
}

export type Contender = Pick<Session, 'id' | 'platform' | 'deviceId' | 'createdAt'>

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

/**
 * A page of the account's sessions that the pending end has yet to be written into, and where the next one
 * begins; null: nowhere.
 */
export async function unendedSessions(
  tx: Database,
  accountId: string,
  page: { readonly after: SessionCursor | null; readonly limit: number },
): Promise<{ over: string[]; next: SessionCursor | null }> {
  const rows = await selectUnended(tx, accountId, page).execute()
  const over = rows.filter(isOverByPendingEnd).map(({ id }) => id)
  return { over, next: cursorAfter(rows, page.limit) }
}

/** Lets sessions survive a pending end of their account. */
export async function spareSessions(tx: Database, ids: readonly string[], pendingId: string): Promise<void> {
  for (const batch of batches(ids))
    await tx.updateTable('hufu_sessions').set({ survives_end: pendingId }).where('id', 'in', batch).execute()
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

/** The sessions with these ids that exist, live or not, in no order. */
export async function findSessions(tx: Database, ids: readonly string[]): Promise<StoredSession[]> {
  const found: StoredSession[] = []
  for (const batch of batches(ids)) {
    const rows = await selectSessions(tx).where('hufu_sessions.id', 'in', batch).execute()
    found.push(...rows.map(toStoredSession))
  }
  return found
}

/**
 * The state of a session whose sign-in can be repeated, until its token is first used. It uses the columns of
 * a rotation whose successor is unused: the fingerprint is the hash of no token, and the first use clears it
 * as it clears a previous token.
 */
export interface RepeatableSignIn {
  /** From sign-in-repeats.ts. */
  readonly fingerprint: string
  readonly tokenHash: string
  /** The family hash of the token; a repeat makes another token. */
  readonly familyHash: string
  /** When this token was made. */
  readonly at: number
}

/** The values of `rotation_nonce` that say whether the sign-in that can be repeated created the account. */
const madeAccount = { true: 'made_account', false: 'found_account' } as const

/** Writes a new session. */
export async function insertSession(
  tx: Database,
  session: Session,
  tokenHash: string,
  repeatable: (RepeatableSignIn & { readonly created: boolean }) | null = null,
): Promise<void> {
  await tx
    .insertInto('hufu_sessions')
    .values((eb) => ({
      id: session.id,
      account_id: session.accountId,
      token_hash: tokenHash,
      token_family_hash: repeatable?.familyHash ?? null,
      previous_token_hash: repeatable?.fingerprint ?? null,
      rotation_nonce: repeatable && madeAccount[`${repeatable.created}`],
      rotated_at: repeatable?.at ?? null,
      sign_in_fingerprint: repeatable?.fingerprint ?? null,
      platform: session.platform,
      device_id: session.deviceId,
      device_name: session.deviceName,
      app_version: session.appVersion,
      ip: session.ip,
      created_at: session.createdAt,
      seen_at: session.seenAt,
      expires_at: session.expiresAt,
      ended_at: null,
      end_reason: null,
      ended_by_session: null,
      survives_end: eb
        .selectFrom('hufu_pending_ends')
        .select('hufu_pending_ends.id')
        .where('hufu_pending_ends.account_id', '=', session.accountId),
    }))
    .execute()
}

/** A session whose sign-in can be repeated. */
export interface Repeatable {
  readonly session: Session
  readonly fingerprint: string
  /** The sign-in created the account. */
  readonly created: boolean
}

export interface RepeatSearch {
  /** E.164. */
  readonly phoneNumber: string
  readonly fingerprint: string
  /** Only a session that began after this time. */
  readonly since: number
}

/**
 * The session that this sign-in of a number created, if it has not ended and its token was never used; null
 * where there is none. It is one statement, whether or not the number has an account.
 */
export async function findRepeatable(
  db: Database,
  { phoneNumber, fingerprint, since }: RepeatSearch,
): Promise<Repeatable | null> {
  const row = await db
    .selectFrom('hufu_sessions')
    .innerJoin('hufu_accounts', 'hufu_accounts.id', 'hufu_sessions.account_id')
    .leftJoin('hufu_pending_ends as pending', 'pending.account_id', 'hufu_sessions.account_id')
    .select(sessionColumns)
    .select(['hufu_sessions.rotation_nonce', 'hufu_sessions.survives_end'])
    .select(['pending.id as pending_id', 'pending.at as pending_at'])
    .where('hufu_accounts.phone_number', '=', phoneNumber)
    .where('hufu_sessions.ended_at', 'is', null)
    .where('hufu_sessions.previous_token_hash', '=', fingerprint)
    .where('hufu_sessions.created_at', '>', since)
    .executeTakeFirst()
  if (!row || isOverByPendingEnd(row)) return null
  return { session: toSession(row), fingerprint, created: row.rotation_nonce === madeAccount.true }
}

/** Whether a session of an account was created by this sign-in after a time, whatever became of it. */
export async function hasSignedIn(
  tx: Database,
  accountId: string,
  { fingerprint, since }: Omit<RepeatSearch, 'phoneNumber'>,
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
    .set({ token_hash: next.tokenHash, token_family_hash: next.familyHash, rotated_at: next.at })
    .where('id', '=', id)
    .where('previous_token_hash', '=', next.fingerprint)
    .where('ended_at', 'is', null)
    .execute()
}

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

/** The nonce that leads from the previous token to the current one; null where the previous one is over. */
export async function findNonce(tx: Database, id: string): Promise<string | null> {
  const row = await tx
    .selectFrom('hufu_sessions')
    .select('rotation_nonce')
    .where('id', '=', id)
    .executeTakeFirst()
  return row?.rotation_nonce ?? null
}

export interface EndOfSessions {
  readonly ids: readonly string[]
  readonly at: number
  readonly reason: EndReason
  readonly by: string | null
}

/** Ends the sessions that have not ended yet, in batches, and returns how many it ended. */
export async function endSessions(tx: Database, end: EndOfSessions): Promise<number> {
  let ended = 0
  for (const batch of batches(end.ids)) {
    const result = await tx
      .updateTable('hufu_sessions')
      .set({ ended_at: end.at, end_reason: end.reason, ended_by_session: end.by })
      .where('id', 'in', batch)
      .where('ended_at', 'is', null)
      .executeTakeFirst()
    ended += Number(result.numUpdatedRows)
    if (end.ids.length > batch.length) await nextTurn()
  }
  return ended
}

/** Deletes the account's sessions that have ended, in batches. */
export async function deleteEndedSessions(db: Database, accountId: string): Promise<void> {
  for (;;) {
    await nextTurn()
    const rows = await db
      .selectFrom('hufu_sessions')
      .select('id')
      .where('account_id', '=', accountId)
      .where('ended_at', 'is not', null)
      .limit(batchSize)
      .execute()
    if (rows.length === 0) return
    const ids = rows.map(({ id }) => id)
    await db.deleteFrom('hufu_sessions').where('id', 'in', ids).execute()
    if (rows.length < batchSize) return
  }
}

/** The most rows that a statement names, so that its parameters, memory and time are bounded. */
const batchSize = 250
const readAtOnce = 1_000

function batches(ids: readonly string[]): string[][] {
  const count = Math.ceil(ids.length / batchSize)
  return Array.from({ length: count }, (_, i) => ids.slice(i * batchSize, (i + 1) * batchSize))
}

/**
 * Writes that these live sessions were used at `now`, unless the last note is less than `atMostEveryMs` old.
 */
export async function updateSeen(
  db: Database,
  ids: readonly string[],
  now: number,
  atMostEveryMs: number,
): Promise<void> {
  await db
    .updateTable('hufu_sessions')
    .set({ seen_at: now })
    .where('id', 'in', [...ids])
    .where('ended_at', 'is', null)
    .where('seen_at', '<=', now - atMostEveryMs)
    .execute()
}

export interface Extension {
  readonly ids: readonly string[]
  /** When the sessions were used; sessions that had expired by then stay expired. */
  readonly usedAt: number
  /** The new end; null: never. */
  readonly expiresAt: number | null
  /** A session ends at most this long after it began; null: no such limit. */
  readonly maxLifeMs: number | null
  /** Only expiry times that are at least this far behind the new one are moved. */
  readonly behindMs: number
}

/** Moves the expiry of live sessions to a later time, never to an earlier one. */
export async function extendSessions(db: Database, extension: Extension): Promise<void> {
  const { ids, usedAt, expiresAt, maxLifeMs, behindMs } = extension
  const latest = sql<number | null>`created_at + ${maxLifeMs}`
  const end =
    maxLifeMs === null
      ? sql<number | null>`${expiresAt}`
      : expiresAt === null
        ? latest
        : sql<number>`case when ${latest} < ${expiresAt} then ${latest} else ${expiresAt} end`
  await db
    .updateTable('hufu_sessions')
    .set({ expires_at: end })
    .where('id', 'in', [...ids])
    .where('ended_at', 'is', null)
    .where('expires_at', '>', usedAt)
    .where((where) =>
      expiresAt === null && maxLifeMs === null
        ? sql<boolean>`1 = 1`
        : where(sql<number>`expires_at + ${behindMs}`, '<=', end),
    )
    .execute()
}
