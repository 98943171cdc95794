// A replica that is behind takes over from a primary that has died: the last commits are lost, and what the
// servers and Redis remember of them decides nothing. Where the primary waits for its replica
// (docs/guarantees.md), no commit that is lost was answered.
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { openServices } from '../../src/app.ts'
import { migrate } from '../../src/database/migrate.ts'
import { readSettings } from '../../src/settings/settings.ts'
import { everyoneKnowsMs } from '../../src/timing.ts'
import { addPerson, person, runCommand, type ServerProcess, startProcess } from '../support/app.ts'
import { redisUrl } from '../support/databases.ts'
import { replicatedDatabases } from '../support/replicated-databases.ts'
import type { ReplicationOptions } from '../support/services/replication.ts'
import { until } from '../support/services/until.ts'
import { startProxy } from '../support/tcp-proxy.ts'

const closers: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
}, 60_000)

async function prepare(databaseUrl: string, phones: readonly string[]): Promise<void> {
  const settings = readSettings({ HUFU_DATABASE_URL: databaseUrl })
  const services = await openServices(settings)
  await migrate(services.db, settings.database.location.kind)
  for (const phone of phones) await addPerson(services, phone)
  await services.close()
}

async function trySignIn(server: ServerProcess, phoneNumber: string): Promise<Response> {
  return await fetch(`${server.url}/v1/sessions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      phone_number: phoneNumber,
      password: person.password,
      device: { platform: 'ios', id: 'phone' },
    }),
  })
}

async function signIn(server: ServerProcess, phoneNumber: string): Promise<string> {
  const answer = await trySignIn(server, phoneNumber)
  expect(answer.status).toBe(201)
  return ((await answer.json()) as { token: string }).token
}

async function statusOf(server: ServerProcess, token: string, method = 'GET'): Promise<number> {
  const headers = { authorization: `Bearer ${token}` }
  return (await fetch(`${server.url}/v1/session`, { method, headers })).status
}

const started = replicatedDatabases.filter(({ skipped }) => skipped === null && redisUrl() !== null)

/** Two servers behind a proxy that leads to a primary with a replica, and an account for each number. */
async function serve(
  start: (typeof replicatedDatabases)[number]['start'],
  options: ReplicationOptions,
  phones: readonly string[],
) {
  const replication = await start(options)
  closers.push(() => replication.stop())
  const replica = await replication.addReplica()
  await prepare(replication.databaseUrl, phones)
  const proxy = await startProxy(replication.databaseUrl)
  closers.push(() => proxy.close())
  const environment = { HUFU_DATABASE_URL: proxy.url, HUFU_REDIS_URL: redisUrl() ?? '' }
  const servers = [await startProcess(environment), await startProcess(environment)] as const
  for (const server of servers) closers.push(() => server.stop('SIGKILL'))
  const failOver = async () => {
    await replica.failOver()
    proxy.setTarget(replica.url)
    const isReady = async ({ url }: ServerProcess) => (await fetch(`${url}/readyz`)).status === 200
    await until(async () => (await Promise.all(servers.map(isReady))).every(Boolean))
    await sleep(everyoneKnowsMs)
  }
  return { proxy, servers, replica, failOver }
}

test.each(
  started,
)('what a lagging replica has lost on $name decides nothing, and a later end is known to all servers', async ({
  start,
}) => {
  const [kept, busy, signedOut] = ['13600000001', '13600000002', '13600000003'] as const
  const { proxy, servers, replica, failOver } = await serve(start, {}, [kept, busy, signedOut])
  const [one, other] = servers
  const tokens = { kept: await signIn(one, kept), signedOut: await signIn(one, signedOut) }
  await replica.cutOff()

  // All of this will be lost. The feed has more steps now than it will have when it goes on.
  for (let i = 0; i < 8; i++) await signIn(i % 2 === 0 ? one : other, busy)
  const lost = await signIn(one, busy)
  expect(await statusOf(one, tokens.signedOut, 'DELETE')).toBe(204)
  for (const server of servers) {
    expect(await statusOf(server, tokens.kept)).toBe(200)
    expect(await statusOf(server, lost)).toBe(200)
    expect(await statusOf(server, tokens.signedOut)).toBe(401)
  }
  await failOver()

  for (const server of servers) {
    expect(await statusOf(server, lost)).toBe(401)
    // Its end is lost as well: docs/operations.md says what to do after a restore.
    expect(await statusOf(server, tokens.signedOut)).toBe(200)
    expect(await statusOf(server, tokens.kept)).toBe(200)
  }
  const ended = await runCommand(['sessions', 'end', '--all', kept], { HUFU_DATABASE_URL: proxy.url })
  expect(ended).toMatchObject({ code: 0 })
  await sleep(everyoneKnowsMs)
  for (const server of servers) expect(await statusOf(server, tokens.kept)).toBe(401)
})

test.each(
  started,
)('where $name waits for its replica, no change is answered that the replica does not have', async ({
  start,
}) => {
  const [kept, signedOut, late] = ['13600000001', '13600000002', '13600000003'] as const
  const { servers, replica, failOver } = await serve(start, { waits: true }, [kept, signedOut, late])
  const [one, other] = servers
  const tokens = {
    kept: await signIn(one, kept),
    signedOut: await signIn(other, signedOut),
    late: await signIn(one, late),
  }
  expect(await statusOf(one, tokens.signedOut, 'DELETE')).toBe(204)
  await replica.cutOff()

  const unanswered = await Promise.all([
    statusOf(other, tokens.late, 'DELETE'),
    trySignIn(one, signedOut).then(({ status }) => status),
  ])
  expect(unanswered).toEqual([503, 503])
  await failOver()

  for (const server of servers) {
    expect(await statusOf(server, tokens.kept)).toBe(200)
    expect(await statusOf(server, tokens.signedOut)).toBe(401)
    expect(await statusOf(server, tokens.late)).toBe(200)
  }
  expect((await trySignIn(other, signedOut)).status).toBe(201)
})
