// The change feed on every database: it misses no committed change, whatever the order of the commits.
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { insertChange, insertChangeAfter } from '../../src/changes/change-rows.ts'
import { type AccountChange, deleteOldChanges, Feed } from '../../src/changes/feed.ts'
import { LastChanges } from '../../src/changes/last-changes.ts'
import { ManualClock } from '../../src/clock.ts'
import { dialectFor, openDatabase } from '../../src/database/open.ts'
import type { Database } from '../../src/database/schema.ts'
import { randomText } from '../../src/random-text.ts'
import { freshMs } from '../../src/timing.ts'
import { startApp } from '../support/app.ts'
import { databases } from '../support/databases.ts'
import { startProxy } from '../support/tcp-proxy.ts'

const minuteMs = 60_000

describe.each(databases)('$name', ({ name, create, skipped }) => {
  const usable = test.skipIf(skipped !== null)
  const clock = new ManualClock(Date.UTC(2026, 10, 22))
  const closers: (() => Promise<unknown>)[] = []
  let url: string
  let drop: () => Promise<void>
  let db: Database
  /** Each test has account ids of its own, because the feed knows those of the tests before. */
  let run = 0

  beforeAll(async () => {
    if (skipped !== null) return
    const fresh = await create()
    url = fresh.url
    drop = fresh.drop
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
    /** Waits until the feed has read a change of this account after a position. */
    const untilSeen = (account: string, position: number) =>
      vi.waitFor(() => expect(isCurrent(account, position)).toBe(false))
    return { feed, isCurrent, untilSeen }
  }

  const id = (account: string) => `${run}:${account}`
  const change = async (account: string, tx = db) => (await insertChange(tx, id(account), clock.now())).step

  /** A transaction that has its position in the feed, and stays open until `end`. */
  async function openTransaction(account: string) {
    let end = (_how: 'commit' | 'roll back') => {}
    const ended = new Promise<string>((resolve) => {
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
        if ((await ended) === 'roll back') throw new Error('rolled back')
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

  /** Waits until the feed's position has reached a step. */
  const untilAt = (feed: Feed, step: number) =>
    vi.waitFor(() => expect(feed.position).toBeGreaterThanOrEqual(step), { timeout: 5_000 })

  usable('a position from before a change is not current, for that account alone', async () => {
    const { feed, isCurrent, untilSeen } = await start()
    const before = feed.position
    expect(isCurrent('a', before)).toBe(true)
    const at = await change('a')
    await change('b')
    await untilSeen('b', before)
    expect(isCurrent('a', before)).toBe(false)
    expect(isCurrent('a', at)).toBe(true)
    expect(isCurrent('c', before)).toBe(true)
    await untilAt(feed, at + 1)
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
      { accountId: id('a'), step: first, kind: 'account' },
      { accountId: id('b'), step: second, kind: 'account' },
    ])
    expect(errors).toEqual([broken])
    unsubscribe()
    const third = await change('c')
    await untilAt(feed, third)
    expect(seen).toHaveLength(2)
  })

  usable('no server reads it before the first subscriber', async () => {
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

  usable('a server reads it also without Redis', async () => {
    const { services, close } = await startApp(url)
    closers.push(close)
    const seen: string[] = []
    services.feed.subscribe(({ accountId }) => seen.push(accountId))
    await change('by another process')
    await vi.waitFor(() => expect(seen).toContain(id('by another process')))
    await vi.waitFor(() => expect(services.feed.isFresh()).toBe(true), 5_000)
  })

  usable('a server knows recent changes at its start', async () => {
    const at = await change('a')
    const { feed, isCurrent } = await start()
    expect(isCurrent('a', at - 1)).toBe(false)
    expect(isCurrent('a', at)).toBe(true)
    expect(feed.isFresh()).toBe(true)
  })

  usable('the purge removes changes of an hour ago, and keeps younger ones', async () => {
    const first = await change('old')
    const at = clock.now()
    const old = Array.from({ length: 5_200 }, (_, i) => ({
      account_id: id('old'),
      at,
      step: first + 1 + i,
      mark: randomText(8),
    }))
    for (let i = 0; i < old.length; i += 1_000)
      await db
        .insertInto('hufu_account_changes')
        .values(old.slice(i, i + 1_000))
        .execute()
    await db
      .insertInto('hufu_account_changes')
      .values({ account_id: id('old'), at, step: null, mark: null })
      .execute()
    clock.advance(61 * minuteMs)
    const last = await change('young')
    expect(last).toBe(first + 5_201)
    while ((await deleteOldChanges(db, clock.now(), 1_000)) > 0);
    const left = await db.selectFrom('hufu_account_changes').select('step').orderBy('step').execute()
    // The last 5,000 stay, so that a server finds changes that are not committed when it starts.
    expect([left[0]?.step, left.at(-1)?.step, left.length]).toEqual([last - 5_000 + 1, last, 5_000])
    // A server knows no earlier changes, and trusts no older cache entry.
    const { isCurrent } = await start()
    expect(isCurrent('never changed', last - 5_000 + 1)).toBe(true)
    expect(isCurrent('never changed', last - 5_000)).toBe(false)
  })

  usable('it passes on a change without a step, which the previous version writes, once', async () => {
    const { feed, isCurrent } = await start()
    const seen: string[] = []
    feed.subscribe(({ accountId }) => seen.push(accountId))
    for (const account of ['old', 'older']) {
      const before = await change('a')
      await untilAt(feed, before)
      await db
        .insertInto('hufu_account_changes')
        .values({ account_id: id(account), at: clock.now(), step: null, mark: null })
        .execute()
      await vi.waitFor(() => expect(isCurrent(account, before)).toBe(false))
    }
    const after = await change('a')
    await untilAt(feed, after)
    expect(isCurrent('old', after)).toBe(true)
    expect(seen.filter((account) => account !== id('a'))).toEqual([id('old'), id('older')])
  })

  describe.skipIf(skipped !== null)('a database that has lost commits', () => {
    /** A copy of the feed's tables, which `restore` writes back. */
    async function backUp() {
      const rows = await db.selectFrom('hufu_account_changes').selectAll().execute()
      const [history] = await db.selectFrom('hufu_feed').selectAll().execute()
      return {
        restore: async () => {
          await db.transaction().execute(async (tx) => {
            await tx.deleteFrom('hufu_account_changes').execute()
            await tx.deleteFrom('hufu_feed').execute()
            if (history) await tx.insertInto('hufu_feed').values(history).execute()
            for (const row of rows) await tx.insertInto('hufu_account_changes').values(row).execute()
          })
        },
      }
    }

    // The new history is shorter than the lost one, as long, or longer.
    test.each([0, 1, 5])('begins another history, also after %i changes since the loss', async (since) => {
      await change('a')
      const backup = await backUp()
      const { feed, isCurrent } = await start()
      let histories = 0
      feed.onHistory(() => histories++)
      const { history } = feed
      const lost = await change('b')
      await vi.waitFor(() => expect(isCurrent('b', lost - 1)).toBe(false))
      await backup.restore()
      for (let i = 0; i < since; i++) await change('c')
      await vi.waitFor(() => expect(histories).toBeGreaterThan(0), 5_000)
      await vi.waitFor(() => expect(feed.isFresh()).toBe(true), 5_000)
      expect(feed.history).not.toBe(history)
      expect(feed.history).toMatch(/^[0-9a-f]{8}$/)
      expect(isCurrent('b', feed.position)).toBe(true)
      // Every other process has the same history, also one that starts after the loss.
      const { feed: other } = await start()
      expect(other.history).toBe(feed.history)
      const next = await change('c')
      await vi.waitFor(() => expect(isCurrent('c', next - 1)).toBe(false))
    })

    test('is not reported where no commit was lost', async () => {
      const { feed } = await start()
      let histories = 0
      feed.onHistory(() => histories++)
      for (let i = 0; i < 40; i++) await change(`${i % 7}`)
      await untilAt(feed, await change('last'))
      await deleteOldChanges(db, clock.now() + 61 * minuteMs, 10_000)
      await untilAt(feed, await change('after the purge'))
      expect(histories).toBe(0)
    })

    test('is not reported for a change of this process that was committed so late that the feed was read past it', async () => {
      const { feed } = await start()
      let histories = 0
      feed.onHistory(() => histories++)
      const before = await change('first')
      // More than a reading finds again.
      for (let i = 0; i < 250; i++) await change('others')
      await untilAt(feed, await change('last'))
      const late = await insertChangeAfter(db, before, { accountId: id('late'), at: clock.now() })
      feed.expect(late, feed.history)
      await untilAt(feed, await change('next'))
      expect(histories).toBe(0)
    })

    test('has one new history, also if two processes notice the loss at the same time', async () => {
      const backup = await backUp()
      const feeds = [(await start()).feed, (await start()).feed]
      const { history } = feeds[0] ?? expect.fail()
      const last = await change('a')
      for (const feed of feeds) await untilAt(feed, last)
      await backup.restore()
      const step = await change('b')
      for (const feed of feeds) await vi.waitFor(() => expect(feed.history).not.toBe(history), 5_000)
      for (const feed of feeds) await untilAt(feed, step)
      await vi.waitFor(() => expect(feeds[0]?.history).toBe(feeds[1]?.history), 5_000)
    })

    test('is noticed by a process that starts while no other process watches the history', async () => {
      const { feed } = await start()
      const { history } = feed
      const watch = {
        watched: vi.fn(async () => {}),
        isWatched: vi.fn(async (known: string) => known === history),
      }
      const startWatched = async () => {
        const watched = new Feed({ open: () => openDatabase(dialectFor(url, 1)), clock })
        closers.push(() => watched.close())
        watched.subscribe(() => {})
        watched.watchBy(watch)
        await watched.start()
        return watched
      }
      expect((await startWatched()).history).toBe(history)
      expect(watch.watched).toHaveBeenCalledWith(history)
      watch.isWatched.mockResolvedValue(false)
      const second = await startWatched()
      await vi.waitFor(() => expect(second.isFresh()).toBe(true), 5_000)
      expect(second.history).not.toBe(history)
      await vi.waitFor(() => expect(feed.history).toBe(second.history), 5_000)
    })
  })

  // SQLite runs one transaction after another: two are never open at a time.
  if (name === 'sqlite') return
  describe.skipIf(skipped !== null)('a change that is not committed yet', () => {
    test('is seen also if a later one commits first, and holds the position back until then', async () => {
      const { feed, isCurrent, untilSeen } = await start()
      const before = feed.position
      const open = await openTransaction('slow')
      const later = await change('fast')
      expect(later).toBe(open.position)
      await untilSeen('fast', before)
      expect(feed.position).toBeLessThan(open.position)
      const asRead = feed.position
      expect(isCurrent('slow', asRead)).toBe(true)
      await open.end('commit')
      await untilSeen('slow', asRead)
      await untilAt(feed, later)
    })

    test('is seen also if it was open when the server started', async () => {
      const open = await openTransaction('slow')
      await change('fast')
      const { feed, isCurrent, untilSeen } = await start()
      await change('faster')
      await untilSeen('faster', feed.position)
      await open.end('commit')
      await vi.waitFor(() => expect(isCurrent('slow', open.position - 1)).toBe(false))
    })

    test('holds the position back for a second at most if it is rolled back', async () => {
      const { feed, isCurrent, untilSeen } = await start()
      const before = feed.position
      const open = await openTransaction('never')
      const later = await change('fast')
      await open.end('roll back')
      await untilSeen('fast', before)
      expect(feed.position).toBeLessThan(later)
      await untilAt(feed, later)
      expect(isCurrent('never', before)).toBe(true)
    })

    test('is seen also if its commit is late', async () => {
      const { feed, isCurrent, untilSeen } = await start()
      const open = await openTransaction('very slow')
      await untilAt(feed, await change('fast'))
      expect(feed.position).toBeGreaterThanOrEqual(open.position)
      await open.end('commit')
      await untilSeen('very slow', open.position - 1)
      expect(isCurrent('very slow', open.position)).toBe(true)
    })

    test('is not missed while the database does not answer: nothing is fresh then', async () => {
      const proxy = await startProxy(url)
      closers.push(() => proxy.close())
      const { feed, isCurrent } = await start(proxy.url)
      const before = feed.position
      expect(feed.isFresh()).toBe(true)
      proxy.set('stall')
      const stalledAt = performance.now()
      await vi.waitFor(() => expect(feed.isFresh()).toBe(false), 5_000)
      await change('a')
      expect(isCurrent('a', before)).toBe(true)
      proxy.set('pass')
      await vi.waitFor(() => expect(feed.isFresh()).toBe(true), 20_000)
      expect(isCurrent('a', before)).toBe(false)
      // The last read started before the stall, so the feed was fresh for `freshMs` at most.
      expect(freshMs).toBeLessThan(performance.now() - stalledAt)
    })
  })
})
