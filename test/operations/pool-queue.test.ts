// The queue for a database connection: bounded, and no class of callers takes the share of another one.
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { NoConnection } from '../../src/database/failures.ts'
import { dialectFor, openDatabase } from '../../src/database/open.ts'
import type { Database } from '../../src/database/schema.ts'
import { inTransaction } from '../../src/database/transaction.ts'
import { noOrigin } from '../../src/events/events.ts'
import { inClass, type QueueClass, queueClasses } from '../../src/queue-order.ts'
import { addPerson, person, type RunningApp, startApp } from '../support/app.ts'
import { keepBusy } from '../support/busy-pool.ts'
import { databases, redisUrl } from '../support/databases.ts'
import { phone } from '../support/in-process-server.ts'

const closers: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

const usable = databases.filter(({ name }) => name !== 'sqlite')

describe.each(usable)('the queue for a connection to $name', ({ create, skipped }) => {
  const whereUsable = test.skipIf(skipped !== null)

  async function open(size: number): Promise<Database> {
    const { url, drop } = await create()
    closers.push(drop)
    const db = openDatabase(dialectFor(url, size))
    closers.push(() => db.destroy())
    return db
  }

  whereUsable('has a place for 50 for each connection; the next one is refused at once', async () => {
    const db = await open(2)
    const letGo = await keepBusy(db, 2)
    const ask = () =>
      sql`select 1`.execute(db).then(
        () => 'done',
        (error: unknown) => error,
      )
    const waiting = Array.from({ length: 100 }, ask)
    const began = performance.now()
    expect(await ask()).toBeInstanceOf(NoConnection)
    expect(await Promise.race([...waiting, 'they wait'])).toBe('they wait')
    expect(performance.now() - began).toBeLessThan(1_000)
    await letGo()
    expect(await Promise.all(waiting)).toEqual(Array(100).fill('done'))
    // Every place is free again, also after statements that failed.
    for (let i = 0; i < 5; i++)
      await sql
        .raw('select nothing')
        .execute(db)
        .catch(() => {})
    expect(await Promise.all(Array.from({ length: 100 }, ask))).toEqual(Array(100).fill('done'))
  })

  whereUsable('is left by work that waited for two seconds', async () => {
    const db = await open(1)
    const letGo = await keepBusy(db, 1)
    const ask = () =>
      sql`select 1`.execute(db).then(
        () => 'done',
        (error: unknown) => error,
      )
    for (const answer of await Promise.all(Array.from({ length: 50 }, ask)))
      expect(answer).toBeInstanceOf(NoConnection)
    const later = Array.from({ length: 50 }, ask)
    await letGo()
    expect(await Promise.all(later)).toEqual(Array(50).fill('done'))
  })

  whereUsable('gives each class its share of the turns, and lends what one does not need', async () => {
    const db = await open(1)
    const letGo = await keepBusy(db, 1)
    const order: QueueClass[] = []
    const read = (queueClass: QueueClass) =>
      inClass(queueClass, () => sql`select 1`.execute(db)).then(() => order.push(queueClass))
    const work = queueClasses
      .toReversed()
      .flatMap((queueClass) => Array.from({ length: 12 }, () => queueClass))
    const all = work.map(read)
    await letGo()
    await Promise.all(all)
    const count = (part: readonly QueueClass[]) =>
      queueClasses.map((one) => part.filter((c) => c === one).length)
    expect(count(order.slice(0, 12))).toEqual([6, 3, 2, 1])
    expect(count(order.slice(0, 24))).toEqual([12, 6, 4, 2])
    expect(count(order)).toEqual([12, 12, 12, 12])
  })

  whereUsable('a full queue refuses the newest of the class that exceeds its share the most', async () => {
    const db = await open(1)
    const letGo = await keepBusy(db, 1)
    const ends: string[] = []
    const note = (name: string) =>
      [() => void ends.push(name), () => void ends.push(`${name} refused`)] as const
    const read = (queueClass: QueueClass, i: number) =>
      inClass(queueClass, () => sql`select 1`.execute(db)).then(...note(`${queueClass} ${i}`))
    const write = (queueClass: QueueClass) =>
      inClass(queueClass, () => inTransaction(db, (tx) => sql`select 1`.execute(tx))).then(
        ...note(`${queueClass} transaction`),
      )
    const work = [
      ...Array.from({ length: 48 }, (_, i) => read('counted', i)),
      read('reading', 0),
      read('reading', 1),
      // Full. These have not had their share yet, so the flood makes room.
      read('known', 0),
      read('changing', 0),
      read('reading', 2),
      // The flood itself gets no more; a transaction takes the place of a read of its own class.
      read('counted', 48),
      write('counted'),
    ]
    await letGo()
    await Promise.all(work)
    expect(ends.filter((end) => end.endsWith('refused')).toSorted()).toEqual([
      'counted 44 refused',
      'counted 45 refused',
      'counted 46 refused',
      'counted 47 refused',
      'counted 48 refused',
    ])
    expect(ends).toHaveLength(55)
  })

  whereUsable('gives every class a turn while transactions wait all the time', async () => {
    const db = await open(1)
    let isOver = false
    const keepWriting = async () => {
      while (!isOver) await inTransaction(db, (tx) => sql`select 1`.execute(tx))
    }
    const writers = Array.from({ length: 20 }, keepWriting)
    const read = (queueClass: QueueClass) =>
      inClass(queueClass, () => sql`select 1`.execute(db)).then(
        () => 'done',
        (error: unknown) => error,
      )
    const answers = await Promise.all(queueClasses.map(read))
    isOver = true
    await Promise.all(writers)
    expect(answers).toEqual(queueClasses.map(() => 'done'))
  })

  async function start(redis: string | null): Promise<RunningApp> {
    const { url, drop } = await create()
    closers.push(drop)
    const environment = { HUFU_DATABASE_POOL: '2', ...(redis !== null && { HUFU_REDIS_URL: redis }) }
    const app = await startApp(url, { environment })
    closers.push(() => app.close())
    await addPerson(app.services)
    return app
  }

  async function tokenOf({ services }: RunningApp): Promise<string> {
    const credential = { phoneNumber: person.phone, password: person.password }
    const context = { device: phone, origin: noOrigin }
    return (await services.signIn.by('password', context, credential)).token
  }

  const redis = redisUrl()
  const caches = [
    { cache: null, name: 'without a cache' },
    ...(redis === null ? [] : [{ cache: redis, name: 'with Redis' }]),
  ]
  test.skipIf(skipped !== null).each(caches)(
    'a flood of invented tokens takes neither a check, a sign-out nor /readyz its place, $name',
    async ({ cache }) => {
      const app = await start(cache)
      const token = await tokenOf(app)
      const check = (one: string) =>
        fetch(`${app.url}/v1/session`, { headers: { authorization: `Bearer ${one}` } })
      expect((await check(token)).status).toBe(200)
      const letGo = await keepBusy(app.services.db, 2)
      closers.push(letGo)
      let answered = 0
      const flood = Array.from({ length: 600 }, async (_, i) => {
        const answer = await check(`hf_${String(i).padStart(65, 'A')}`)
        answered++
        const { code } = (await answer.json()) as { code: string }
        return { status: answer.status, code, retryAfter: answer.headers.get('retry-after') }
      })
      await vi.waitFor(() => expect(answered).toBeGreaterThanOrEqual(480), 10_000)
      const known = check(token)
      if (cache !== null) expect((await known).status).toBe(200)
      const signOut = fetch(`${app.url}/v1/session`, {
        method: 'DELETE',
        headers: { authorization: `Bearer ${token}` },
      })
      const ready = fetch(`${app.url}/readyz`)
      await sleep(100)
      await letGo()
      expect((await known).status).toBe(200)
      expect((await signOut).status).toBe(204)
      const answers = await Promise.all(flood)
      for (const { status, code, retryAfter } of answers)
        expect([
          [503, 'unavailable', '1'],
          [401, 'token_unknown', null],
        ]).toContainEqual([status, code, retryAfter])
      expect((await check(token)).status).toBe(401)
      expect((await ready).status).toBe(200)
    },
  )
})
