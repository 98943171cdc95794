// Pages of all sessions of an account, oldest first.
import type { SelectQueryBuilder } from 'kysely'
import { valuesOfPage } from '../database/pages.ts'
import type { Database, Tables } from '../database/schema.ts'

/** A place in the order in which sessions began. */
export interface SessionCursor {
  readonly createdAt: number
  readonly id: string
}

/** Restricts a query to the sessions of an account behind a cursor, in their order. */
export function sessionsAfter<Row>(
  db: Database,
  sessions: SelectQueryBuilder<Tables, 'hufu_sessions', Row>,
  accountId: string,
  after: SessionCursor | null,
): SelectQueryBuilder<Tables, 'hufu_sessions', Row> {
  const page = after
    ? sessions
        .where('account_id', 'in', valuesOfPage(db, accountId))
        // This condition starts a range scan of the index on every database.
        .where('created_at', '>=', after.createdAt)
        .where((where) => where.or([where('created_at', '>', after.createdAt), where('id', '>', after.id)]))
        .orderBy('account_id')
    : sessions.where('account_id', '=', accountId)
  return page.orderBy('created_at').orderBy('id')
}
