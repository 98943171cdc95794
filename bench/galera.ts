// npm run bench galera: what the waits for the writes of other nodes cost on a Galera cluster of three nodes
// on this machine, compared with the same statements on the same node without the waits. Writes no file.
import { sql } from 'kysely'
import { readChanges } from '../src/changes/change-rows.ts'
import { Feed } from '../src/changes/feed.ts'
import { systemClock } from '../src/clock.ts'
import { migrate } from '../src/database/migrate.ts'
import { dialectFor, openDatabase } from '../src/database/open.ts'
import type { Database } from '../src/database/schema.ts'
import { noOrigin } from '../src/events/events.ts'
import { NoSessionCache } from '../src/session-cache/none.ts'
import { AccountWriter } from '../src/sessions/account-writer.ts'
import { SessionLifetime } from '../src/sessions/last-seen.ts'
import { findSession } from '../src/sessions/session-rows.ts'
import { admitKnown, Sessions } from '../src/sessions/sessions.ts'
import { addAccount, phone } from '../test/support/in-process-server.ts'
import { startGalera } from '../test/support/services/galera.ts'
import { createMariadbDatabase } from '../test/support/services/mariadb.ts'
import { machine } from './machine.ts'
import { median } from './median.ts'
import { rotateOrder } from './rotate-order.ts'

interface Size {
  readonly rounds: number
  /** Of each kind, in each round. */
  readonly operations: number
}

const ways = ['waits', 'does not wait'] as const
type Way = (typeof ways)[number]

/** An account with a session, and connections to one node. */
interface Side {
  readonly db: Database
  readonly sessions: Sessions
  readonly accountId: string
  readonly sessionId: string
}

const operations: Readonly<Record<string, (side: Side) => Promise<unknown>>> = {
  'a check that reads SQL': ({ db, sessionId }) => findSession(db, sessionId),
  'a reading of the feed': ({ db }) => readChanges(db, { from: 0, limit: 10 }),
  'a sign-in that replaces a session, without its hash': ({ sessions, accountId }) =>
    signIn(sessions, accountId),
}

export async function benchGalera(isShort: boolean): Promise<string> {
  const size = isShort ? { rounds: 1, operations: 20 } : { rounds: 15, operations: 200 }
  const cluster = await startGalera()
  const opened: Database[] = []
  try {
    const [first, second] = cluster.nodes
    const url = await createMariadbDatabase(first.url)
    const open = async (databaseUrl: string) => {
      // A connection keeps the setting of its session.
      const db = openDatabase(dialectFor(databaseUrl, 1))
      opened.push(db)
      return db
    }
    const byHand = await open(url)
    await migrate(byHand, 'mysql')
    const sides = { waits: await sideOn(byHand), 'does not wait': await sideOn(await open(url)) }
    await sql`set session wsrep_sync_wait = 0`.execute(sides['does not wait'].db)
    const quiet = await measure(sides, size)
    const other = await sideOn(await open(url.replace(first.url, second.url)))
    const stop = writeOn(other)
    const busy = await measure(sides, size).finally(stop)
    return report(quiet, busy)
  } finally {
    for (const db of opened) await db.destroy()
    await cluster.stop()
  }
}

async function sideOn(db: Database): Promise<Side> {
  const cache = new NoSessionCache()
  // It is never started: without a cache, nothing depends on it.
  const feed = new Feed({ open: () => db, clock: systemClock })
  const writer = new AccountWriter({ db, cache, feed, clock: systemClock })
  const policy = { scope: 'platform', max: 1, whenFull: 'replace_oldest' } as const
  const life = new SessionLifetime(30 * 86_400_000, null)
  const sessions = new Sessions({ db, writer, clock: systemClock, policy, life, cache })
  const accountId = await addAccount(db)
  return { db, sessions, accountId, sessionId: await signIn(sessions, accountId) }
}

async function signIn(sessions: Sessions, accountId: string): Promise<string> {
  const request = { device: phone, origin: noOrigin, method: 'given', admit: admitKnown(accountId) }
  const issued = await sessions.issue(request)
  if (!issued) throw new Error('a sign-in was refused')
  return issued.session.id
}

/** Signs in all the time, until the returned function is called. */
function writeOn({ sessions, accountId }: Side): () => Promise<void> {
  let isRunning = true
  const running = (async () => {
    while (isRunning) await signIn(sessions, accountId)
  })()
  return async () => {
    isRunning = false
    await running
  }
}

/** By operation: the medians of the rounds, in milliseconds for one. Round 0 is a warm-up. */
type Medians = ReadonlyMap<string, Readonly<Record<Way, number>>>

async function measure(
  sides: Readonly<Record<Way, Side>>,
  { rounds, operations: count }: Size,
): Promise<Medians> {
  const medians = new Map<string, Readonly<Record<Way, number>>>()
  for (const [name, operation] of Object.entries(operations)) {
    const taken: Record<Way, number[]> = { waits: [], 'does not wait': [] }
    for (let round = 0; round <= rounds; round++)
      for (const way of rotateOrder(ways, round)) {
        const began = performance.now()
        for (let i = 0; i < count; i++) await operation(sides[way])
        if (round > 0) taken[way].push((performance.now() - began) / count)
      }
    medians.set(name, { waits: median(taken.waits), 'does not wait': median(taken['does not wait']) })
  }
  return medians
}

function report(quiet: Medians, busy: Medians): string {
  const rows = [
    ...[...quiet].map(([name, one]) => [name, one] as const),
    ...[...busy].map(([name, one]) => [`${name}; another node writes all the time`, one] as const),
  ]
  return `# Results of \`npm run bench galera\`

${machine()}

Milliseconds of one operation on a node of three, one after the other on one connection; the medians of rounds that take turns.

| | waits | does not wait | ratio |
|---|--:|--:|--:|
${rows.map(([name, { waits, 'does not wait': without }]) => `| ${name} | ${waits.toFixed(3)} | ${without.toFixed(3)} | ${(waits / without).toFixed(2)} |`).join('\n')}
`
}
