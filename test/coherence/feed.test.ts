// The feed of changes on every database: nothing that was committed is missed, whatever the order of the
// commits.
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { insertChange } from '../../src/changes/change-rows.ts'
import { type AccountChange, deleteOldChanges, Feed } from '../../src/changes/feed.ts'
import { LastChanges } from '../../src/changes/last-changes.ts'
import { ManualClock } from '../../src/clock.ts'
import { dialectFor, openDatabase } from '../../src/database/open.ts'
import type { Database } from '../../src/database/schema.ts'
import { freshMs } from '../../src/timing.ts'
import { startApp } from '../support/app.ts'
import { databases } from '../support/databases.ts'
import { migrateFresh } from '../support/in-process-server.ts'
import { startProxy } from '../support/tcp-proxy.ts'

const minuteMs = 60_000

describe.each(databases)('$name', ({ name, create, skipped }) => {
  const usable = test.skipIf(skipped !== null)
  const clock = new ManualClock(Date.UTC(2026, 10, 22))
  const closers: (() => Promise<unknown>)[] = []
  let url: string
  let drop: () => Promise<void>
  let db: Database
  /** Accounts have other names in each test: the feed knows those of the tests before. */
  let run = 0

  beforeAll(async () => {
    if (skipped !== null) return
    const fresh = await create()
    url = fresh.url
    drop = fresh.drop
    await migrateFresh(url)
    db = openDatabase(dialectFor(url, 3))
  })
  afterEach(async () => {
    vi.restoreAllMocks()
    for (const close of closers.splice(0).reverse()) await close()
    run++
  })
  afterAll(async () => {
    await db?.destroy()
    await drop?.()
  })

  async function start(databaseUrl = url) {
    const feed = new Feed({ open: () => openDatabase(dialectFor(databaseUrl, 1)), clock })
    const lastChanges = new LastChanges(feed)
    closers.push(() => feed.close())
    await feed.start()
    const isCurrent = (account: string, position: number) =>
      lastChanges.isCurrent(lastChanges.bucketOf(id(account)), position)
    /** Waits until it has seen a change of this account behind a position. */
    const untilSeen = (account: string, position: number) =>
      vi.waitFor(() => expect(isCurrent(account, position)).toBe(false))
    return { feed, isCurrent, untilSeen }
  }

  const id = (account: string) => `${run}:${account}`
  const change = (account: string, tx = db) => insertChange(tx, id(account), clock.now())

  /** A transaction that has got its position and commits, or does not, when it is told to. */
  async function held(account: string) {
    let end = (_how: 'commit' | 'roll back') => {}
    const told = new Promise<string>((resolve) => {
      end = resolve
    })
    let positionKnown = (_position: number) => {}
    const position = new Promise<number>((resolve) => {
      positionKnown = resolve
    })
    const done = db
      .transaction()
      .execute(async (tx) => {
        positionKnown(await change(account, tx))
        if ((await told) === 'roll back') throw new Error('rolled back')
      })
      .catch(() => {})
    return {
      position: await position,
      end: async (how: 'commit' | 'roll back') => {
        end(how)
        await done
      },
    }
  }

  usable('what was read before a change is not current, for that account alone', async () => {
    const { feed, isCurrent, untilSeen } = await start()
    const before = feed.position
    expect(isCurrent('a', before)).toBe(true)
    const at = await change('a')
    await change('b')
    await untilSeen('b', before)
    expect(isCurrent('a', before)).toBe(false)
    expect(isCurrent('a', at)).toBe(true)
    expect(isCurrent('c', before)).toBe(true)
    await vi.waitFor(() => expect(feed.position).toBe(at + 1))
    await change('a')
    await untilSeen('a', at)
  })

  usable('each subscriber gets each change once, with its kind, also after one that throws', async () => {
    const errors: unknown[] = []
    const feed = new Feed({
      open: () => openDatabase(dialectFor(url, 1)),
      clock,
      onBackgroundError: (error) => errors.push(error),
    })
    closers.push(() => feed.close())
    const broken = new Error('of a subscriber')
    feed.subscribe(({ accountId }) => {
      if (accountId === id('a')) throw broken
    })
    const seen: AccountChange[] = []
    const unsubscribe = feed.subscribe((change) => {
      if (change.accountId.startsWith(`${run}:`)) seen.push(change)
    })
    const first = await change('a')
    await feed.start()
    const second = await change('b')
    await vi.waitFor(() => expect(seen).toHaveLength(2))
    expect(seen).toEqual([
      { accountId: id('a'), position: first, kind: 'account' },
      { accountId: id('b'), position: second, kind: 'account' },
    ])
    expect(errors).toEqual([broken])
    unsubscribe()
    const third = await change('c')
    await vi.waitFor(() => expect(feed.position).toBe(third))
    expect(seen).toHaveLength(2)
  })

  usable('it is not read before the first subscriber, and then is', async () => {
    let opened = 0
    const open = () => {
      opened++
      return openDatabase(dialectFor(url, 1))
    }
    const feed = new Feed({ open, clock })
    closers.push(() => feed.close())
    await feed.start()
    expect(opened).toBe(0)
    const seen: string[] = []
    feed.subscribe(({ accountId }) => seen.push(accountId))
    await change('a')
    await vi.waitFor(() => expect(seen).toContain(id('a')))
    expect(opened).toBe(1)
  })

  usable('a server reads it without Redis as well', async () => {
    const { services, close } = await startApp(url)
    closers.push(close)
    const seen: string[] = []
    services.feed.subscribe(({ accountId }) => seen.push(accountId))
    await change('by another process')
    await vi.waitFor(() => expect(seen).toContain(id('by another process')))
    expect(services.feed.isFresh()).toBe(true)
  })

  usable('a server that starts knows what has changed lately', async () => {
    const at = await change('a')
    const { feed, isCurrent } = await start()
    expect(isCurrent('a', at - 1)).toBe(false)
    expect(isCurrent('a', at)).toBe(true)
    expect(feed.isFresh()).toBe(true)
  })

  usable('changes of an hour ago are removed, and younger ones stay', async () => {
    const first = await change('old')
    const at = clock.now()
    const old = Array.from({ length: 1_200 }, () => ({ account_id: id('old'), at }))
    await db.insertInto('hufu_account_changes').values(old).execute()
    clock.advance(61 * minuteMs)
    const last = await change('young')
    await deleteOldChanges(db, clock.now(), 1_000)
    const left = await db.selectFrom('hufu_account_changes').select('position').orderBy('position').execute()
    expect(left.at(-1)).toEqual({ position: last })
    // The last thousand stay, so that a server that starts can tell what is open from what is long over.
    expect(left[0]?.position).toBe(last - 1_000 + 1)
    expect(last - first).toBeGreaterThan(1_200)
    // It knows no earlier changes, and trusts no cache entry from before them.
    const { isCurrent } = await start()
    expect(isCurrent('never changed', last - 1_000)).toBe(true)
    expect(isCurrent('never changed', last - 1_001)).toBe(false)
  })

  // SQLite gives the next position only when the transaction before it is over: nothing is ever open.
  if (name === 'sqlite') return
  describe.skipIf(skipped !== null)('positions that are open', () => {
    test('a change that is committed after a later one is seen, and until then nothing read counts as after it', async () => {
      const { feed, isCurrent, untilSeen } = await start()
      const before = feed.position
      const open = await held('slow')
      const later = await change('fast')
      expect(later).toBeGreaterThan(open.position)
      await untilSeen('fast', before)
      expect(feed.position).toBeLessThan(open.position)
      const asRead = feed.position
      expect(isCurrent('slow', asRead)).toBe(true)
      await open.end('commit')
      await untilSeen('slow', asRead)
      await vi.waitFor(() => expect(feed.position).toBe(later))
    })

    test('one that was open when the server started is seen as well', async () => {
      const open = await held('slow')
      await change('fast')
      const { feed, untilSeen } = await start()
      expect(feed.position).toBeLessThan(open.position)
      await open.end('commit')
      await untilSeen('slow', feed.position)
    })

    test('one that was rolled back holds the position up for a minute, and no longer', async () => {
      const { feed, isCurrent, untilSeen } = await start()
      const before = feed.position
      const open = await held('never')
      const later = await change('fast')
      await open.end('roll back')
      await untilSeen('fast', before)
      expect(feed.position).toBeLessThan(open.position)
      const now = performance.now.bind(performance)
      vi.spyOn(performance, 'now').mockImplementation(() => now() + minuteMs)
      await vi.waitFor(() => expect(feed.position).toBe(later))
      expect(isCurrent('never', before)).toBe(true)
    })

    test('a second without an answer of the database, and nothing is fresh until it answers again', async () => {
      const proxy = await startProxy(url)
      closers.push(() => proxy.close())
      const { feed, isCurrent } = await start(proxy.url)
      const before = feed.position
      expect(feed.isFresh()).toBe(true)
      proxy.set('stall')
      const cut = performance.now()
      await vi.waitFor(() => expect(feed.isFresh()).toBe(false), 5_000)
      await change('a')
      expect(isCurrent('a', before)).toBe(true)
      proxy.set('pass')
      await vi.waitFor(() => expect(feed.isFresh()).toBe(true), 20_000)
      expect(isCurrent('a', before)).toBe(false)
      // Never longer than promised: the last reading began before the cut.
      expect(freshMs).toBeLessThan(performance.now() - cut)
    })
  })
})
