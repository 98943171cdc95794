// The indexes by which old sessions are found: the expired ones without an end, and the ended ones.
import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import { addIndexes, dropIndexes } from '../ddl.ts'
import type { DatabaseKind } from '../open.ts'

/** May run twice: MySQL commits each statement by itself, so a crash can come between any two. */
export function oldSessions(kind: DatabaseKind): Migration {
  return {
    async up(db) {
      if (kind === 'mysql')
        await addIndexes(db, kind, 'hufu_sessions', { old: ['ended_at', 'expires_at', 'id'] })
      else await addPartialIndexes(db)
      // No version has a query for it.
      await dropIndexes(db, kind, 'hufu_sessions', ['expires_at'])
    },
  }
}

/**
 * An index that begins with `ended_at` would mislead SQLite, which knows how many rows share a value on
 * average, and not that most rows with an end differ and all without one are alike: it would look up sessions
 * by their ids through all sessions without an end.
 */
async function addPartialIndexes(db: Kysely<unknown>): Promise<void> {
  await sql`create index if not exists hufu_sessions_ended on hufu_sessions (ended_at, id)
    where ended_at is not null`.execute(db)
  await sql`create index if not exists hufu_sessions_unended on hufu_sessions (expires_at, id)
    where ended_at is null`.execute(db)
}
