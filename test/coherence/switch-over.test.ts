// A former primary that takes no more writes keeps its connections open, and a replica takes over: every
// server finds the new primary through HAProxy, without a restart.
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { afterEach, describe, expect, test } from 'vitest'
import { openServices } from '../../src/app.ts'
import { migrate } from '../../src/database/migrate.ts'
import { dialectFor, openDatabase } from '../../src/database/open.ts'
import { readSettings } from '../../src/settings/settings.ts'
import { addPerson, person, type ServerProcess, startProcess } from '../support/app.ts'
import { replicatedDatabases } from '../support/replicated-databases.ts'
import { whyMissing } from '../support/services/binaries.ts'
import { startHaproxy } from '../support/services/haproxy.ts'
import type { Replication } from '../support/services/replication.ts'
import { until } from '../support/services/until.ts'

const closers: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
}, 60_000)

/** A primary with a replica. */
async function startPair(start: () => Promise<Replication>) {
  const replication = await start()
  closers.push(() => replication.stop())
  return { databaseUrl: replication.databaseUrl, replica: await replication.addReplica() }
}

async function addOnePerson(databaseUrl: string): Promise<void> {
  const settings = readSettings({ HUFU_DATABASE_URL: databaseUrl })
  const services = await openServices(settings)
  await migrate(services.db, settings.database.location.kind)
  await addPerson(services)
  await services.close()
}

async function signIn(server: ServerProcess): Promise<Response> {
  return await fetch(`${server.url}/v1/sessions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      phone_number: person.phone,
      password: person.password,
      device: { platform: 'ios', id: server.url },
    }),
  })
}

async function session(server: ServerProcess, token: string, method = 'GET'): Promise<number> {
  const headers = { authorization: `Bearer ${token}` }
  return (await fetch(`${server.url}/v1/session`, { method, headers })).status
}

async function readiness(server: ServerProcess): Promise<string> {
  const answer = await fetch(`${server.url}/readyz`)
  const { database } = (await answer.json()) as { database: string }
  return `${answer.status} ${database}`
}

/** Tries every half second, ten times at most, until the result is not null. */
async function soon<T>(attempt: () => Promise<T | null>): Promise<T> {
  for (let tries = 0; tries < 10; tries++) {
    const result = await attempt()
    if (result !== null) return result
    await sleep(500)
  }
  return expect.fail(`it did not happen in time: ${attempt}`)
}

/** The token of a new session. */
async function signInSoon(server: ServerProcess): Promise<string> {
  return await soon(async () => {
    const answer = await signIn(server)
    return answer.status === 201 ? ((await answer.json()) as { token: string }).token : null
  })
}

/** A session that one server makes is accepted and ended by the other, in both directions. */
async function expectToWork([one, other]: readonly [ServerProcess, ServerProcess]): Promise<void> {
  for (const [first, second] of [
    [one, other],
    [other, one],
  ] as const) {
    const token = await signInSoon(first)
    expect(await session(second, token)).toBe(200)
    expect(await session(second, token, 'DELETE')).toBe(204)
    expect(await session(first, token)).toBe(401)
  }
}

const withoutHaproxy = whyMissing(['haproxy'], 'haproxy')

describe.each(replicatedDatabases)('a switch-over behind HAProxy, on $name', ({ skipped, start }) => {
  test.skipIf(skipped !== null || withoutHaproxy !== null)(
    'two servers work at the new primary, and say meanwhile that they are not ready',
    async () => {
      const { databaseUrl, replica } = await startPair(start)
      const proxy = await startHaproxy(databaseUrl)
      closers.push(() => proxy.stop())
      await addOnePerson(proxy.url)
      const launch = async () => {
        const server = await startProcess({ HUFU_DATABASE_URL: proxy.url })
        closers.push(() => server.stop())
        return server
      }
      const servers = [await launch(), await launch()] as const
      await expectToWork(servers)
      expect(await Promise.all(servers.map(readiness))).toEqual(['200 ok', '200 ok'])
      const kept = await signInSoon(servers[0])
      // The proxy still leads to the former primary, as it may for a while.
      await replica.switchOver()
      for (const server of servers) {
        await until(async () => (await readiness(server)) === '503 read_only')
        expect((await signIn(server)).status).toBe(503)
        // A standby may lag: its answer about a token may be wrong.
        expect(await session(server, kept)).toBe(503)
      }
      await proxy.leadTo(replica.url)
      for (const server of servers)
        await soon(async () => ((await session(server, kept)) === 200 ? 'accepted' : null))
      await expectToWork(servers)
      expect(await Promise.all(servers.map(readiness))).toEqual(['200 ok', '200 ok'])
    },
    180_000,
  )
})

describe.each(replicatedDatabases)('several hosts in the URL, on $name', ({ name, skipped, start }) => {
  test.skipIf(skipped !== null)(
    'the one that takes writes is used, and after a switch-over the other one',
    async () => {
      const { databaseUrl, replica } = await startPair(start)
      const { host } = new URL(databaseUrl)
      const { host: replicaHost } = new URL(replica.url)
      const option = name === 'postgres' ? '?target_session_attrs=read-write' : ''
      const db = openDatabase(dialectFor(databaseUrl.replace(host, `${replicaHost},${host}`) + option, 2))
      closers.push(() => db.destroy())
      const write = (id: number) => sql`insert into things values (${id})`.execute(db)
      await sql`create table things (id int primary key)`.execute(db)
      await write(1)
      await replica.switchOver()
      await soon(() => write(2).catch(() => null))
      await replica.stopFormer()
      await write(3)
      const { rows } = await sql`select id from things order by id`.execute(db)
      expect(rows).toEqual([{ id: 1 }, { id: 2 }, { id: 3 }])
    },
    120_000,
  )
})
