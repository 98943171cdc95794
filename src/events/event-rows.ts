// Events in SQL. No policy here.
import { sql } from 'kysely'
import { valuesOfPage } from '../database/pages.ts'
import type { Database, EventsTable } from '../database/schema.ts'
import { nextTurn } from '../database/turns.ts'

/**
 * How many rows a statement writes or names at most: parameters, memory and time of a statement have a bound.
 */
const batchSize = 250

/** Writes events. */
export async function insertEvents(tx: Database, events: readonly EventsTable[]): Promise<void> {
  for (let i = 0; i < events.length; i += batchSize) {
    await tx
      .insertInto('hufu_events')
      .values(events.slice(i, i + batchSize))
      .execute()
    if (events.length > batchSize) await nextTurn()
  }
}

/**
 * Writes one event for each of these sessions, as `event` says it. A session ends once, so its id serves as
 * the event's, too.
 */
export async function insertEventsOfSessions(
  tx: Database,
  ids: readonly string[],
  event: Pick<EventsTable, 'at' | 'kind' | 'ip' | 'request_id' | 'detail'>,
): Promise<void> {
  const { at, kind, ip, request_id, detail } = event
  for (let i = 0; i < ids.length; i += batchSize) {
    const batch = ids.slice(i, i + batchSize)
    await sql`insert into hufu_events (id, at, kind, account_id, session_id, phone_number, ip, request_id, detail)
      select id, ${at}, ${kind}, account_id, id, null, ${ip}, ${request_id}, ${detail}
      from hufu_sessions where id in (${sql.join(batch)})`.execute(tx)
    await nextTurn()
  }
}

/** Whose events: those of an account, or those that name a number. Each has an index in this order. */
export interface EventSubject {
  readonly column: 'account_id' | 'phone_number'
  readonly value: string
}

/** A place in the order of events. */
export type EventPlace = Pick<EventsTable, 'at' | 'id'>

/** Up to `limit` events of a subject, newest first, older than `before`. */
export async function listEvents(
  db: Database,
  { column, value }: EventSubject,
  before: EventPlace | null,
  limit: number,
): Promise<EventsTable[]> {
  const events = db.selectFrom('hufu_events').selectAll().limit(limit)
  const page = before
    ? events
        .where(column, 'in', valuesOfPage(db, value))
        // The end of a range of the index on every database, which `at < ? or (at = ? and id < ?)` is on
        // none.
        .where('at', '<=', before.at)
        .where((where) => where.or([where('at', '<', before.at), where('id', '<', before.id)]))
        .orderBy(column, 'desc')
    : events.where(column, '=', value)
  return await page.orderBy('at', 'desc').orderBy('id', 'desc').execute()
}

/** Deletes up to `limit` of the oldest events from before a time, and returns how many that were. */
export async function deleteEventsBefore(db: Database, at: number, limit: number): Promise<number> {
  const old = await db
    .selectFrom('hufu_events')
    .select('id')
    .where('at', '<', at)
    .orderBy('at')
    .limit(limit)
    .execute()
  if (old.length === 0) return 0
  const ids = old.map(({ id }) => id)
  const { numDeletedRows } = await db.deleteFrom('hufu_events').where('id', 'in', ids).executeTakeFirst()
  return Number(numDeletedRows)
}

/**
 * The same as `forgetPerson`, a page in each statement, for before the transaction that removes the account:
 * what that one has left to do then does not grow with the account's past.
 */
export async function forgetPersonInPages(
  db: Database,
  accountId: string,
  phoneNumber: string | null,
): Promise<void> {
  const isToForget = ({ account_id, phone_number, ip, detail }: EventsTable) =>
    (account_id === accountId || account_id === null) && (phone_number ?? ip ?? detail) !== null
  const ofNumber = phoneNumber === null ? [] : [{ column: 'phone_number', value: phoneNumber } as const]
  for (const subject of [{ column: 'account_id', value: accountId } as const, ...ofNumber]) {
    for (let before: EventPlace | null = null; ; ) {
      await nextTurn()
      const page: EventsTable[] = await listEvents(db, subject, before, batchSize)
      const ids = page.filter(isToForget).map(({ id }) => id)
      const forgotten = { phone_number: null, ip: null, detail: null }
      if (ids.length > 0) await db.updateTable('hufu_events').set(forgotten).where('id', 'in', ids).execute()
      before = page.at(-1) ?? null
      if (page.length < batchSize) break
    }
  }
}

/**
 * Takes out of events what tells who an account's person is: number, address, details. Those of the number
 * that belong to another account, which had it before, stay as they are.
 */
export async function forgetPerson(
  tx: Database,
  accountId: string,
  phoneNumber: string | null,
): Promise<void> {
  const nothing = { phone_number: null, ip: null, detail: null }
  // Two statements, because each has an index and `or` has none.
  await tx.updateTable('hufu_events').set(nothing).where('account_id', '=', accountId).execute()
  if (phoneNumber === null) return
  await tx
    .updateTable('hufu_events')
    .set(nothing)
    .where('phone_number', '=', phoneNumber)
    .where('account_id', 'is', null)
    .execute()
}
