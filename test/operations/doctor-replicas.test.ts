// doctor says what a fail-over to a replica would lose, with the rights of a server.
import { createConnection } from 'mysql2/promise'
import { Client } from 'pg'
import { afterEach, expect, inject, test } from 'vitest'
import { dialectFor, openDatabase } from '../../src/database/open.ts'
import { replicationOf } from '../../src/database/replication.ts'
import { runCommand } from '../support/app.ts'
import {
  createMariadbDatabase,
  followMariadb,
  replicationArgs,
  startMariadb,
} from '../support/services/mariadb.ts'
import { createPostgresDatabase, startPostgres } from '../support/services/postgres.ts'
import { until } from '../support/services/until.ts'
import { startProxy } from '../support/tcp-proxy.ts'

const closers: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
}, 60_000)

/** What is found through a connection of this user. */
function asking(url: string, kind: 'mysql' | 'postgres') {
  const db = openDatabase(dialectFor(url, 1))
  closers.push(() => db.destroy())
  return async () => {
    const found = await replicationOf(db, kind)
    if (!found) throw new Error('this database has replicas')
    return `${found.isWarning ? '!' : '✓'} ${found.en}`
  }
}

test.skipIf(inject('mariadb').skipped !== null)(
  'MariaDB: no replica, an asynchronous one, a semi-synchronous one, and one that does not answer',
  async () => {
    const primary = await startMariadb({ args: replicationArgs(1) })
    closers.push(() => primary.stop())
    const replica = await startMariadb({ args: replicationArgs(2) })
    closers.push(() => replica.stop())
    const [onPrimary, onReplica] = await Promise.all(
      [primary.url, replica.url].map(async (url) => {
        const connection = await createConnection(url)
        closers.push(async () => connection.destroy())
        return (...statements: string[]) =>
          statements.reduce<Promise<unknown>>(
            (before, statement) => before.then(() => connection.query(statement)),
            Promise.resolve(),
          )
      }),
    )
    if (!onPrimary || !onReplica) throw new Error('there are two')
    const databaseUrl = await createMariadbDatabase(primary.url)
    const name = new URL(databaseUrl).pathname.slice(1)
    await onPrimary(
      "create user hufu@'%' identified by 'secret'",
      `grant select, insert, update, delete, create, alter, drop, index, references on ${name}.* to hufu@'%'`,
    )
    const url = databaseUrl.replace('root', 'hufu:secret')
    const ask = asking(url, 'mysql')
    expect(await ask()).toBe('✓ no replica is connected to this database server')

    await followMariadb(replica, primary)
    await until(async () => (await ask()).startsWith('!'))
    expect(await ask()).toContain('1 connected, and replication is asynchronous: a fail-over loses')
    const doctor = await runCommand(['doctor'], { HUFU_DATABASE_URL: url })
    expect(doctor).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^! replicas +1 connected, .*docs\/guarantees\.md/m),
    })

    await onPrimary(
      'set global rpl_semi_sync_master_timeout = 1000',
      'set global rpl_semi_sync_master_wait_point = AFTER_SYNC',
      'set global rpl_semi_sync_master_enabled = 1',
    )
    await onReplica('set global rpl_semi_sync_slave_enabled = 1', 'stop slave', 'start slave')
    await until(async () => (await ask()).includes(' 1 connected;'))
    expect(await ask()).toBe(
      '✓ semi-synchronous (AFTER_SYNC), 1 connected; asynchronous where none answers within 1 s',
    )
    await onPrimary('set global rpl_semi_sync_master_wait_point = AFTER_COMMIT')
    expect(await ask()).toMatch(/^! semi-synchronous \(AFTER_COMMIT\), .*AFTER_SYNC/)

    await onPrimary(
      'set global rpl_semi_sync_master_timeout = 3600000',
      'set global rpl_semi_sync_master_wait_point = AFTER_SYNC',
    )
    await onReplica('stop slave')
    await until(async () => (await ask()).startsWith('!'))
    expect(await ask()).toContain('no replica is connected: every commit waits for one, 3600 s at most')
    await onPrimary('set global rpl_semi_sync_master_timeout = 1000')
    await onPrimary(`create table ${name}.things (id int)`, `insert into ${name}.things values (1)`)
    expect(await ask()).toMatch(/^! semi-synchronous, but asynchronous at present, .* within 1 s/)
  },
  90_000,
)

test.skipIf(inject('postgres').skipped !== null)(
  'PostgreSQL: no standby, an asynchronous one, a synchronous one, and none that is waited for',
  async () => {
    const primary = await startPostgres()
    closers.push(() => primary.stop())
    const databaseUrl = await createPostgresDatabase(primary.url)
    const admin = new Client({ connectionString: databaseUrl })
    await admin.connect()
    closers.push(() => admin.end())
    await admin.query('create role hufu_server login')
    await admin.query('grant create on schema public to hufu_server')
    const asServer = databaseUrl.replace('hufu@', 'hufu_server@')
    const ask = asking(asServer, 'postgres')
    const askAsAdmin = asking(databaseUrl, 'postgres')
    const set = async (names: string) => {
      await admin.query(`alter system set synchronous_standby_names = '${names}'`)
      await admin.query('select pg_reload_conf()')
      const shown = async () => (await admin.query('show synchronous_standby_names')).rows[0]
      await until(async () => (await shown()).synchronous_standby_names === names)
    }
    expect(await ask()).toBe('✓ no replica is connected to this database server')

    const stream = await startProxy(primary.url)
    closers.push(() => stream.close())
    const standby = await startPostgres({ standbyOf: stream })
    closers.push(() => standby.stop())
    await until(async () => (await ask()).startsWith('!'))
    for (const asked of [ask, askAsAdmin])
      expect(await asked()).toContain('1 connected, and replication is asynchronous: a fail-over loses')
    const doctor = await runCommand(['doctor'], { HUFU_DATABASE_URL: asServer })
    expect(doctor).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^! replicas +1 connected, .*docs\/guarantees\.md/m),
    })

    // The server of the tests presets synchronous_commit=off, which the sessions of Hufu do not use.
    await set('*')
    for (const asked of [ask, askAsAdmin])
      expect(await asked()).toBe(
        '✓ synchronous (synchronous_commit=on, synchronous_standby_names=*), 1 connected',
      )
    // The standby learns of the list a moment later.
    const poll = { timeout: 10_000 }
    for (const one of ['FIRST 1 (*)', 'ANY 1 (another, *)', '1 (*)']) {
      await set(one)
      for (const asked of [ask, askAsAdmin])
        await expect
          .poll(asked, poll)
          .toBe(`✓ synchronous (synchronous_commit=on, synchronous_standby_names=${one}), 1 connected`)
    }
    for (const two of ['FIRST 2 (*)', 'any 2(another, *)', '2 (another, *)']) {
      await set(two)
      for (const asked of [ask, askAsAdmin])
        await expect
          .poll(asked, poll)
          .toMatch(/^! .* every commit waits for 2 standbys of the list and 1 is connected: /)
    }
    await set('another')
    await until(async () => (await askAsAdmin()).startsWith('!'))
    expect(await askAsAdmin()).toContain('no standby of the list is connected: every commit waits for one')
    await set('*')
    stream.set('refuse')
    await until(async () => (await ask()).startsWith('!'))
    expect(await ask()).toContain('no standby of the list is connected: every commit waits for one')
  },
  90_000,
)
