// Events in SQL. No policy here.
import { sql } from 'kysely'
import { valuesOfPage } from '../database/pages.ts'
import type { Database, EventsTable } from '../database/schema.ts'
import { nextTurn } from '../database/turns.ts'

/** The most rows that one statement writes or names, so that its parameters, memory and time are bounded. */
const batchSize = 250

/** An event as it is stored. */
export interface Event {
  /** UUIDv7 bytes as 22 characters of base64url. */
  readonly id: string
  /** Milliseconds since 1970 UTC. */
  readonly at: number
  readonly kind: string
  readonly accountId: string | null
  readonly sessionId: string | null
  /** E.164, where the event concerns a number. */
  readonly phoneNumber: string | null
  readonly ip: string | null
  readonly requestId: string | null
  readonly detail: Readonly<Record<string, unknown>> | null
}

/** Writes events. */
export async function insertEvents(tx: Database, events: readonly Event[]): Promise<void> {
  for (let i = 0; i < events.length; i += batchSize) {
    await tx
      .insertInto('hufu_events')
      .values(events.slice(i, i + batchSize).map(toRow))
      .execute()
    if (events.length > batchSize) await nextTurn()
  }
}

/** Writes one event for each of these sessions. A session ends once, so its id is also the event's id. */
export async function insertEventsOfSessions(
  tx: Database,
  ids: readonly string[],
  event: Pick<Event, 'at' | 'kind' | 'ip' | 'requestId' | 'detail'>,
): Promise<void> {
  const { at, kind, ip, requestId } = event
  const detail = textOf(event.detail)
  for (let i = 0; i < ids.length; i += batchSize) {
    const batch = ids.slice(i, i + batchSize)
    await sql`insert into hufu_events (id, at, kind, account_id, session_id, phone_number, ip, request_id, detail)
      select id, ${at}, ${kind}, account_id, id, null, ${ip}, ${requestId}, ${detail}
      from hufu_sessions where id in (${sql.join(batch)})`.execute(tx)
    await nextTurn()
  }
}

/** The subject of the events: an account or a number. Each has an index in this order. */
export interface EventSubject {
  readonly column: 'account_id' | 'phone_number'
  readonly value: string
}

/** A position in the order of events. */
export type EventPlace = Pick<Event, 'at' | 'id'>

/** Up to `limit` events of a subject, newest first, older than `before`. */
export async function listEvents(
  db: Database,
  { column, value }: EventSubject,
  before: EventPlace | null,
  limit: number,
): Promise<Event[]> {
  const events = db.selectFrom('hufu_events').selectAll().limit(limit)
  const page = before
    ? events
        .where(column, 'in', valuesOfPage(db, value))
        // This condition ends a range scan of the index on every database; `at < ? or (at = ? and id < ?)`
        // does so on none.
        .where('at', '<=', before.at)
        .where((where) => where.or([where('at', '<', before.at), where('id', '<', before.id)]))
        .orderBy(column, 'desc')
    : events.where(column, '=', value)
  const rows = await page.orderBy('at', 'desc').orderBy('id', 'desc').execute()
  return rows.map(toEvent)
}

/** Deletes up to `limit` of the oldest events from before a time, and returns how many it deleted. */
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

/** Removes what identifies a person from events: number, address and details. */
export async function emptyEvents(db: Database, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return
  await db
    .updateTable('hufu_events')
    .set({ phone_number: null, ip: null, request_id: null, detail: null })
    .where('id', 'in', [...ids])
    .execute()
}

/** Removes the number from events, and nothing else. */
export async function removeNumberFromEvents(db: Database, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return
  await db
    .updateTable('hufu_events')
    .set({ phone_number: null })
    .where('id', 'in', [...ids])
    .execute()
}

function toRow(event: Event): EventsTable {
  const { id, at, kind, accountId, sessionId, phoneNumber, ip, requestId } = event
  const subject = { account_id: accountId, session_id: sessionId, phone_number: phoneNumber }
  return { id, at, kind, ...subject, ip, request_id: requestId, detail: textOf(event.detail) }
}

function toEvent(row: EventsTable): Event {
  const { id, at, kind, account_id: accountId, session_id: sessionId, phone_number: phoneNumber } = row
  const detail = row.detail === null ? null : JSON.parse(row.detail)
  return { id, at, kind, accountId, sessionId, phoneNumber, ip: row.ip, requestId: row.request_id, detail }
}

function textOf(detail: Event['detail']): string | null {
  return detail && JSON.stringify(detail)
}
