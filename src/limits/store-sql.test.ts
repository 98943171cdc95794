// Counters in SQL under a flood, without a database, and with a counter that another process empties.
import { CompiledQuery } from 'kysely'
import { afterEach, describe, expect, test } from 'vitest'
import { databases } from '../../test/support/databases.ts'
import { watchDialect } from '../../test/support/step-faults.ts'
import { ManualClock, systemClock } from '../clock.ts'
import { databaseKind, dialectFor, openDatabase } from '../database/open.ts'
import { BatchQueue } from './batch-queue.ts'
import { deleteExpiredCounters } from './counter-rows.ts'
import type { Window } from './store.ts'
import { limitConnections, SqlLimitStore } from './store-sql.ts'

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

const window = (max: number, ms = 60_000): Window => ({ max, ms, backoffMs: [] })

function open(url: string, clock: ManualClock | null = new ManualClock()) {
  const asked: string[] = []
  let held: Promise<void> | null = null
  const dialect = watchDialect(dialectFor(url, limitConnections), async (step, work) => {
    asked.push(step)
    if (held !== null) await held
    return await work()
  })
  const db = openDatabase(dialect)
  const kind = databaseKind(url) ?? expect.fail()
  const store = new SqlLimitStore({ db, kind, ...(clock && { clock }) })
  closers.push(() => store.close())
  return {
    db,
    store,
    asked,
    /** Holds all statements until the returned function is called. */
    hold() {
      const { promise, resolve } = Promise.withResolvers<void>()
      held = promise
      return () => {
        held = null
        resolve()
      }
    },
  }
}

describe.each(databases)('counters in $name', ({ skipped, create }) => {
  const usable = test.skipIf(skipped !== null)
  const fresh = async () => {
    const { url, drop } = await create()
    closers.push(drop)
    return url
  }

  usable('repeated refusals of a caller need no query', async () => {
    const clock = new ManualClock()
    const { store, asked } = open(await fresh(), clock)
    await store.consume('a', [window(1)])
    for (let i = 0; i < 5; i++) await store.consume('a', [window(1)])
    asked.length = 0
    const flood = await Promise.all(Array.from({ length: 5_000 }, () => store.consume('a', [window(1)])))
    for (const { waitMs } of flood) expect(waitMs).toBeGreaterThan(50_000)
    expect(asked).toEqual([])
    // The refusal is cached for a second only: another process may have emptied the counter.
    clock.advance(1_000)
    await store.consume('a', [window(1)])
    expect(asked).not.toEqual([])
  })

  usable(
    'a caller that was refused a few times is allowed as soon as another process has emptied the counter',
    async () => {
      const url = await fresh()
      const [one, other] = [open(url), open(url)]
      await one.store.consume('a', [window(1)])
      for (let i = 0; i < 3; i++)
        expect((await one.store.consume('a', [window(1)])).waitMs).toBeGreaterThan(0)
      await other.store.reset('a')
      expect((await one.store.consume('a', [window(1)])).waitMs).toBe(0)
    },
  )

  usable('with a full queue a caller is refused at once, and a caller with a proof has a place', async () => {
    const { store, hold } = open(await fresh())
    const letGo = hold()
    const outcomes: string[] = []
    const flood = Array.from({ length: 1_000 }, (_, i) =>
      store.consume(`flood:${i}`, [window(5)]).then(
        () => outcomes.push('counted'),
        ({ code }) => outcomes.push(code),
      ),
    )
    // From here on, work waits in the queue.
    await new Promise(setImmediate)
    await new Promise(setImmediate)
    const refusedAtOnce = outcomes.filter((outcome) => outcome === 'overloaded').length
    expect(refusedAtOnce).toBeGreaterThan(600)
    const person = store.consumeAll([{ key: 'person', windows: [window(5)] }], { reserved: true })
    letGo()
    expect(await person).toMatchObject([{ waitMs: 0 }])
    await Promise.all(flood)
    expect(outcomes.filter((outcome) => outcome === 'counted')).toHaveLength(1_000 - refusedAtOnce)
  })

  usable('waiting attempts are counted in one transaction, also in one counter', async () => {
    const { store, asked } = open(await fresh())
    const results = await Promise.all(Array.from({ length: 60 }, () => store.consume('shared', [window(50)])))
    expect(results.filter(({ waitMs }) => waitMs === 0)).toHaveLength(50)
    expect(asked.filter((step) => step === 'sql commit')).toHaveLength(1)
  })

  usable('a refused attempt writes nothing, and a refunded one leaves no row', async () => {
    const { db, store, asked } = open(await fresh())
    const { at } = await store.consume('a', [window(1)])
    asked.length = 0
    await store.consume('a', [window(1)])
    expect(asked.filter((step) => /insert|update|delete/.test(step.replace('for update', '')))).toEqual([])
    await store.refund('a', [window(1)], at)
    expect(await db.selectFrom('hufu_limit_counters').selectAll().execute()).toEqual([])
  })

  usable('an invalid row refuses no caller', async () => {
    const { db, store } = open(await fresh())
    for (const [name, counts] of Object.entries({ a: '', b: 'x|y:z|60000:1', c: '5|60000:x:1=2,3' })) {
      await db.insertInto('hufu_limit_counters').values({ name, counts, expires_at: 1 }).execute()
      expect((await store.consume(name, [window(1)])).waitMs).toBe(0)
      expect((await store.consume(name, [window(1)])).waitMs).toBeGreaterThan(0)
    }
  })

  usable('expired rows are deleted, a limited number at a time', async () => {
    const clock = new ManualClock()
    const { db, store } = open(await fresh(), clock)
    for (let i = 0; i < 7; i++) await store.consume(`short:${i}`, [window(1)])
    await store.consume('long', [window(1, 86_400_000)])
    expect(await deleteExpiredCounters(db, clock.now(), 5)).toBe(0)
    clock.advance(2 * 3_600_000)
    expect(await deleteExpiredCounters(db, clock.now(), 5)).toBe(5)
    expect(await deleteExpiredCounters(db, clock.now(), 5)).toBe(2)
    const left = await db.selectFrom('hufu_limit_counters').select('name').execute()
    expect(left).toEqual([{ name: 'long' }])
  })

  usable('time is read from the database', async () => {
    const { store } = open(await fresh(), null)
    const { at } = await store.consume('a', [window(1)])
    expect(Math.abs(at - systemClock.now())).toBeLessThan(5_000)
  })
})

test('without a database nothing is allowed, and closing succeeds', async () => {
  const { store } = open('postgres://hufu@127.0.0.1:1/hufu')
  const refusal = { code: 'unavailable', facts: { retryAfterSeconds: 1 } }
  await expect(store.consume('a', [window(5)])).rejects.toMatchObject(refusal)
  await expect(store.reset('a')).rejects.toMatchObject(refusal)
})

test('work that has waited for too long is refused, and an earlier count is still settled', async () => {
  const done: string[] = []
  const queue = new BatchQueue<string, string>({
    async run(works) {
      done.push(...works)
      return works
    },
    answerWithoutRun: () => null,
    weightOf: () => 1,
    parallel: 1,
    maxWeight: 10,
    maxWaiting: { open: 10, reserved: 10 },
    maxWaitMs: -1,
  })
  const running = queue.add('settled first', 'settling')
  const [late, settled] = [queue.add('late', 'open'), queue.add('settled', 'settling')]
  await expect(late).rejects.toMatchObject({ code: 'overloaded' })
  expect(await Promise.all([running, settled])).toEqual(['settled first', 'settled'])
  await queue.idle()
  expect(done).toEqual(['settled first', 'settled'])
})

test('SQLite does not wait for the disk when it counts', async () => {
  const { url, drop } = (await databases[0]?.create()) ?? expect.fail()
  closers.push(drop)
  const { db, store } = open(url)
  await store.consume('a', [window(1)])
  const { rows } = await db.executeQuery(CompiledQuery.raw('pragma synchronous'))
  expect(rows).toEqual([{ synchronous: 1 }])
})
