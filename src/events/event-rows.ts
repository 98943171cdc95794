// Events in SQL. No policy here.
import type { Database, EventsTable } from '../db/schema.ts'

/** Writes events. */
export async function insertEvents(tx: Database, events: readonly EventsTable[]): Promise<void> {
  if (events.length > 0)
    await tx
      .insertInto('hufu_events')
      .values([...events])
      .execute()
}

/** Up to `limit` events about an account, or about a number where one is given, newest first, older than `before`. */
export async function listEvents(
  db: Database,
  about: { readonly accountId: string | null; readonly phoneNumber: string | null },
  before: { readonly at: number; readonly id: string } | null,
  limit: number,
): Promise<EventsTable[]> {
  let query = db
    .selectFrom('hufu_events')
    .selectAll()
    .where((where) =>
      where.or([where('account_id', '=', about.accountId), where('phone_number', '=', about.phoneNumber)]),
    )
  if (before) {
    query = query.where((where) =>
      where.or([
        where('at', '<', before.at),
        where.and([where('at', '=', before.at), where('id', '<', before.id)]),
      ]),
    )
  }
  return await query.orderBy('at', 'desc').orderBy('id', 'desc').limit(limit).execute()
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
 * Takes out of events what tells who an account's person is: number, address, details. Those of the number that belong to
 * another account, which had it before, stay as they are.
 */
export async function forgetPerson(tx: Database, accountId: string, phoneNumber: string): Promise<void> {
  await tx
    .updateTable('hufu_events')
    .set({ phone_number: null, ip: null, detail: null })
    .where((where) =>
      where.or([
        where('account_id', '=', accountId),
        where.and([where('account_id', 'is', null), where('phone_number', '=', phoneNumber)]),
      ]),
    )
    .execute()
}
