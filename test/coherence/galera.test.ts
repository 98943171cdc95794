// Servers on different nodes of a real Galera cluster: a write that one node has acknowledged is visible
// through every other node, also while that node lags, is paused or is cut off.
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { findAccountById } from '../../src/accounts/account-rows.ts'
import { insertChange } from '../../src/changes/change-rows.ts'
import { Feed } from '../../src/changes/feed.ts'
import { ManualClock } from '../../src/clock.ts'
import { countGuess, findCode, insertCode, useCode } from '../../src/codes/code-rows.ts'
import { asUnavailable } from '../../src/database/failures.ts'
import { pendingMigrations, upgrade } from '../../src/database/migrate.ts'
import { dialectFor, openDatabase } from '../../src/database/open.ts'
import { replicationOf } from '../../src/database/replication.ts'
import type { Database } from '../../src/database/schema.ts'
import { inTransaction } from '../../src/database/transaction.ts'
import { AppError } from '../../src/errors.ts'
import { noOrigin } from '../../src/events/events.ts'
import { SqlLimitStore } from '../../src/limits/store-sql.ts'
import { lockById } from '../../src/sessions/account-writer.ts'
import { lockAccount } from '../../src/sessions/locked-account-rows.ts'
import { admitUnchanged } from '../../src/sessions/sessions.ts'
import { freshMs } from '../../src/timing.ts'
import { addPerson, person, type RunningApp, startApp } from '../support/app.ts'
import { redisUrl } from '../support/databases.ts'
import { addAccount, type Domain, openDomain, phone, signIn } from '../support/in-process-server.ts'
import { type GaleraCluster, type GaleraNode, startGalera, whyNoGalera } from '../support/services/galera.ts'
import { createMariadbDatabase } from '../support/services/mariadb.ts'
import { migrateFresh } from '../support/services/templates.ts'
import { until } from '../support/services/until.ts'
import type { Watcher } from '../support/step-faults.ts'
import { clientOf } from '../support/v1-calls.ts'

const rounds = 25
/** How long a transaction waits for the other one. */
const aloneMs = 60
/** Longer than a node needs to apply a write, and shorter than any deadline. */
const lagMs = 400
const code = { phoneNumber: '+8613900001000', purpose: 'sign_in' } as const
const now = Date.UTC(2026, 10, 22)
const anHour = [{ max: 20, ms: 3_600_000, backoffMs: [] }]

/**
 * Lets the commits of two transactions begin at the same moment. A transaction that waits alone for long
 * continues.
 */
class Meeting {
  isOn = false
  #arrived: (() => void) | null = null

  readonly watch: Watcher = async (step, work) => {
    if (this.isOn && step === 'sql commit') await this.#meet()
    return await work()
  }

  async #meet(): Promise<void> {
    if (this.#arrived) {
      this.#arrived()
      this.#arrived = null
      return
    }
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#arrived = resolve
    await Promise.race([promise, sleep(aloneMs)])
    if (this.#arrived === resolve) this.#arrived = null
  }
}

/** The response of a request in which this is thrown. */
function answerTo(error: unknown): string {
  const answer = asUnavailable(error)
  return answer instanceof AppError ? answer.code : `internal: ${error}`
}

const skipped = whyNoGalera()

describe.skipIf(skipped !== null)('on a Galera cluster of three nodes', () => {
  let cluster: GaleraCluster
  let urls: readonly [string, string, string]
  const closers: (() => Promise<unknown>)[] = []

  beforeAll(async () => {
    cluster = await startGalera()
    urls = await createDatabase()
    await migrateFresh(urls[0])
  })
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close()
    await cluster.isWhole()
  })
  afterAll(() => cluster?.stop())

  /** An empty database that every node knows, as its URL on each node. */
  async function createDatabase(): Promise<[string, string, string]> {
    const [a, b, c] = cluster.nodes
    const url = await createMariadbDatabase(a.url)
    const name = url.slice(a.url.length + 1)
    await until(async () => {
      const found = await Promise.all([b, c].map((node) => node.query(`show databases like '${name}'`)))
      return found.every(({ length }) => length === 1)
    })
    return [url, `${b.url}/${name}`, `${c.url}/${name}`]
  }

  function open(url: string, poolSize = 4): Database {
    const db = openDatabase(dialectFor(url, poolSize))
    closers.push(() => db.destroy())
    return db
  }

  /** A database with open connections, whose set-up is not part of the test. */
  async function openWarm(url: string): Promise<Database> {
    const db = open(url)
    await db.selectFrom('hufu_accounts').select('id').limit(1).execute()
    return db
  }

  /** The node receives the writes of others and applies none of them, until `lagMs` later. */
  async function lag(node: 0 | 1 | 2): Promise<void> {
    const goOn = await cluster.nodes[node].holdBack()
    const late = sleep(lagMs).then(goOn)
    closers.push(() => late)
  }

  describe('two writers of one account at once, through two nodes', () => {
    const meeting = new Meeting()
    let domains: [Domain, Domain]
    let accountId: string

    beforeEach(async () => {
      const openOn = (databaseUrl: string) =>
        openDomain({ databaseUrl, redisUrl: null, watch: meeting.watch })
      domains = [await openOn(urls[0]), await openOn(urls[1])]
      closers.push(...domains.map((domain) => () => domain.close()))
      accountId = await addAccount(domains[0].db)
      meeting.isOn = true
    })
    afterEach(() => {
      meeting.isOn = false
    })

    test('of two sign-ins, one session lives', async () => {
      for (let round = 0; round < rounds; round++) {
        const issued = await Promise.all(domains.map((domain) => signIn(domain, accountId)))
        const live = await domains[0].sessions.list(accountId)
        expect(live, `round ${round}`).toHaveLength(1)
        expect(issued.map(({ session }) => session.id)).toContain(live[0]?.id)
      }
    })

    test('a sign-in with the old password does not outlive a change of the password', async () => {
      for (let round = 0; round < rounds; round++) {
        const [a, b] = domains
        const [before, after] = [`hash ${round}`, `hash ${round + 1}`]
        await a.db
          .updateTable('hufu_accounts')
          .set({ password_hash: before })
          .where('id', '=', accountId)
          .execute()
        const changed = a.writer.write({
          lock: lockById(accountId),
          by: null,
          decide: async () => ({
            change: {
              set: { passwordHash: after },
              end: { which: { allBut: null }, reason: 'password_changed' },
            },
            result: null,
          }),
        })
        const issued = b.sessions.issue({
          device: phone,
          origin: noOrigin,
          method: 'password',
          admit: async (tx) => {
            const account = await lockAccount(tx, accountId)
            return account?.passwordHash === before ? admitUnchanged(account) : null
          },
        })
        await Promise.all([changed, issued])
        expect(await a.sessions.list(accountId), `round ${round}`).toEqual([])
      }
    })

    test('a code is used once', async () => {
      const dbs = domains.map(({ db }) => db)
      for (let round = 0; round < rounds; round++) {
        const name = { ...code, phoneNumber: `+861390000${2000 + round}` }
        const nonce = `nonce ${round}`
        await insertCode(domains[0].db, name, unusedCode(nonce))
        const used = await Promise.all(
          dbs.map((db) => inTransaction(db, (tx) => useCode(tx, name, nonce, now))),
        )
        expect(used.filter(Boolean), `round ${round}`).toHaveLength(1)
      }
    })
  })

  const unusedCode = (nonce: string) => ({
    nonce,
    guesses: 0,
    sentAt: now,
    expiresAt: now + 60_000,
    usedAt: null,
  })

  test('doctor sees the cluster and how many nodes it has', async () => {
    expect(await replicationOf(open(urls[0]), 'mysql')).toEqual({
      isWarning: false,
      zh: expect.stringContaining('Galera 集群，3 个节点'),
      en: expect.stringContaining('a Galera cluster of 3: '),
    })
  })

  test('of guesses through three nodes at once, each is counted, and no more than are allowed', async () => {
    const dbs = await Promise.all(urls.map(openWarm))
    const [first = expect.fail()] = dbs
    const maxGuesses = 40
    await insertCode(first, code, unusedCode('guessed'))
    let allowed = 0
    const guess = async (db: Database): Promise<void> => {
      const isAllowed = await countGuess(db, code, { fingerprint: null, now, maxGuesses }).catch((error) =>
        answerTo(error),
      )
      expect([true, false, 'unavailable']).toContain(isAllowed)
      if (isAllowed === true) allowed++
    }
    for (let i = 0; i < 20; i++) await Promise.all(dbs.map(guess))
    const row = await findCode(first, code)
    expect(row?.guesses).toBe(allowed)
    expect(allowed).toBeGreaterThan(maxGuesses / 2)
    expect(allowed).toBeLessThanOrEqual(maxGuesses)
  })

  test('a limit counts what all nodes allow', async () => {
    const clock = new ManualClock(now)
    const stores = urls.map((url) => {
      const store = new SqlLimitStore({ db: openDatabase(dialectFor(url, 2)), kind: 'mysql', clock })
      closers.push(() => store.close())
      return store
    })
    const tries = Array.from({ length: 60 }, (_, i) =>
      stores[i % stores.length]?.consume('galera', anHour).then(
        ({ waitMs }) => waitMs === 0,
        (error) => answerTo(error),
      ),
    )
    const answers = await Promise.all(tries)
    for (const answer of answers) expect([true, false, 'unavailable']).toContain(answer)
    const allowed = answers.filter((answer) => answer === true).length
    expect(allowed).toBeGreaterThan(0)
    expect(allowed).toBeLessThanOrEqual(20)
  })

  describe('through a node that has not applied the last writes', () => {
    let a: Domain
    let b: Domain
    let accountId: string

    beforeEach(async () => {
      const openOn = (databaseUrl: string) => openDomain({ databaseUrl, redisUrl: null })
      ;[a, b] = [await openOn(urls[0]), await openOn(urls[1])]
      closers.push(
        () => a.close(),
        () => b.close(),
      )
      accountId = await addAccount(a.db)
      await b.db.selectFrom('hufu_accounts').select('id').limit(1).execute()
    })

    /** A node that applies nothing is soon detected as out of sync; then the answer is 503. */
    const verifyOnB = async (token: string) =>
      await Promise.resolve(b.verification.verify(token)).then(({ is }) => is, answerTo)

    test('a token that was issued through another node is live', async () => {
      await lag(1)
      const { token } = await signIn(a, accountId)
      expect(['live', 'unavailable']).toContain(await verifyOnB(token))
      await cluster.isWhole()
      expect(await verifyOnB(token)).toBe('live')
    })

    test('a session that was ended through another node has ended', async () => {
      const { token, session } = await signIn(a, accountId)
      expect(await verifyOnB(token)).toBe('live')
      await lag(1)
      await a.sessions.end({ id: session.id, accountId, reason: 'signed_out', by: null })
      expect(['ended', 'unavailable']).toContain(await verifyOnB(token))
      await cluster.isWhole()
      expect(await verifyOnB(token)).toBe('ended')
    })

    test('a transaction begins with everything that was committed', async () => {
      await lag(1)
      await a.db.updateTable('hufu_accounts').set({ nickname: 'new' }).where('id', '=', accountId).execute()
      const read = inTransaction(b.db, (tx) => findAccountById(tx, accountId))
      expect(['new', 'unavailable']).toContain(await read.then((account) => account?.nickname, answerTo))
    })

    test('a guarded update sees a write through another node', async () => {
      const name = { ...code, phoneNumber: '+8613900003000' }
      await lag(1)
      await insertCode(a.db, name, unusedCode('lagging'))
      expect([true, 'unavailable']).toContain(
        await countGuess(b.db, name, { fingerprint: null, now, maxGuesses: 5 }).catch(answerTo),
      )
    })

    test('the feed is not fresh, and then has every change', async () => {
      const seen: string[] = []
      const feed = new Feed({ open: () => openDatabase(dialectFor(urls[1], 1)), clock: new ManualClock(now) })
      closers.push(() => feed.close())
      feed.subscribe(({ accountId: id }) => id === 'galera change' && seen.push(id))
      await feed.start()
      await until(async () => feed.isFresh())
      const goOn = await cluster.nodes[1].holdBack()
      closers.push(goOn)
      await inTransaction(a.db, (tx) => insertChange(tx, 'galera change', now))
      await sleep(freshMs + 100)
      expect({ isFresh: feed.isFresh(), seen }).toEqual({ isFresh: false, seen: [] })
      await goOn()
      await until(async () => feed.isFresh() && seen.length > 0)
      expect(seen).toEqual(['galera change'])
    })
  })

  test('three processes that migrate through three nodes at once all finish', async () => {
    for (let round = 0; round < 2; round++) {
      const places = await createDatabase()
      await Promise.all(places.map((place) => upgrade(() => openDatabase(dialectFor(place, 1)), 'mysql')))
      for (const place of places) expect(await pendingMigrations(open(place, 1), 'mysql')).toEqual([])
      await addAccount(open(places[2], 1))
    }
  })

  /** Breaks a node for a server on it, and repairs it. */
  interface Failure {
    readonly name: string
    readonly withRedis: boolean
    fail(node: GaleraNode): Promise<void>
    repair(node: GaleraNode): Promise<void>
    /** The node answers, and /readyz must report that it is not in use. */
    readonly isTold?: true
  }
  const failures: readonly Failure[] = [
    {
      name: 'cut off from the others',
      withRedis: false,
      fail: (node) => node.cutOff(true),
      repair: (node) => node.cutOff(false),
      isTold: true,
    },
    {
      name: 'paused',
      withRedis: true,
      fail: (node) => node.kill('SIGSTOP'),
      repair: (node) => node.kill('SIGCONT'),
    },
    {
      name: 'killed',
      withRedis: false,
      fail: (node) => node.kill('SIGKILL'),
      repair: (node) => node.start(),
      isTold: true,
    },
    {
      name: 'taken out, like a node that sends its data to another one',
      withRedis: true,
      fail: async (node) => void (await node.query('set global wsrep_desync = on')),
      repair: async (node) => void (await node.query('set global wsrep_desync = off')),
      isTold: true,
    },
  ]

  describe.each(failures)('a server on a node that is $name', ({ withRedis, fail, repair, isTold }) => {
    const isSkipped = withRedis && redisUrl() === null

    const signInOn = async ({ url }: RunningApp) => {
      const response = await fetch(`${url}/v1/sessions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ phone_number: person.phone, password: person.password }),
      })
      // Every response of the server is a JSON object.
      const body = (await response.json()) as Record<string, unknown>
      return { status: response.status, token: String(body.token) }
    }
    const readyOf = async ({ url }: RunningApp) => (await fetch(`${url}/readyz`)).status

    test.skipIf(isSkipped)('answers right or 503, and works again afterwards', async () => {
      const environment: Record<string, string> = withRedis ? { HUFU_REDIS_URL: redisUrl() ?? '' } : {}
      const [a, b] = [await startApp(urls[0], { environment }), await startApp(urls[1], { environment })]
      closers.push(
        () => a.close(),
        () => b.close(),
      )
      if (!(await a.services.accounts.find(person.phone))) await addPerson(a.services)
      const { token: replaced } = await signInOn(a)
      expect((await clientOf(b).me(replaced)).status).toBe(200)

      await fail(cluster.nodes[1])
      if (isTold) await until(async () => (await readyOf(b)) === 503)
      let current = ''
      await until(async () => {
        const { status, token } = await signInOn(a)
        expect([201, 503]).toContain(status)
        current = token
        return status === 201
      })
      for (let i = 0; i < 2; i++) {
        const answers = await Promise.all([clientOf(b).me(replaced), clientOf(b).me(current)])
        expect([401, 503]).toContain(answers[0].status)
        expect([200, 503]).toContain(answers[1].status)
      }
      const onBroken = await signInOn(b)
      expect([201, 503]).toContain(onBroken.status)

      await repair(cluster.nodes[1])
      await cluster.isWhole()
      await until(async () => (await readyOf(a)) === 200 && (await readyOf(b)) === 200)
      const { status, token } = await signInOn(b)
      expect(status).toBe(201)
      expect((await clientOf(a).me(token)).status).toBe(200)
      expect((await clientOf(a).me(replaced)).status).toBe(401)
    })
  })
})
