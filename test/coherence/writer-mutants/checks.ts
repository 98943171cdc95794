// The checks of each kind of write, with a writer that may be a mutant: the checks that
// interleavings.test.ts, faults.test.ts, outages.test.ts and callers.test.ts make for some kinds, as
// functions of the kind and of the writer. Each returns the violation that it found, or null.
import { isDeepStrictEqual } from 'node:util'
import { sql } from 'kysely'
import type { Database } from '../../../src/database/schema.ts'
import { AppError } from '../../../src/errors.ts'
import type { AccountWriter } from '../../../src/sessions/account-writer.ts'
import { findSession } from '../../../src/sessions/session-rows.ts'
import { openCacheInRedis } from '../../support/cache-in-redis.ts'
import { type Domain, openDomain } from '../../support/in-process-server.ts'
import { Gate, until, type Watcher } from '../../support/step-faults.ts'
import { startProxy, type TcpProxy } from '../../support/tcp-proxy.ts'
import type { Before, Kind } from './kinds.ts'

export interface Deployment {
  readonly databaseUrl: string
  readonly redisUrl: string
  /** A second, empty Redis. */
  readonly otherRedisUrl: string
  /** A server with the unchanged writer, which has entries in its memory. */
  readonly witness: Domain
}

/** Checks the writer under test on one kind of write. null: no violation. */
export type Check = (
  deployment: Deployment,
  kind: Kind,
  Writer: typeof AccountWriter,
) => Promise<string | null>

/** Runs `work` with a server whose writer is under test, with a connection of its own to Redis. */
async function withServer<T>(
  { databaseUrl, redisUrl }: Deployment,
  { Writer, watch }: { readonly Writer: typeof AccountWriter; readonly watch?: Watcher },
  work: (domain: Domain, proxy: TcpProxy) => Promise<T>,
): Promise<T> {
  const proxy = await startProxy(redisUrl)
  const domain = await openDomain({ databaseUrl, redisUrl: proxy.url, Writer, ...(watch && { watch }) })
  try {
    return await work(domain, proxy)
  } finally {
    await domain.close()
    await proxy.close()
  }
}

/** A session that the witness has in memory as it is before the write. */
async function prepared({ witness }: Deployment, kind: Kind): Promise<Before> {
  const before = await kind.prepare(witness)
  // The witness does not fill entries from before a change that its feed has not read yet.
  await until(async () => {
    const ticket = witness.cache.beginRead()
    const stored = await findSession(witness.db, before.id)
    if (ticket && stored) await witness.cache.fill(ticket, [stored])
    return isDeepStrictEqual(await trusted(witness, before.id), stored)
  })
  return before
}

/** The entry from which a check would answer without the database; null: none. */
async function trusted({ cache }: Domain, id: string) {
  cache.dropStale()
  const { value } = await cache.session(id)
  return value === 'marked' ? null : value
}

async function isTrustedWrongly(witness: Domain, id: string): Promise<boolean> {
  // On a busy machine it may have read the feed too long ago, or lost Redis for a moment, and then it trusts
  // no entry, whatever the writer has left out.
  await until(() => witness.feed.isFresh() && witness.cache.isReachable())
  const value = await trusted(witness, id)
  return value !== null && !isDeepStrictEqual(value, await findSession(witness.db, id))
}

const outdated = 'a server trusts an outdated entry'

async function isMarkedIn(url: string, id: string): Promise<boolean> {
  const redis = await openCacheInRedis(url)
  const found = await redis.read(id)
  await redis.close()
  return found?.bytes.toString().startsWith('mark:') ?? false
}

/** Never continues after a step, like a process that dies. */
function dyingAt(step: string, when: 'before' | 'after'): { watch: Watcher; died: Promise<void> } {
  let die = () => {}
  const died = new Promise<void>((resolve) => {
    die = resolve
  })
  let isDead = false
  const watch: Watcher = async (name, work) => {
    if (isDead) throw new Error('this process is dead')
    if (name !== step) return await work()
    isDead = true
    if (when === 'after') await work()
    die()
    throw new Error(`killed ${when} ${step}`)
  }
  return { watch, died }
}

export const isWritten: Check = async (deployment, kind, Writer) => {
  const before = await prepared(deployment, kind)
  const { witness } = deployment
  const stored = await findSession(witness.db, before.id)
  let marks = 0
  const watch: Watcher = async (step, work) => {
    // The use of a successor would be written again and again until it succeeds.
    if (step === 'mark' && ++marks > 3) throw new Error('it writes again and again')
    return await work()
  }
  await withServer(deployment, { Writer, watch }, (domain) =>
    kind.write(domain, before, null).catch(() => {}),
  )
  if (isDeepStrictEqual(await findSession(witness.db, before.id), stored)) return 'nothing was written'
  return (await isTrustedWrongly(witness, before.id)) ? outdated : null
}

export const isInvalidBeforeCommit: Check = async (deployment, kind, Writer) => {
  const before = await prepared(deployment, kind)
  const gate = new Gate()
  return await withServer(deployment, { Writer, watch: gate.watch }, async (domain) => {
    const commits = gate.stopBefore('sql commit')
    const written = kind.write(domain, before, null)
    await Promise.race([commits, written])
    const isMarked = await isMarkedIn(deployment.redisUrl, before.id)
    gate.release()
    await written
    return isMarked ? null : 'the entry is valid until the commit'
  })
}

export const isInvalidInLaterRedis: Check = async (deployment, kind, Writer) => {
  const before = await prepared(deployment, kind)
  const gate = new Gate()
  let replaceRedis = async () => {}
  const watch: Watcher = async (step, work) => {
    const result = await gate.watch(step, work)
    if (step === 'mark') await replaceRedis()
    return result
  }
  return await withServer(deployment, { Writer, watch }, async (domain, proxy) => {
    replaceRedis = async () => {
      proxy.set('refuse')
      await until(() => !domain.cache.isReachable())
      proxy.setTarget(deployment.otherRedisUrl)
      proxy.set('pass')
      await until(() => domain.cache.isReachable())
    }
    const commits = gate.stopBefore('sql commit')
    const written = kind.write(domain, before, null)
    await Promise.race([commits, written])
    const isMarked = await isMarkedIn(deployment.otherRedisUrl, before.id)
    gate.release()
    await written
    return isMarked ? null : 'the Redis that is there at the commit has no mark'
  })
}

/** The witness's entry after a writer without Redis has responded. */
export const isKnownWithoutRedis: Check = async (deployment, kind, Writer) => {
  const before = await prepared(deployment, kind)
  return await withServer(deployment, { Writer }, async (domain, proxy) => {
    proxy.set('refuse')
    await until(() => !domain.cache.isReachable())
    await kind.write(domain, before, null)
    return (await isTrustedWrongly(deployment.witness, before.id)) ? outdated : null
  })
}

export const isWholeAfterDeathBeforeCommit: Check = async (deployment, kind, Writer) => {
  const before = await prepared(deployment, kind)
  const { watch, died } = dyingAt('sql commit', 'before')
  await withServer(deployment, { Writer, watch }, async (domain) => {
    const written = kind.write(domain, before, null).catch(() => {})
    await Promise.race([died, written])
  })
  return (await isTrustedWrongly(deployment.witness, before.id)) ? outdated : null
}

/** A committed change reaches every server, even if its writer has no Redis and dies before it responds. */
export const isKnownAfterDeath: Check = async (deployment, kind, Writer) => {
  const before = await prepared(deployment, kind)
  const { watch, died } = dyingAt('sql commit', 'after')
  await withServer(deployment, { Writer, watch }, async (domain, proxy) => {
    proxy.set('refuse')
    await until(() => !domain.cache.isReachable())
    const written = kind.write(domain, before, null).catch(() => {})
    await Promise.race([died, written])
  })
  const isKnown = async () => !(await isTrustedWrongly(deployment.witness, before.id))
  return await until(isKnown, 5_000).then(
    () => null,
    () => outdated,
  )
}

/**
 * Whether a transaction of this database waits for a lock. (information_schema.innodb_trx is not refreshed
 * while it is read often.)
 */
async function someoneWaits(db: Database): Promise<boolean> {
  const status = await sql<{ Status: string }>`show engine innodb status`.execute(db)
  const transactions = (status.rows[0]?.Status ?? '').split('---TRANSACTION').slice(1)
  const waiting = transactions
    .filter((text) => text.includes('LOCK WAIT'))
    .map((text) => /thread id (\d+)/.exec(text)?.[1])
  const own = await sql<{ id: number }>`select id from information_schema.processlist
    where db = database()`.execute(db)
  return own.rows.some(({ id }) => waiting.includes(String(id)))
}

/**
 * A second writer sets no mark while the first one, which has locked the account, is about to set one. For
 * one kind at a time.
 */
export const isWaitingItsTurn: Check = async (deployment, kind, Writer) => {
  const before = await prepared(deployment, kind)
  const [first, second] = [new Gate(), new Gate()]
  return await withServer(deployment, { Writer, watch: first.watch }, (one) =>
    withServer(deployment, { Writer, watch: second.watch }, async (two) => {
      const marks = first.stopBefore('mark')
      const written = kind.write(one, before, null)
      await Promise.race([marks, written])
      const later = kind.write(two, before, null).catch(() => {})
      const hasMarked = () => second.steps.includes('mark')
      await until(async () => hasMarked() || (await someoneWaits(deployment.witness.db)))
      const isEarly = hasMarked()
      first.release()
      await written.catch(() => {})
      await later
      return isEarly ? 'two writers of one account at once' : null
    }),
  )
}

export const isRefusedToEnded: Check = async (deployment, kind, Writer) => {
  const before = await prepared(deployment, kind)
  const { accountId, id, token } = before
  await deployment.witness.sessions.end({ accountId, id, by: null, reason: 'kicked' })
  const by = { accountId, sessionId: id, token }
  const refusal = await withServer(deployment, { Writer }, (domain) => kind.write(domain, before, by)).catch(
    (error) => error,
  )
  return refusal instanceof AppError && refusal.code === 'session_kicked'
    ? null
    : 'a session writes after its end'
}

/**
 * The finding of a check during which the history of the feed stayed the same. A server that starts, and does
 * not learn from a busy Redis that its history is watched, begins another one, and then no entry from before
 * is trusted, whatever the writer has left out.
 */
export async function inOneHistory(
  { witness: { feed } }: Deployment,
  check: () => Promise<string | null>,
): Promise<string | null> {
  for (let tries = 0; tries < 10; tries++) {
    const { history } = feed
    const found = await check()
    await until(() => feed.isFresh())
    if (feed.history === history) return found
  }
  throw new Error('the history of the feed changed during each of ten checks')
}

/** Whether a check applies to this kind of write. */
export function appliesTo(check: Check, { hasCaller, leavesEntry }: Kind): boolean {
  if (check === isRefusedToEnded) return hasCaller
  return check !== isWholeAfterDeathBeforeCommit || leavesEntry
}
