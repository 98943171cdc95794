// Two servers behind nginx with the file of deploy/, restarted one after another under load.
import { sql } from 'kysely'
import { afterEach, describe, expect, test } from 'vitest'
import { openServices, type Services } from '../../src/app.ts'
import { migrate } from '../../src/database/migrate.ts'
import { newAccountId } from '../../src/ids.ts'
import { readSettings } from '../../src/settings/settings.ts'
import { addPerson, person, type ServerProcess, startProcess } from '../support/app.ts'
import { type DatabaseUnderTest, databases, redisUrl } from '../support/databases.ts'
import { type Failure, MixedLoad } from '../support/mixed-load.ts'
import { whyMissing } from '../support/services/binaries.ts'
import { startNginx } from '../support/services/nginx.ts'
import { freePort } from '../support/services/ports.ts'
import { startRedis } from '../support/services/redis.ts'

const noNginx = whyMissing(['nginx'], 'nginx')
const people = Array.from({ length: 100 }, (_, i) => `+86138${1000 + i}0077`)
const clients = 24

const closers: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

/** Two servers, nginx in front of them, and clients that send requests all the time. */
async function open(database: DatabaseUnderTest) {
  const { url: databaseUrl, drop } = await database.create()
  closers.push(drop)
  const redis = await startRedis()
  closers.push(() => redis.stop())
  const environment = {
    HUFU_DATABASE_URL: databaseUrl,
    HUFU_REDIS_URL: redis.url,
    // As in production: sign-ins are counted in Redis by the address that nginx passes on.
    HUFU_LIMITS: 'on',
    HUFU_TRUSTED_PROXIES: '127.0.0.1',
    HUFU_SESSION_MAX: '0',
    // Sign-ins queue, so that some are always in progress, and there are accounts for all of them.
    HUFU_PASSWORD_PARALLEL: '1',
  }
  const settings = readSettings(environment)
  const services = await openServices(settings)
  closers.push(() => services.close())
  await migrate(services.db, settings.database.location.kind)
  await addPeople(services)

  const ports = [await freePort(), await freePort()] as const
  const start = (i: 0 | 1) => startProcess({ ...environment, HUFU_PORT: String(ports[i]) })
  const servers: [ServerProcess, ServerProcess] = [await start(0), await start(1)]
  closers.push(() => Promise.all(servers.map((server) => server.stop())))
  const nginx = await startNginx(ports)
  closers.push(() => nginx.stop())
  const load = new MixedLoad(nginx.url, people, person.password)
  load.start(clients)
  closers.push(() => load.stop())
  const countSignIns = async () => {
    const counting = sql<{ n: number }>`select count(*) as n from hufu_events where kind = 'signed_in'`
    return Number((await counting.execute(services.db)).rows[0]?.n)
  }
  return { load, servers, start, countSignIns, nginx }
}

/** All with one password, which is hashed once. */
async function addPeople(services: Services): Promise<void> {
  const [first = '', ...others] = people
  const { id } = await addPerson(services, first, null)
  const row = await services.db
    .selectFrom('hufu_accounts')
    .selectAll()
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
  const rows = others.map((phone_number) => ({ ...row, id: newAccountId(Date.now()), phone_number }))
  await services.db.insertInto('hufu_accounts').values(rows).execute()
}

/** The states of the tokens on each of the servers, counted. */
async function standings(servers: readonly ServerProcess[], tokens: Iterable<string>) {
  const found: Record<string, number> = {}
  for (const token of tokens)
    for (const { url } of servers) {
      const response = await fetch(`${url}/v1/session`, { headers: { authorization: `Bearer ${token}` } })
      // Both responses of this route are JSON objects.
      const { code = 'live' } = (await response.json()) as { code?: string }
      found[code] = (found[code] ?? 0) + 1
    }
  return found
}

const requestLines = ({ output }: ServerProcess) => output().match(/"path":/g)?.length ?? 0

describe
  .skipIf(noNginx !== null || redisUrl() === null)
  .each(databases.filter(({ name }) => name !== 'sqlite'))('$name', (database) => {
  test.skipIf(database.skipped !== null)(
    'both servers restart twice, and no request fails',
    { timeout: 300_000 },
    async () => {
      const { load, servers, start, countSignIns, nginx } = await open(database)
      for (const i of [0, 1, 0, 1] as const) {
        await load.more(150)
        expect(await servers[i].stop('SIGTERM')).toBe(0)
        await load.more(150)
        servers[i] = await start(i)
        // nginx tries it again when its fail_timeout has passed, which is longer than a start.
        for (let parts = 0; parts < 100 && requestLines(servers[i]) === 0; parts++) await load.more(150)
        expect(requestLines(servers[i])).toBeGreaterThan(0)
      }
      await load.stop()
      expect(load.failures, nginx.broken().join('\n')).toEqual([])
      const { live, ended } = load
      expect(await standings(servers, live)).toEqual({ live: 2 * live.size })
      expect(await standings(servers, ended)).toEqual({ session_signed_out: 2 * ended.size })
      expect(await countSignIns()).toBe(live.size + ended.size)
    },
  )
})

test.skipIf(noNginx !== null || redisUrl() === null || databases[1]?.skipped !== null)(
  'a server that is killed loses only what it had started: that is reported, and not sent twice',
  { timeout: 300_000 },
  async () => {
    const { load, servers, start, countSignIns } = await open(databases[1] ?? expect.fail())
    for (const i of [0, 1] as const) {
      await load.more(150)
      await servers[i].stop('SIGKILL')
      await load.more(150)
      servers[i] = await start(i)
    }
    await load.more(150)
    await load.stop()
    const { live, ended, failures } = load
    // This load notices losses; otherwise the test above would prove nothing.
    expect(failures.length).toBeGreaterThan(0)
    const lost = failures.filter(({ request }) => request === 'POST /v1/sessions')
    for (const failure of lost) expect(failure).toMatchObject({ status: 502 })
    // A sign-out may be sent again, because the killed server may have executed it.
    const others: Omit<Failure, 'code'>[] = failures.filter((failure) => !lost.includes(failure))
    for (const failure of others)
      expect(failure).toMatchObject({ request: 'DELETE /v1/session', code: 'session_signed_out' })
    expect(await standings(servers, live)).toEqual({ live: 2 * live.size })
    expect(await countSignIns()).toBeLessThanOrEqual(live.size + ended.size + failures.length)
  },
)
