// What had another name before 0.1.0: indexes without the prefix of their tables, and `phone_verified`.
import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import type { DatabaseKind } from '../open.ts'
import { indexNames, renameColumn, renameIndex } from '../tables.ts'

const tables = ['accounts', 'sessions', 'codes', 'events', 'account_changes', 'server_keys']
/** How many rows one statement looks at: a statement has 5 s. */
const batch = 10_000

/** Every statement may run twice: MySQL commits each one by itself, so a crash can come between any two. */
export function ownNames(kind: DatabaseKind): Migration {
  return {
    async up(db) {
      for (const table of tables) await renameIndexes(db, kind, table)
      await renameColumn(db, kind, 'hufu_accounts', { from: 'phone_proven_at', to: 'phone_verified_at' })
      await renameWord(db, { table: 'hufu_sessions', column: 'end_reason' })
      await renameWord(db, { table: 'hufu_events', column: 'kind' })
    },
  }
}

async function renameIndexes(db: Kysely<unknown>, kind: DatabaseKind, table: string): Promise<void> {
  const named = await indexNames(db, kind, `hufu_${table}`)
  for (const from of named.filter((name) => name.startsWith(`${table}_`)))
    await renameIndex(db, kind, `hufu_${table}`, { from, to: `hufu_${from}` })
}

/** `phone_proven` becomes `phone_verified`, a range of ids at a time. */
async function renameWord(
  db: Kysely<unknown>,
  { table, column }: { table: string; column: string },
): Promise<void> {
  for (let after = ''; ; ) {
    const { rows } = await sql<{ id: string }>`select id from ${sql.table(table)} where id > ${after}
      order by id limit 1 offset ${sql.lit(batch - 1)}`.execute(db)
    const last = rows[0]?.id ?? null
    await sql`update ${sql.table(table)} set ${sql.ref(column)} = 'phone_verified'
      where ${sql.ref(column)} = 'phone_proven' and id > ${after}
      and ${last === null ? sql`1 = 1` : sql`id <= ${last}`}`.execute(db)
    if (last === null) return
    after = last
  }
}
