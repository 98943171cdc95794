/** The servers that the tests run on behave as the tests expect. */

import { DatabaseSync } from 'node:sqlite'
import { createConnection } from 'mysql2/promise'
import { Client } from 'pg'
import { describe, expect, inject, onTestFinished, test } from 'vitest'
import { ownTables } from '../../../src/database/migrate.ts'
import { databaseKind, dialectFor, openDatabase } from '../../../src/database/open.ts'
import { type DatabaseUnderTest, databases, type FreshDatabase, stores } from '../databases.ts'
import { createMariadbDatabase, dropMariadbDatabase } from './mariadb.ts'
import { migrateFresh } from './templates.ts'

describe.each(databases)('$name', (database) => {
  test.skipIf(database.skipped !== null)('answers on its URL', async () => {
    const { url } = await createFresh(database)
    expect(await query(url, 'select 40 + 2 as answer')).toEqual([{ answer: 42 }])
  })

  test.skipIf(database.skipped !== null)('gives two tests separate databases', async () => {
    const mine = await createFresh(database)
    const yours = await createFresh(database)
    await query(mine.url, 'create table things (name varchar(20))')
    await query(mine.url, "insert into things values ('lamp')")
    expect(await query(mine.url, 'select name from things')).toEqual([{ name: 'lamp' }])
    await expect(query(yours.url, 'select name from things')).rejects.toThrow(/things/)
  })

  test.skipIf(database.skipped !== null)(
    'copies have the schema and the rows of a migrated database',
    async () => {
      const [copy, migrated] = [await database.create(), await createFresh(database)]
      onTestFinished(copy.drop)
      await migrateFresh(migrated.url)
      const made = await contentsOf(copy.url)
      expect(made.tables).toEqual(expect.arrayContaining([...ownTables]))
      expect(made).toEqual(await contentsOf(migrated.url))
    },
  )

  test.skipIf(database.skipped !== null)('drops its database, and once more without an error', async () => {
    const fresh = await createFresh(database)
    await query(fresh.url, 'create table things (name varchar(20))')
    await fresh.drop()
    await expect(query(fresh.url, 'select name from things')).rejects.toThrow()
    await fresh.drop()
  })
})

describe.skipIf(inject('mariadb').skipped !== null)('mariadb', () => {
  const serverUrl = inject('mariadb').url ?? ''

  test('drops a database that an open transaction still uses', async () => {
    const url = await createMariadbDatabase(serverUrl)
    await query(url, 'create table things (name varchar(20))')
    const forgotten = await createConnection(url)
    forgotten.on('error', () => {})
    await forgotten.query('start transaction')
    await forgotten.query('select * from things')
    await dropMariadbDatabase(url)
    await expect(query(url, 'select 1')).rejects.toThrow(/Unknown database/)
  })

  test('keeps its default isolation level, which is not the one of the others', async () => {
    expect(await query(serverUrl, 'select @@tx_isolation as level')).toEqual([{ level: 'REPEATABLE-READ' }])
  })
})

test('every database comes with and without Redis', () => {
  const mysql = inject('mysql').skipped === null ? ['mysql', 'mysql + redis'] : []
  const names = [
    'sqlite',
    'sqlite + redis',
    'mariadb',
    'mariadb + redis',
    ...mysql,
    'postgres',
    'postgres + redis',
  ]
  expect(stores.map(({ name }) => name)).toEqual(names)
})

async function createFresh(database: DatabaseUnderTest): Promise<FreshDatabase> {
  const fresh = await database.createEmpty()
  onTestFinished(fresh.drop)
  return fresh
}

/** The definition of each table of a database, the number of its rows, and the migrations that have run. */
async function contentsOf(url: string) {
  const db = openDatabase(dialectFor(url, 1))
  const all = await db.introspection.getTables({ withInternalKyselyTables: true })
  await db.destroy()
  const tables = all.map(({ name }) => name).toSorted()
  const counts = tables.map((table) => `(select count(*) from ${table}) as ${table}`)
  return {
    tables,
    definitions: await definitionsOf(url, tables),
    rows: await query(url, `select ${counts.join(', ')}`),
    migrations: await query(url, 'select name from hufu_migrations order by name'),
  }
}

const definedInPostgres = `select indexdef as text from pg_indexes where schemaname = 'public'
  union all select concat(conrelid::regclass, ' ', pg_get_constraintdef(oid)) from pg_constraint
    where connamespace = 'public'::regnamespace
  union all select concat_ws(' ', table_name, column_name, data_type, character_maximum_length, collation_name,
    column_default, is_nullable, is_identity) from information_schema.columns where table_schema = 'public'
  order by 1`

async function definitionsOf(url: string, tables: readonly string[]): Promise<unknown> {
  const kind = databaseKind(url)
  if (kind === 'sqlite') return await query(url, 'select type, name, sql from sqlite_master order by name')
  if (kind === 'postgres') return await query(url, definedInPostgres)
  return await Promise.all(tables.map((table) => query(url, `show create table ${table}`)))
}

async function query(url: string, sql: string): Promise<unknown> {
  if (url.startsWith('sqlite:')) return querySqlite(url.slice('sqlite:'.length), sql)
  if (url.startsWith('mysql:')) return queryMariadb(url, sql)
  return queryPostgres(url, sql)
}

function querySqlite(file: string, sql: string): unknown {
  const database = new DatabaseSync(file)
  try {
    // The rows have no prototype, which toEqual ignores.
    return database.prepare(sql).all()
  } finally {
    database.close()
  }
}

async function queryMariadb(url: string, sql: string): Promise<unknown> {
  const connection = await createConnection(url)
  try {
    const [rows] = await connection.query(sql)
    return rows
  } finally {
    connection.destroy()
  }
}

async function queryPostgres(url: string, sql: string): Promise<unknown> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    const { rows } = await client.query(sql)
    return rows
  } finally {
    await client.end()
  }
}
