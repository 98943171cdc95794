// The contract of a store, checked on each of them.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bytesInUse } from '../../test/support/bytes-in-use.ts'
import { databases } from '../../test/support/databases.ts'
import { ManualClock } from '../clock.ts'
import { databaseKind, dialectFor, openDatabase } from '../database/open.ts'
import type { LimitStore, Window } from './store.ts'
import { MemoryLimitStore } from './store-memory.ts'
import { limitConnections, SqlLimitStore } from './store-sql.ts'

const window = (max: number, ms: number, backoffMs: number[] = []): Window => ({ max, ms, backoffMs })
let lastKey = 0
const newKey = () => `test:${Date.now()}:${lastKey++}`

const clock = new ManualClock()

interface Subject {
  readonly store: LimitStore
  readonly close: () => Promise<void>
}

const kinds = [
  {
    name: 'memory',
    skipped: null,
    open: async (): Promise<Subject> => {
      const store = new MemoryLimitStore({ clock })
      return { store, close: () => store.close() }
    },
  },
  ...databases.map(({ name, skipped, create }) => ({
    name: String(name),
    skipped,
    open: async (): Promise<Subject> => {
      const { url, drop } = await create()
      const store = openSql(url)
      const close = async () => {
        await store.close()
        await drop()
      }
      return { store, close }
    },
  })),
]

function openSql(url: string): SqlLimitStore {
  const kind = databaseKind(url) ?? expect.fail()
  return new SqlLimitStore({ db: openDatabase(dialectFor(url, limitConnections)), kind, clock })
}

describe.each(kinds)('counters in $name', ({ skipped, open }) => {
  let store: LimitStore
  let close: Subject['close'] = async () => {}
  beforeAll(async () => {
    if (skipped === null) ({ store, close } = await open())
  })
  afterAll(async () => await close())
  const usable = test.skipIf(skipped !== null)
  const wait = (ms: number) => clock.advance(ms)

  usable('of 64 at once, exactly as many are counted as there is room', async () => {
    const [key, windows] = [newKey(), [window(10, 60_000), window(100, 600_000)]]
    for (let i = 0; i < 3; i++) await store.consume(key, windows)
    const results = await Promise.all(Array.from({ length: 64 }, () => store.consume(key, windows)))
    expect(results.filter(({ waitMs }) => waitMs === 0)).toHaveLength(7)
  })

  usable('there is room after the stated wait, and none before', async () => {
    const [key, windows] = [newKey(), [window(2, 1_200)]]
    await store.consume(key, windows)
    const second = await store.consume(key, windows)
    const third = await store.consume(key, windows)
    expect(second.waitMs).toBe(0)
    expect(third.waitMs).toBeGreaterThan(800)
    expect(third.waitMs).toBeLessThanOrEqual(1_220)
    expect(Math.abs(second.nextMs - third.waitMs)).toBeLessThan(300)
    wait(third.waitMs - 300)
    expect((await store.consume(key, windows)).waitMs).toBeGreaterThan(0)
    wait(300)
    expect((await store.consume(key, windows)).waitMs).toBe(0)
  })

  usable('windows slide: the end of one and the beginning of the next do not add up', async () => {
    const [key, windows] = [newKey(), [window(4, 1_200)]]
    await store.consume(key, windows)
    wait(900)
    for (let i = 0; i < 3; i++) expect((await store.consume(key, windows)).waitMs).toBe(0)
    wait(400)
    expect((await store.consume(key, windows)).waitMs).toBe(0)
    expect((await store.consume(key, windows)).waitMs).toBeGreaterThan(0)
  })

  usable('nothing is counted in any window where one of them is full', async () => {
    const key = newKey()
    const both = [window(1, 600), window(3, 60_000)]
    expect((await store.consume(key, both)).waitMs).toBe(0)
    for (let i = 0; i < 5; i++) expect((await store.consume(key, both)).waitMs).toBeGreaterThan(0)
    wait(650)
    expect((await store.consume(key, both)).waitMs).toBe(0)
    wait(650)
    expect((await store.consume(key, both)).waitMs).toBe(0)
    wait(650)
    expect((await store.consume(key, both)).waitMs).toBeGreaterThan(50_000)
  })

  usable('the wait after each count grows as listed, and the last value repeats', async () => {
    const [key, windows] = [newKey(), [window(100, 60_000, [0, 200, 400])]]
    const nexts: number[] = []
    for (let i = 0; i < 4; i++) {
      const { waitMs, nextMs } = await store.consume(key, windows)
      expect(waitMs).toBe(0)
      nexts.push(nextMs)
      if (nextMs > 100) expect((await store.consume(key, windows)).waitMs).toBeGreaterThan(0)
      wait(nextMs + 5)
    }
    expect(nexts).toEqual([0, 200, 400, 400])
  })

  usable('a refund leaves room for one more, and only one', async () => {
    const [key, windows] = [newKey(), [window(2, 60_000)]]
    await store.consume(key, windows)
    const { at } = await store.consume(key, windows)
    await store.refund(key, windows, at)
    expect((await store.consume(key, windows)).waitMs).toBe(0)
    expect((await store.consume(key, windows)).waitMs).toBeGreaterThan(0)
    await store.refund(newKey(), windows, at)
  })

  usable('several counters are counted together, or none of them', async () => {
    const [wide, narrow] = [newKey(), newKey()]
    const asked = [
      { key: wide, windows: [window(3, 60_000)] },
      { key: narrow, windows: [window(1, 60_000)] },
    ]
    expect(await store.consumeAll(asked)).toMatchObject([{ waitMs: 0 }, { waitMs: 0 }])
    for (let i = 0; i < 5; i++) {
      const [first, second] = await store.consumeAll(asked)
      expect(first?.waitMs).toBe(0)
      expect(second?.waitMs).toBeGreaterThan(50_000)
    }
    expect((await store.consume(wide, [window(3, 60_000)])).waitMs).toBe(0)
    expect((await store.consume(wide, [window(3, 60_000)])).waitMs).toBe(0)
    expect((await store.consume(wide, [window(3, 60_000)])).waitMs).toBeGreaterThan(0)
    expect(await store.consumeAll([])).toEqual([])
  })

  usable('a counter can be read without counting', async () => {
    const [key, windows] = [newKey(), [window(2, 60_000)]]
    for (let i = 0; i < 5; i++) expect(await store.peek(key, windows)).toBe(0)
    await store.consume(key, windows)
    expect(await store.peek(key, windows)).toBe(0)
    const { nextMs } = await store.consume(key, windows)
    const waitMs = await store.peek(key, windows)
    expect(waitMs).toBeGreaterThan(nextMs - 1_000)
    expect(waitMs).toBeLessThanOrEqual(nextMs)
    expect(await store.peek(newKey(), [window(0, 60_000)])).toBe(60_000)
  })

  usable('a counter that is only read must have room, and is not counted in', async () => {
    const [seen, counted] = [newKey(), newKey()]
    const room = [window(2, 60_000)]
    const asked = [
      { key: seen, windows: room, peeks: true },
      { key: counted, windows: [window(5, 60_000)] },
    ]
    for (let i = 0; i < 3; i++)
      expect(await store.consumeAll(asked)).toMatchObject([{ waitMs: 0 }, { waitMs: 0 }])
    for (let i = 0; i < 2; i++) expect(await store.consume(seen, room)).toMatchObject({ waitMs: 0 })
    const [first, second] = await store.consumeAll(asked)
    expect(first?.waitMs).toBeGreaterThan(50_000)
    expect(second?.waitMs).toBe(0)
    for (let i = 0; i < 2; i++)
      expect(await store.consume(counted, [window(5, 60_000)])).toMatchObject({ waitMs: 0 })
    expect((await store.consume(counted, [window(5, 60_000)])).waitMs).toBeGreaterThan(0)
  })

  usable('a counter that was forgotten is empty', async () => {
    const [key, windows] = [newKey(), [window(1, 60_000, [30_000])]]
    await store.consume(key, windows)
    await store.reset(key)
    expect((await store.consume(key, windows)).waitMs).toBe(0)
  })

  usable('a limit of 0 is a wait of the whole window', async () => {
    expect(await store.consume(newKey(), [window(0, 60_000)])).toMatchObject({ waitMs: 60_000 })
  })

  usable('a window with another length than before is a new one', async () => {
    const key = newKey()
    await store.consume(key, [window(1, 60_000)])
    expect((await store.consume(key, [window(1, 90_000)])).waitMs).toBe(0)
  })
})

test('memory holds a limited number of counters; those in use stay', async () => {
  const store = new MemoryLimitStore({ clock: new ManualClock(), max: 1_000 })
  const windows = [window(2, 60_000)]
  await store.consume('victim', windows)
  await store.consume('victim', windows)
  for (let i = 0; i < 10_000; i++) {
    await store.consume(`flood:${i}`, windows)
    if (i % 300 === 0) expect((await store.consume('victim', windows)).waitMs).toBeGreaterThan(0)
    expect(store.size).toBeLessThanOrEqual(1_000)
  }
  expect(store.size).toBeGreaterThan(800)
})

test('memory drops no counter that is kept to make room for others', async () => {
  const store = new MemoryLimitStore({ clock: new ManualClock(), max: 100 })
  const windows = [window(1, 60_000)]
  const victim = { key: 'victim', windows, isKept: true }
  await store.consumeAll([victim])
  for (let i = 0; i < 1_000; i++) await store.consume(`flood:${i}`, windows)
  expect((await store.consumeAll([victim]))[0]?.waitMs).toBeGreaterThan(0)
  await store.reset('victim')
  expect((await store.consumeAll([victim]))[0]?.waitMs).toBe(0)
  for (let i = 0; i < 1_000; i++) await store.consumeAll([{ key: `kept:${i}`, windows, isKept: true }])
  expect(store.size).toBeLessThanOrEqual(200)
})

test('memory drops expired counters before others', async () => {
  const time = new ManualClock()
  const store = new MemoryLimitStore({ clock: time, max: 100 })
  for (let i = 0; i < 50; i++) await store.consume(`long:${i}`, [window(1, 600_000)])
  for (let i = 0; i < 50; i++) await store.consume(`short:${i}`, [window(1, 1_000)])
  time.advance(5_000)
  await store.consume('one more', [window(1, 1_000)])
  expect(store.size).toBe(51)
})

test('memory keeps a counter in fewer than 1,000 bytes, also with every slot in use', async () => {
  const slots = 60
  const windows = [window(1_000, slots * 1_000)]
  const bytesOf = async (counters: number) => {
    const time = new ManualClock()
    const before = bytesInUse()
    const store = new MemoryLimitStore({ clock: time })
    for (let round = 0; round < slots; round++) {
      for (let i = 0; i < counters; i++) await store.consume(`check_password:address:${i}`, windows)
      time.advance(1_000)
    }
    const bytes = bytesInUse() - before
    expect(store.size).toBe(counters)
    return bytes
  }
  // A thousand of them may take more.
  const [few, many] = [await bytesOf(1_000), await bytesOf(3_000)]
  expect((many - few) / 2_000).toBeLessThan(1_000)
})

test('memory counts alike whether or not thousands of other counters are used between two tries', async () => {
  const windows = [window(4, 600_000, [0, 20_000]), window(9, 86_400_000)]
  const waitsWith = async (others: number) => {
    const time = new ManualClock()
    const store = new MemoryLimitStore({ clock: time })
    const useOthers = async () => {
      for (let i = 0; i < others; i++) await store.consume(`other:${i}`, windows)
    }
    const waits: number[] = []
    for (let i = 0; i < 20; i++) {
      const { waitMs, nextMs, at } = await store.consume('person', windows)
      waits.push(waitMs, nextMs)
      await useOthers()
      if (i === 2) await store.refund('person', windows, at)
      await useOthers()
      waits.push(await store.peek('person', windows))
      time.advance(i === 9 ? 700_000 : 15_000)
    }
    return waits
  }
  const alone = await waitsWith(0)
  expect(new Set(alone).size).toBeGreaterThan(5)
  expect(await waitsWith(2_500)).toEqual(alone)
})
