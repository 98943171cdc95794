// Every kind of write uses one protocol (src/sessions/account-writer.ts). Each of its steps is left out or
// moved once, in that one file, and then every kind of write must break; with the unchanged file, none may.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { AccountWriter } from '../../src/sessions/account-writer.ts'
import { databases } from '../support/databases.ts'
import { openDomain } from '../support/in-process-server.ts'
import { thisVersion } from '../support/other-versions.ts'
import { createFolder, removeFolder } from '../support/services/folders.ts'
import { type RedisServer, startRedis } from '../support/services/redis.ts'
import {
  appliesTo,
  type Check,
  type Deployment,
  inOneHistory,
  isWaitingItsTurn,
} from './writer-mutants/checks.ts'
import { type Kind, kinds } from './writer-mutants/kinds.ts'
import { checks, loadMutant, mutants } from './writer-mutants/mutants.ts'

// Here two writers wait for each other's lock; SQLite has one writer at a time.
const mariadb = databases.find(({ name }) => name === 'mariadb') ?? expect.fail()

describe.skipIf(mariadb.skipped !== null)('the steps of a write', () => {
  const folder = createFolder('writer-mutants')
  const servers: RedisServer[] = []
  let deployment: Deployment
  let drop: () => Promise<void>

  beforeAll(async () => {
    const fresh = await mariadb.create()
    drop = fresh.drop
    servers.push(await startRedis(), await startRedis())
    const [redis = expect.fail(), other = expect.fail()] = servers
    const witness = await openDomain({ databaseUrl: fresh.url, redisUrl: redis.url })
    deployment = { databaseUrl: fresh.url, redisUrl: redis.url, otherRedisUrl: other.url, witness }
  })
  afterAll(async () => {
    await deployment?.witness.close()
    for (const server of servers) await server.stop()
    await drop?.()
    removeFolder(folder)
  })

  /** The findings of a check, by kind of write. */
  async function seen(check: Check, Writer: typeof AccountWriter): Promise<Record<string, string | null>> {
    const applies = kinds.filter((kind) => appliesTo(check, kind))
    const one = async (kind: Kind) =>
      [kind.name, await inOneHistory(deployment, () => check(deployment, kind, Writer))] as const
    // Many servers that start at once make the machine so busy that histories change.
    const atOnce = check === isWaitingItsTurn ? 1 : 4
    const found: (readonly [string, string | null])[] = []
    for (let i = 0; i < applies.length; i += atOnce)
      found.push(...(await Promise.all(applies.slice(i, i + atOnce).map(one))))
    return Object.fromEntries(found)
  }

  const named = [...checks].map((check) => [check.name, check] as const)
  test.each(named)('without a mutation, no kind of write breaks: %s', async (_name, check) => {
    const found = await seen(check, AccountWriter)
    expect(Object.entries(found).filter(([, violation]) => violation !== null)).toEqual([])
  })

  test.each(mutants)('a writer that $name is found by every kind of write', async (mutant) => {
    const Writer = await loadMutant(mutant, folder)
    // On a busy machine the witness may read the feed before it is asked, and then it knows the change.
    const found: Record<string, string | null> = {}
    const isFound = () => Object.values(found).every((violation) => violation !== null)
    for (let tries = 0; tries < 5 && (tries === 0 || !isFound()); tries++)
      for (const [kind, violation] of Object.entries(await seen(mutant.foundBy, Writer)))
        found[kind] ??= violation
    expect(Object.keys(found).length).toBeGreaterThanOrEqual(4)
    expect(Object.entries(found).filter(([, violation]) => violation === null)).toEqual([])
  })
})

const stepsOfTheWriter =
  /\.(mark|confirm|settle)\(|\binsertChange(Of)?\b|insertInto\('hufu_account_changes'\)/

/** The source files that use a step of the protocol. */
function filesWithSteps(): string[] {
  const src = join(thisVersion, 'src')
  return readdirSync(src, { recursive: true })
    .map(String)
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
    .filter((file) => stepsOfTheWriter.test(readFileSync(join(src, file), 'utf8')))
}

test('only the writer invalidates, confirms and settles cache entries, and writes accounts into the feed', () => {
  const outsideCache = filesWithSteps().filter((file) => !file.startsWith('session-cache/'))
  // `hufu doctor` tries each step, in a transaction that it rolls back and on a key of its own.
  const trials = ['cli/doctor-trial-redis.ts', 'cli/doctor-trial-rows.ts']
  // Service keys are in no cache outside of a process: their writer has no more than the feed.
  const feed = ['changes/change-rows.ts', 'changes/late-changes.ts', 'service-keys/service-keys.ts']
  expect(outsideCache.sort()).toEqual([...feed, ...trials, 'sessions/account-writer.ts'].sort())
})
