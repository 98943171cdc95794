// The text by which a connection identifies its server, and a reader that compares it with that of the pool.
import { sql } from 'kysely'
import { afterEach, describe, expect, inject, test } from 'vitest'
import { databaseKind, dialectFor, openDatabase } from '../../src/database/open.ts'
import type { Database } from '../../src/database/schema.ts'
import { ServerWatch, serverExpression } from '../../src/database/server-identity.ts'
import { databases } from '../support/databases.ts'
import { startMariadb } from '../support/services/mariadb.ts'
import { startPostgres } from '../support/services/postgres.ts'
import { startProxy } from '../support/tcp-proxy.ts'

const closers: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
}, 60_000)

function open(url: string, watch = new ServerWatch()): Database {
  const db = openDatabase(dialectFor(url, 1, { watch }))
  closers.push(() => db.destroy())
  return db
}

/** As one more column of a statement, next to those that it is about. */
async function serverOf(db: Database, url: string): Promise<string> {
  const kind = databaseKind(url) ?? expect.fail('not a database')
  const { rows } = await sql<{ n: number; server: string }>`
    select n, ${serverExpression(kind)} as server from (select 1 as n) one`.execute(db)
  expect(rows).toMatchObject([{ n: 1 }])
  return rows[0]?.server ?? ''
}

describe.each(databases)('on $name', (database) => {
  test.skipIf(database.skipped !== null)('every connection to one server says the same', async () => {
    const { url, drop } = await database.create()
    closers.push(drop)
    const watch = new ServerWatch()
    const [one, other] = [open(url, watch), open(url, watch)]
    const said = await serverOf(one, url)
    expect(said).toMatch(/^w \S+/)
    expect(await serverOf(other, url)).toBe(said)
    if (database.name !== 'sqlite') expect(watch.trusts(said)).toBe(true)
  })
})

describe.each([
  {
    name: 'mariadb',
    skipped: inject('mariadb').skipped,
    start: () => startMariadb(),
    database: 'mysql',
  },
  {
    name: 'postgres',
    skipped: inject('postgres').skipped,
    start: () => startPostgres(),
    database: 'postgres',
  },
])('a reader and a pool, on $name', ({ skipped, start, database }) => {
  test.skipIf(skipped !== null)(
    'follow a new connection that leads to another server, and nothing is trusted until all do',
    async () => {
      const [first, second] = [await start(), await start()]
      closers.push(
        () => first.stop(),
        () => second.stop(),
      )
      const proxy = await startProxy(first.url)
      closers.push(() => proxy.close())
      const url = `${proxy.url.replace(/\/$/, '')}/${database}`
      const watch = new ServerWatch()
      const pool = open(url, watch)
      const reader = open(url, watch)
      const before = await serverOf(pool, url)
      expect(watch.trusts(await serverOf(reader, url))).toBe(true)
      await pool.connection().execute(async (old) => {
        proxy.setTarget(second.url, { keepsOpen: true })
        const after = await serverOf(open(url, watch), url)
        expect(after).not.toBe(before)
        // The request that is under way goes on where it began.
        expect(await serverOf(old, url)).toBe(before)
        expect(watch.trusts(await serverOf(reader, url))).toBe(false)
      })
      const after = await serverOf(pool, url)
      expect(after).not.toBe(before)
      expect(await serverOf(reader, url)).toBe(after)
      expect(watch.trusts(after)).toBe(true)
    },
    120_000,
  )
})
