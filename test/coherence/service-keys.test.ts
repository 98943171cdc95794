// Service keys on every database, with Redis and without: two servers, and the changes that both must know.
import { type CompiledQuery, sql } from 'kysely'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { ChangeListener } from '../../src/changes/feed.ts'
import { migrate } from '../../src/database/migrate.ts'
import { dialectFor, openDatabase } from '../../src/database/open.ts'
import { noOrigin } from '../../src/events/events.ts'
import { KeyCache } from '../../src/service-keys/key-cache.ts'
import { issueKeyText, newKeyId } from '../../src/service-keys/key-text.ts'
import { KeyUses } from '../../src/service-keys/key-uses.ts'
import { KeyVerification } from '../../src/service-keys/key-verification.ts'
import { ServiceKeys } from '../../src/service-keys/service-keys.ts'
import { lateMs } from '../../src/timing.ts'
import { type RunningApp, startApp } from '../support/app.ts'
import { databases, redisUrl, stores } from '../support/databases.ts'

const byOperator = { by: null, origin: noOrigin }
const billing = { name: 'billing', scopes: ['introspect'], networks: [], expiresAt: null } as const
const here = '127.0.0.1'

/** What a server answers to a key: `live`, or the code of its refusal. */
async function verdictOf(app: RunningApp, text: string, address: string | null = here): Promise<string> {
  try {
    await app.services.keyVerification.verify(text, address)
    return 'live'
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

describe.each(stores)('$name', ({ database, redis, skipped }) => {
  const usable = test.skipIf(skipped !== null)
  let first: RunningApp
  let second: RunningApp
  let drop = async () => {}

  beforeAll(async () => {
    if (skipped !== null) return
    const fresh = await database.create()
    drop = fresh.drop
    const environment: Record<string, string> = redis ? { HUFU_REDIS_URL: redisUrl() ?? '' } : {}
    first = await startApp(fresh.url, { environment })
    second = await startApp(fresh.url, { environment })
  })
  afterAll(async () => {
    await first?.close()
    await second?.close()
    await drop()
  })

  const keys = () => first.services.keys
  const verdicts = async (text: string) => [await verdictOf(first, text), await verdictOf(second, text)]
  const eventsOf = async (id: string) => {
    const events: string[] = []
    for await (const { kind } of keys().listEvents(id)) events.push(kind)
    return events
  }

  usable('both servers know a key, its rotation and its revocation when these return', async () => {
    const { key, text } = await keys().create(billing, byOperator)
    expect(await verdicts(text)).toEqual(['live', 'live'])
    first.clock.advance(1)
    const rotated = await keys().rotate(key.id, 60_000, byOperator)
    expect(await verdicts(text)).toEqual(['live', 'live'])
    expect(await verdicts(rotated.text)).toEqual(['live', 'live'])
    await expect(keys().rotate(key.id, 60_000, byOperator)).rejects.toMatchObject({ code: 'key_rotating' })
    first.clock.advance(1)
    const last = await keys().rotate(key.id, 0, byOperator)
    expect(await verdicts(text)).toEqual(['key_unknown', 'key_unknown'])
    expect(await verdicts(rotated.text)).toEqual(['key_unknown', 'key_unknown'])
    expect(await verdicts(last.text)).toEqual(['live', 'live'])
    first.clock.advance(1)
    expect(await keys().revoke(key.id, byOperator)).toBe(true)
    expect(await verdicts(last.text)).toEqual(['key_revoked', 'key_revoked'])
    expect(await keys().revoke(key.id, byOperator)).toBe(false)
    await expect(keys().rotate(key.id, 0, byOperator)).rejects.toMatchObject({ code: 'key_revoked' })
    const kinds = (await eventsOf(key.id)).filter((kind) => kind !== 'key_used_from_network')
    expect(kinds).toEqual(['key_revoked', 'key_rotated', 'key_rotated', 'key_created'])
  })

  usable('the old secret of a rotation ends at its time, and a key at its end', async () => {
    second.clock.advance(first.clock.now() - second.clock.now())
    const expiresAt = first.clock.now() + 120_000
    const { key, text } = await keys().create({ ...billing, expiresAt }, byOperator)
    const rotated = await keys().rotate(key.id, 60_000, byOperator)
    for (const app of [first, second]) app.clock.advance(60_000)
    expect(await verdicts(text)).toEqual(['key_unknown', 'key_unknown'])
    expect(await verdicts(rotated.text)).toEqual(['live', 'live'])
    for (const app of [first, second]) app.clock.advance(60_000)
    expect(await verdicts(rotated.text)).toEqual(['key_expired', 'key_expired'])
  })

  usable('a key is used from its networks only, and no other key changes that', async () => {
    const { text } = await keys().create({ ...billing, networks: ['10.0.0.0/8'] }, byOperator)
    expect(await verdictOf(first, text, '10.255.0.1')).toBe('live')
    expect(await verdictOf(first, text, '11.0.0.1')).toBe('key_network_refused')
    expect(await verdictOf(first, text, null)).toBe('key_network_refused')
  })

  usable('no secret is in any table, and an unknown key is refused', async () => {
    const { key, text } = await keys().create(billing, byOperator)
    const rotated = await keys().rotate(key.id, 60_000, byOperator)
    for (const table of ['hufu_service_keys', 'hufu_events', 'hufu_account_changes']) {
      const { rows } = await sql`select * from ${sql.table(table)}`.execute(first.byHand)
      const dump = JSON.stringify(rows)
      expect(dump).toContain(key.id)
      for (const secret of [text, rotated.text]) expect(dump).not.toContain(secret.slice(17, 40))
    }
    expect(await verdictOf(first, issueKeyText(key.id))).toBe('key_unknown')
    expect(await verdictOf(first, issueKeyText(newKeyId()))).toBe('key_unknown')
    expect(await verdictOf(first, 'hfk_made_up')).toBe('key_unknown')
    await expect(keys().revoke('none', byOperator)).rejects.toMatchObject({ code: 'key_not_found' })
  })

  usable('a use is written once a minute, and a new network with one event, by two servers', async () => {
    const { key, text } = await keys().create(billing, byOperator)
    const lastUse = async () => (await keys().list()).find(({ id }) => id === key.id)?.lastUsedAt
    expect(await lastUse()).toBe(null)
    const use = async (app: RunningApp, address: string) => {
      expect(await verdictOf(app, text, address)).toBe('live')
      await app.services.keyVerification.flush()
    }
    const began = first.clock.now()
    await use(first, '10.1.2.3')
    await use(second, '10.1.2.200')
    expect(await lastUse()).toBe(began)
    first.clock.advance(59_999)
    await use(first, '10.1.2.3')
    expect(await lastUse()).toBe(began)
    first.clock.advance(1)
    await use(first, '2001:db8::1')
    expect(await lastUse()).toBe(began + 60_000)
    const networks: unknown[] = []
    for await (const { kind, detail, ip } of keys().listEvents(key.id))
      if (kind === 'key_used_from_network') networks.push({ ...detail, ip })
    expect(networks).toEqual([
      { network: '2001:db8::/48', ip: '2001:db8::1' },
      { network: '10.1.2.0/24', ip: '10.1.2.3' },
    ])
  })

  usable('keys that have been over for 90 days are deleted with their networks', async () => {
    const { key, text } = await keys().create(billing, byOperator)
    const other = await keys().create(billing, byOperator)
    await verdictOf(first, text)
    await first.services.keyVerification.flush()
    await keys().revoke(key.id, byOperator)
    const now = first.clock.now()
    await keys().deleteOld(now + 89 * 86_400_000, 100)
    const ids = async () => (await keys().list()).map(({ id }) => id)
    expect(await ids()).toEqual(expect.arrayContaining([key.id, other.key.id]))
    await keys().deleteOld(now + 91 * 86_400_000, 100)
    expect(await ids()).not.toContain(key.id)
    expect(await ids()).toContain(other.key.id)
  })

  usable('a key that another one creates has no more rights, and its maker must be live', async () => {
    const { key: maker } = await keys().create({ ...billing, networks: ['10.0.0.0/8'] }, byOperator)
    const byMaker = { by: maker.id, origin: noOrigin }
    const { key } = await keys().create({ ...billing, networks: ['10.1.0.0/16'] }, byMaker)
    expect(key.createdBy).toBe(maker.id)
    await expect(keys().create(billing, byMaker)).rejects.toMatchObject({ code: 'key_rights_exceeded' })
    await keys().revoke(maker.id, byOperator)
    await expect(keys().create({ ...billing, networks: ['10.1.0.0/16'] }, byMaker)).rejects.toMatchObject({
      code: 'key_rights_exceeded',
    })
  })
})

describe.each(databases)('the cache of keys on $name', ({ create, skipped }) => {
  const usable = test.skipIf(skipped !== null)
  const closers: (() => Promise<unknown>)[] = []
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close()
  })

  /** A cache with a feed that the test controls, and every statement that was sent. */
  async function open() {
    const { url, drop } = await create()
    closers.push(drop)
    const statements: CompiledQuery[] = []
    const db = openDatabase(dialectFor(url, 2))
    closers.push(() => db.destroy())
    /** What the answer to the next statement waits for. */
    const held: { by: Promise<void> | null } = { by: null }
    const executor = db.getExecutor()
    const execute = executor.executeQuery.bind(executor)
    executor.executeQuery = async (...query) => {
      statements.push(query[0])
      const { by } = held
      held.by = null
      const answer = await execute(...query)
      await by
      // The answer is that of the statement, whose type the caller knows.
      return answer as never
    }
    const feed = new FeedByHand()
    const now = { value: Date.UTC(2026, 10, 22) }
    const clock = { now: () => now.value }
    const keys = new ServiceKeys({ db, feed, clock })
    const cache = new KeyCache({ db, feed })
    return { db, feed, clock, now, keys, statements, held, cache, url }
  }

  usable('all keys are read once while the feed is fresh, also for a key that does not exist', async () => {
    const { keys, cache, statements, feed } = await open()
    const { key } = await keys.create(billing, byOperator)
    await Promise.all([cache.find(key.id), cache.find(newKeyId())])
    const count = statements.length
    expect(count).toBeGreaterThan(0)
    for (let i = 0; i < 100; i++) expect(cache.find(newKeyId())).toBe(null)
    expect(cache.find(key.id)).toMatchObject({ id: key.id })
    expect(statements).toHaveLength(count)
    feed.change('account')
    expect(cache.find(key.id)).not.toBeInstanceOf(Promise)
    feed.change('service_key')
    const changed = cache.find(key.id)
    expect(changed).toBeInstanceOf(Promise)
    await changed
    feed.beginHistory()
    const again = cache.find(key.id)
    expect(again).toBeInstanceOf(Promise)
    await again
  })

  usable('while the feed is not fresh, every check reads the database', async () => {
    const { keys, cache, feed } = await open()
    const { key } = await keys.create(billing, byOperator)
    await cache.find(key.id)
    feed.fresh = false
    await keys.revoke(key.id, byOperator)
    expect(await cache.find(key.id)).toMatchObject({ revokedAt: expect.any(Number) })
  })

  usable('what a reading found is not kept where a key has changed since it began', async () => {
    const { keys, cache, feed, db } = await open()
    const { key } = await keys.create(billing, byOperator)
    const found = cache.find(key.id)
    feed.change('service_key')
    await found
    await db.updateTable('hufu_service_keys').set({ revoked_at: 1 }).execute()
    expect(await cache.find(key.id)).toMatchObject({ revokedAt: 1 })
  })

  usable('a key that a slow reading found is not remembered after its revocation', async () => {
    const { db, keys, cache, clock, feed, held } = await open()
    const { key, text } = await keys.create(billing, byOperator)
    const uses = new KeyUses({ db, clock, onBackgroundError: () => {} })
    const verification = new KeyVerification({ cache, uses, clock })
    let release = () => {}
    held.by = new Promise((resolve) => {
      release = resolve
    })
    const slow = verification.verify(text, here)
    await db.updateTable('hufu_service_keys').set({ revoked_at: 1 }).execute()
    feed.change('service_key')
    await cache.find(key.id)
    release()
    expect(await slow).toMatchObject({ id: key.id })
    expect(() => verification.verify(text, here)).toThrow('key_revoked')
    await verification.flush()
  })

  usable(
    'a key that was verified costs no comparison until its networks, its end or its secret say no',
    async () => {
      const { db, keys, cache, clock, now } = await open()
      const expiresAt = clock.now() + 2_000
      const { key } = await keys.create({ ...billing, networks: ['127.0.0.0/8'], expiresAt }, byOperator)
      const { text } = await keys.rotate(key.id, 0, byOperator)
      const next = await keys.rotate(key.id, 1_000, byOperator)
      const uses = new KeyUses({ db, clock, onBackgroundError: () => {} })
      const verification = new KeyVerification({ cache, uses, clock })
      for (const one of [text, next.text]) await verification.verify(one, here)
      for (const one of [text, next.text])
        expect(verification.verify(one, here)).toMatchObject({ id: key.id })
      expect(() => verification.verify(next.text, '10.0.0.1')).toThrow('key_network_refused')
      now.value += 1_000
      expect(() => verification.verify(text, here)).toThrow('key_unknown')
      expect(verification.verify(next.text, here)).toMatchObject({ id: key.id })
      now.value += 1_000
      expect(() => verification.verify(next.text, here)).toThrow('key_expired')
      await verification.flush()
    },
  )

  usable('a change whose commit is late is in the feed twice', async () => {
    const { db, feed, clock, keys } = await open()
    const stepsOf = async (id: string) => {
      const rows = db.selectFrom('hufu_account_changes').select('kind').where('account_id', '=', id)
      return (await rows.execute()).map(({ kind }) => kind)
    }
    const { key } = await keys.create(billing, byOperator)
    expect(await stepsOf(key.id)).toEqual(['service_key'])
    let isFirst = true
    const now = () => {
      if (isFirst) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, lateMs + 50)
      isFirst = false
      return clock.now()
    }
    await new ServiceKeys({ db, feed, clock: { now } }).revoke(key.id, byOperator)
    expect(await stepsOf(key.id)).toEqual(Array(3).fill('service_key'))
  })

  usable('a use that cannot be written is written with the next one', async () => {
    const { db, clock, keys } = await open()
    const { key } = await keys.create(billing, byOperator)
    const errors: string[] = []
    const onBackgroundError = (work: string) => void errors.push(work)
    const failing = new KeyUses({ db: db.withSchema('of_another_program'), clock, onBackgroundError })
    failing.note(key.id, here, clock.now())
    await failing.flush()
    expect(errors).toEqual(['note_key_use'])
    const uses = new KeyUses({ db, clock, onBackgroundError })
    uses.note(key.id, here, clock.now())
    await uses.flush()
    expect((await keys.list()).map(({ lastUsedAt }) => lastUsedAt)).toEqual([clock.now()])
  })

  usable('the migration may run twice', async () => {
    const { db, url } = await open()
    await db
      .deleteFrom('hufu_migrations' as 'hufu_feed')
      .where('name' as 'id', '=', '0020-service-keys' as never)
      .execute()
    const kind = url.startsWith('sqlite') ? 'sqlite' : url.startsWith('mysql') ? 'mysql' : 'postgres'
    expect(await migrate(db, kind)).toEqual(['0020-service-keys'])
  })
})

class FeedByHand {
  fresh = true
  readonly history = ''
  readonly #listeners: ChangeListener[] = []
  #forget = () => {}

  isFresh(): boolean {
    return this.fresh
  }

  subscribe(listener: ChangeListener): () => void {
    this.#listeners.push(listener)
    return () => {}
  }

  onHistory(listener: () => void): void {
    this.#forget = listener
  }

  expect(): void {}

  change(kind: string): void {
    for (const listener of this.#listeners) listener({ accountId: 'any', step: 1, kind })
  }

  beginHistory(): void {
    this.#forget()
  }
}
