// A rolling restart: servers of the previous version and of this one run side by side on one database, under
// load.
//
// The previous version is the last commit that must keep working after the migrations of this one. A
// migration that removes something that it needs belongs to the next version; then `before` moves on.
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { audit } from '../fault-run/auditor.ts'
import { check } from '../fault-run/checker.ts'
import { Client } from '../fault-run/client.ts'
import { type HufuServer, openDeploymentDatabase, startHufu } from '../fault-run/deployment.ts'
import { codeNumbers, password, passwordNumbers, startWorkload } from '../fault-run/workload.ts'
import { runCommand } from '../support/app.ts'
import { databases, redisUrl } from '../support/databases.ts'
import { checkOutVersion, thisVersion } from '../support/other-versions.ts'
import { until } from '../support/services/until.ts'

const before = 'docs, test, bench: a few sentences and test names in plain words'
const loadMs = 2_500
/** What each of the two must have done under the load. */
const kinds = ['sign_in', 'sign_out', 'check', 'write']
const limits = { boundMs: 1_100, strictBoundMs: 100, deadlineMs: 15_000 }

const previous = checkOutVersion(before)
// No failure with CI=true either: a shallow clone does not contain the previous version.
if (previous.missing !== null) console.warn(`skipped: two versions side by side: ${previous.missing}`)

afterAll(() => previous.remove())

describe.each(
  databases
    // One file serves one machine, on which a restart is not a rolling one.
    .filter(({ name }) => name !== 'sqlite')
    .flatMap((database) => [false, true].map((redis) => ({ ...database, redis, database }))),
)('$name, with Redis: $redis', ({ database, redis, skipped }) => {
  const isSkipped = skipped !== null || previous.folder === null
  let url: string
  let drop: () => Promise<void>
  const servers: HufuServer[] = []

  beforeAll(async () => {
    if (isSkipped) return
    const fresh = await database.createEmpty()
    url = fresh.url
    drop = fresh.drop
    const stores = { HUFU_DATABASE_URL: url, ...(redis && { HUFU_REDIS_URL: redisUrl() ?? '' }) }
    // The old one makes the tables; the new one violates them under the load of the old one.
    servers.push(await startHufu('before', previous.folder ?? '', stores))
    for (const phone of passwordNumbers) {
      const added = await runOldCommand(['accounts', 'add', phone, '--password-stdin'], stores, password)
      expect(added).toMatchObject({ code: 0 })
    }
  })
  afterAll(async () => {
    for (const server of servers) await server.close()
    await drop?.()
  })

  test.skipIf(isSkipped)('nothing is refused without a reason, accepted after its end, or lost', async () => {
    const [old] = servers
    if (!old) return expect.fail()
    const client = new Client()
    const database = openDeploymentDatabase(url)
    const deployment = { ...database, servers: [old] as [HufuServer, ...HufuServer[]], close: async () => {} }
    const stores = { HUFU_DATABASE_URL: url, ...(redis && { HUFU_REDIS_URL: redisUrl() ?? '' }) }
    const load = startWorkload(client, deployment, { codes: codeNumbers, hasRetries: false })
    await sleep(loadMs / 4)
    servers.push(await startHufu('now', thisVersion, stores))
    // The load reads the list of servers before each request.
    deployment.servers = [old, servers[1] ?? expect.fail()]
    const done = (name: string) =>
      client.operations.filter(({ server, outcome }) => server === name && outcome === 'done')
    const kindsOf = (name: string) => new Set(done(name).map(({ kind }) => kind))
    await sleep(loadMs)
    // Most writes are cut off by the end of their session, so it may take a while until both have completed
    // one.
    await until(async () => ['before', 'now'].every((name) => kindsOf(name).size === kinds.length))
    await load.stop()
    const history = { servers: ['before', 'now'], operations: client.operations, faultIntervals: [] }
    expect(check(history, limits)).toEqual([])
    expect(await audit(client, deployment)).toEqual([])
    for (const name of ['before', 'now']) expect(kindsOf(name)).toEqual(new Set(kinds))
    // The old one may be started again while the new one runs.
    await old.restart('SIGTERM')
    const again = await client.signIn(old, passwordNumbers[0] ?? '', { password })
    expect(again).toMatchObject({ outcome: 'done' })
    await database.db.destroy()
  })
})

async function runOldCommand(args: string[], environment: Record<string, string>, stdin: string) {
  return await runCommand(args, environment, { stdin, program: join(previous.folder ?? '', 'src/main.ts') })
}
