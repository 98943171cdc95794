// The feed of changes on every database: nothing that was committed is missed, whatever the order of the commits.
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { ManualClock } from '../src/clock.ts'
import { dialectFor, openDatabase } from '../src/db/open.ts'
import type { Database } from '../src/db/schema.ts'
import { insertChange } from '../src/sessions/change-rows.ts'
import { Feed, forgetOldChanges, freshMs } from '../src/sessions/feed.ts'
import { migrateFresh } from './domain.ts'
import { databases } from './stores.ts'
import { startProxy } from './tcp-proxy.ts'

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
    const feed = new Feed({ db: openDatabase(dialectFor(databaseUrl, 1)), clock })
    closers.push(() => feed.close())
    await feed.start()
    const isCurrent = (account: string, position: number) =>
      feed.isCurrent(feed.slotOf(id(account)), position)
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
    await forgetOldChanges(db, clock.now(), 1_000)
    const left = await db.selectFrom('hufu_account_changes').select('position').orderBy('position').execute()
    expect(left.at(-1)).toEqual({ position: last })
    // The last thousand stay, so that a server that starts can tell what is open from what is long over.
    expect(left[0]?.position).toBe(last - 1_000 + 1)
    expect(last - first).toBeGreaterThan(1_200)
    // Of what was changed before those it knows nothing, and believes no copy from before them.
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
