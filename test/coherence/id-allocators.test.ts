// Databases that give out numbers in an order of their own: blocks for each connection, as TiDB does, times
// with random bits, as CockroachDB does, and very large gaps. The feed relies on none of it.
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dialectFor, openDatabase } from '../../src/database/open.ts'
import { audit } from '../fault-run/auditor.ts'
import { check } from '../fault-run/checker.ts'
import { Client } from '../fault-run/client.ts'
import {
  createAccounts,
  type HufuServer,
  openDeploymentDatabase,
  startHufu,
} from '../fault-run/deployment.ts'
import { codeNumbers, password, passwordNumbers, startWorkload } from '../fault-run/workload.ts'
import { databases, redisUrl } from '../support/databases.ts'
import { thisVersion } from '../support/other-versions.ts'
import { until } from '../support/services/until.ts'

const limits = { boundMs: 1_100, strictBoundMs: 1_100, deadlineMs: 15_000 }

const sequence = 'hufu_account_changes_position_seq'
const trigger = (number: string) =>
  `create trigger hufu_test_ids before insert on hufu_account_changes for each row set new.position = ${number}`

/** Statements that make the database number the rows of the feed in this way. */
const allocators: readonly {
  readonly name: string
  readonly mariadb: readonly string[]
  readonly postgres: readonly string[]
}[] = [
  {
    name: 'blocks of 30,000 for each connection',
    mariadb: [trigger('(connection_id() % 100000) * 30000 + (@hufu_n := coalesce(@hufu_n, 0) + 1)')],
    postgres: [`alter sequence ${sequence} cache 30000`],
  },
  {
    name: 'times with random bits, above 2^53',
    mariadb: [trigger('(cast(unix_timestamp(now(3)) * 1000 as unsigned) << 20) + floor(rand() * 1048576)')],
    postgres: [
      `alter table hufu_account_changes alter column position set default
        ((extract(epoch from clock_timestamp()) * 1000)::bigint << 20) + floor(random() * 1048576)::bigint`,
    ],
  },
  {
    name: 'gaps of 3,000,000,000',
    mariadb: [trigger('uuid_short() % 1000000 * 3000000000')],
    postgres: [`alter sequence ${sequence} increment 3000000000`],
  },
]

const kinds = ['mariadb', 'postgres'] as const
const cases = databases.flatMap((database) => {
  const kind = kinds.find((name) => name === database.name)
  return kind ? allocators.map((allocator) => ({ database, allocator, statements: allocator[kind] })) : []
})

describe.each(cases)('$database.name with $allocator.name', ({ database, statements }) => {
  const { skipped } = database
  let url: string
  let drop: () => Promise<void>
  const servers: HufuServer[] = []

  beforeAll(async () => {
    if (skipped !== null) return
    const fresh = await database.create()
    url = fresh.url
    drop = fresh.drop
    const db = openDatabase(dialectFor(url, 1))
    for (const statement of statements) await sql.raw(statement).execute(db)
    await db.destroy()
    await createAccounts(url, passwordNumbers, password)
    // What the second one ends, the first one learns by the feed alone.
    const stores = { HUFU_DATABASE_URL: url }
    servers.push(await startHufu('a', thisVersion, { ...stores, HUFU_REDIS_URL: redisUrl() ?? '' }))
    servers.push(await startHufu('b', thisVersion, stores))
  })
  afterAll(async () => {
    for (const server of servers) await server.close()
    await drop?.()
  })

  test.skipIf(skipped !== null)('nothing ended is accepted, and the servers go on', async () => {
    const [a, b] = servers
    if (!a || !b) return expect.fail()
    const client = new Client()
    const deployment = {
      ...openDeploymentDatabase(url),
      servers: [a, b] as [HufuServer, HufuServer],
      close: async () => {},
    }
    const load = startWorkload(client, deployment, { codes: codeNumbers, hasRetries: false })
    await until(async () => client.operations.filter(({ outcome }) => outcome === 'done').length > 200)
    await load.stop()
    const history = { servers: ['a', 'b'], operations: client.operations, faultIntervals: [] }
    expect(check(history, limits)).toEqual([])
    expect(await audit(client, deployment)).toEqual([])
    const { rows } = await sql<{ count: number }>`select count(*) as count from hufu_account_changes`.execute(
      deployment.db,
    )
    expect(Number(rows[0]?.count)).toBeGreaterThan(3)
    await deployment.db.destroy()
  })
})
