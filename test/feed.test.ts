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

  async function start(options: { maxAccounts?: number } = {}, databaseUrl = url) {
    const seen: string[] = []
    const feed = new Feed({
      db: openDatabase(dialectFor(databaseUrl, 1)),
      clock,
      onChange: ({ accountId }) => {
        const [of, name = ''] = accountId.split(':')
        if (of === String(run)) seen.push(name)
      },
      ...options,
    })
    closers.push(() => feed.close())
    await feed.start()
    return { feed, seen }
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

  usable('tells each change once, and that what was read before it is not current', async () => {
    const { feed, seen } = await start()
    const before = feed.position
    expect(feed.isCurrent(id('a'), before)).toBe(true)
    const at = await change('a')
    await change('b')
    await vi.waitFor(() => expect(seen).toEqual(['a', 'b']))
    expect(feed.isCurrent(id('a'), before)).toBe(false)
    expect(feed.isCurrent(id('a'), at)).toBe(true)
    expect(feed.isCurrent(id('c'), before)).toBe(true)
    await vi.waitFor(() => expect(feed.position).toBe(at + 1))
    await change('a')
    await vi.waitFor(() => expect(seen).toEqual(['a', 'b', 'a']))
    expect(feed.isCurrent(id('a'), at)).toBe(false)
  })

  usable('a server that starts knows what has changed lately', async () => {
    const at = await change('a')
    const { feed } = await start()
    expect(feed.isCurrent(id('a'), at - 1)).toBe(false)
    expect(feed.isCurrent(id('a'), at)).toBe(true)
    expect(feed.isFresh()).toBe(true)
  })

  usable('does not know every account for ever: then nothing that is older is believed', async () => {
    const { feed, seen } = await start({ maxAccounts: 2 })
    const before = feed.position
    const first = await change('a')
    for (const account of ['b', 'c']) await change(account)
    await vi.waitFor(() => expect(seen).toHaveLength(3))
    expect(feed.isCurrent(id('a'), before)).toBe(false)
    expect(feed.isCurrent(id('never changed'), before)).toBe(false)
    expect(feed.isCurrent(id('never changed'), first)).toBe(true)
  })

  usable('changes of an hour ago are removed, and younger ones stay', async () => {
    const first = await change('old')
    const at = clock.now()
    const old = Array.from({ length: 1_200 }, () => ({ account_id: id('old'), at }))
    await db.insertInto('account_changes').values(old).execute()
    clock.advance(61 * minuteMs)
    const last = await change('young')
    await forgetOldChanges(db, clock.now())
    const left = await db.selectFrom('account_changes').select('position').orderBy('position').execute()
    expect(left.at(-1)).toEqual({ position: last })
    // The last thousand stay, so that a server that starts can tell what is open from what is long over.
    expect(left[0]?.position).toBe(last - 1_000 + 1)
    expect(last - first).toBeGreaterThan(1_200)
  })

  // SQLite gives the next position only when the transaction before it is over: nothing is ever open.
  if (name === 'sqlite') return
  describe.skipIf(skipped !== null)('positions that are open', () => {
    test('a change that is committed after a later one is seen, and until then nothing read counts as after it', async () => {
      const { feed, seen } = await start()
      const open = await held('slow')
      const later = await change('fast')
      expect(later).toBeGreaterThan(open.position)
      await vi.waitFor(() => expect(seen).toEqual(['fast']))
      expect(feed.position).toBeLessThan(open.position)
      const asRead = feed.position
      await open.end('commit')
      await vi.waitFor(() => expect(seen).toEqual(['fast', 'slow']))
      expect(feed.isCurrent(id('slow'), asRead)).toBe(false)
      await vi.waitFor(() => expect(feed.position).toBe(later))
    })

    test('one that was open when the server started is seen as well', async () => {
      const open = await held('slow')
      await change('fast')
      const { feed, seen } = await start()
      expect(feed.position).toBeLessThan(open.position)
      await open.end('commit')
      await vi.waitFor(() => expect(seen).toContain('slow'))
    })

    test('one that was rolled back holds the position up for a minute, and no longer', async () => {
      const { feed, seen } = await start()
      const open = await held('never')
      const later = await change('fast')
      await open.end('roll back')
      await vi.waitFor(() => expect(seen).toEqual(['fast']))
      expect(feed.position).toBeLessThan(open.position)
      const now = performance.now.bind(performance)
      vi.spyOn(performance, 'now').mockImplementation(() => now() + minuteMs)
      await vi.waitFor(() => expect(feed.position).toBe(later))
      expect(seen).toEqual(['fast'])
    })

    test('a second without an answer of the database, and nothing is fresh until it answers again', async () => {
      const proxy = await startProxy(url)
      closers.push(() => proxy.close())
      const { feed, seen } = await start({}, proxy.url)
      expect(feed.isFresh()).toBe(true)
      proxy.set('stall')
      const cut = performance.now()
      await vi.waitFor(() => expect(feed.isFresh()).toBe(false), 5_000)
      await change('a')
      expect(seen).toEqual([])
      proxy.set('pass')
      await vi.waitFor(() => expect(feed.isFresh()).toBe(true), 20_000)
      expect(seen).toEqual(['a'])
      // Never longer than promised: the last reading began before the cut.
      expect(freshMs).toBeLessThan(performance.now() - cut)
    })
  })
})
