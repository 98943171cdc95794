// The feed of changes on every database: nothing that was committed is missed, whatever the order of the
// commits.
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { insertChange } from '../../src/changes/change-rows.ts'
import { type AccountChange, deleteOldChanges, Feed } from '../../src/changes/feed.ts'
import { LastChanges } from '../../src/changes/last-changes.ts'
import { ManualClock } from '../../src/clock.ts'
import { dialectFor, openDatabase } from '../../src/database/open.ts'
import type { Database } from '../../src/database/schema.ts'
import { randomText } from '../../src/random-text.ts'
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
  const change = async (account: string, tx = db) => (await insertChange(tx, id(account), clock.now())).step

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

  /** Waits until the position is that of the last change. */
  const untilAt = (feed: Feed, step: number) =>
    vi.waitFor(() => expect(feed.position).toBeGreaterThanOrEqual(step), { timeout: 5_000 })

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
    // The last ones stay, so that a server that starts finds what is still under way.
    expect([left[0]?.step, left.at(-1)?.step, left.length]).toEqual([last - 5_000 + 1, last, 5_000])
    // It knows no earlier changes, and trusts no cache entry from before them.
    const { isCurrent } = await start()
    expect(isCurrent('never changed', last - 5_000 + 1)).toBe(true)
    expect(isCurrent('never changed', last - 5_000)).toBe(false)
  })

  usable('a change of a server of the version before, which writes no step, is seen once', async () => {
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
    /** The feed and the account's changes as they are now; `restore` brings them back. */
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

    /** A lost suffix; then the new history is as long as the lost one, or longer. */
    test.each([0, 1, 5])('is another history, also where it has %i changes since', async (since) => {
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
      // Every other process begins the same history, also one that starts only now.
      const { feed: other } = await start()
      expect(other.history).toBe(feed.history)
      const next = await change('c')
      await vi.waitFor(() => expect(isCurrent('c', next - 1)).toBe(false))
    })

    test('is not taken for one where nothing was lost', async () => {
      const { feed } = await start()
      let histories = 0
      feed.onHistory(() => histories++)
      for (let i = 0; i < 40; i++) await change(`${i % 7}`)
      await untilAt(feed, await change('last'))
      await deleteOldChanges(db, clock.now() + 61 * minuteMs, 10_000)
      await untilAt(feed, await change('after the purge'))
      expect(histories).toBe(0)
    })

    test('with two processes that find it out at once: one history in the end', async () => {
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

    test('is found by a process that starts where no other one has watched', async () => {
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

  // SQLite runs one transaction after another: nothing is ever open.
  if (name === 'sqlite') return
  describe.skipIf(skipped !== null)('changes that are open', () => {
    test('a change that is committed after a later one is seen, and until then nothing read counts as after it', async () => {
      const { feed, isCurrent, untilSeen } = await start()
      const before = feed.position
      const open = await held('slow')
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

    test('one that was open when the server started is seen as well', async () => {
      const open = await held('slow')
      await change('fast')
      const { feed, isCurrent, untilSeen } = await start()
      await change('faster')
      await untilSeen('faster', feed.position)
      await open.end('commit')
      await vi.waitFor(() => expect(isCurrent('slow', open.position - 1)).toBe(false))
    })

    test('one that was rolled back holds the position up for a second, and no longer', async () => {
      const { feed, isCurrent, untilSeen } = await start()
      const before = feed.position
      const open = await held('never')
      const later = await change('fast')
      await open.end('roll back')
      await untilSeen('fast', before)
      expect(feed.position).toBeLessThan(later)
      await untilAt(feed, later)
      expect(isCurrent('never', before)).toBe(true)
    })

    test('one whose commit takes a minute is seen among the last changes', async () => {
      const { feed, isCurrent, untilSeen } = await start()
      const open = await held('very slow')
      await untilAt(feed, await change('fast'))
      expect(feed.position).toBeGreaterThanOrEqual(open.position)
      await open.end('commit')
      await untilSeen('very slow', open.position - 1)
      expect(isCurrent('very slow', open.position)).toBe(true)
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
