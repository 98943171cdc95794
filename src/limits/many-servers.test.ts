// Several servers count in one database, concurrently and in random order, and some crash. They allow no more
// attempts than one counter in memory, and, without a crash, no fewer.
import { describe, expect, test } from 'vitest'
import { databases } from '../../test/support/databases.ts'
import { Cut, faults, type Watcher, watchDialect } from '../../test/support/step-faults.ts'
import { ManualClock } from '../clock.ts'
import { databaseKind, dialectFor, openDatabase } from '../database/open.ts'
import type { ConsumeResult, CounterRequest, Window } from './store.ts'
import { MemoryLimitStore } from './store-memory.ts'
import { limitConnections, SqlLimitStore } from './store-sql.ts'

/** The windows of the counters: one counter is shared by all servers, the others by few. */
const windows: readonly Window[] = [
  { max: 6, ms: 60_000, backoffMs: [] },
  { max: 15, ms: 600_000, backoffMs: [0, 0, 5_000] },
]
const sharedWindows: readonly Window[] = [{ max: 25, ms: 300_000, backoffMs: [] }]
const serverCount = 3
const rounds = 60

/** Random numbers (mulberry32): the same history for the same seed. */
function randomOf(seed: number) {
  let state = seed
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
  return { below: (n: number) => Math.floor(next() * n) }
}

interface Server {
  readonly store: SqlLimitStore
  readonly cut: Cut
}

function openServer(url: string, clock: ManualClock): Server {
  const cut = new Cut()
  const watch: Watcher = async (step, work) => {
    try {
      return await cut.watch(step, work)
    } catch (error) {
      // The connections of a crashed process are closed, and its locks are released.
      if (cut.reached !== null) setImmediate(() => void db.destroy())
      throw error
    }
  }
  const db = openDatabase(watchDialect(dialectFor(url, limitConnections), watch))
  return { store: new SqlLimitStore({ db, kind: databaseKind(url) ?? expect.fail(), clock }), cut }
}

/** The times of the allowed attempts, by key. */
class History {
  readonly #allowed = new Map<string, number[]>()

  add(counters: readonly CounterRequest[], at: number): void {
    for (const { key } of counters) this.#allowed.set(key, [...(this.#allowed.get(key) ?? []), at])
  }

  remove(counters: readonly CounterRequest[], at: number): void {
    for (const { key } of counters)
      this.#allowed.get(key)?.splice(this.#allowed.get(key)?.indexOf(at) ?? 0, 1)
  }

  /** The most attempts that were allowed in any period of this length. */
  most(key: string, ms: number): number {
    const times = this.#allowed.get(key) ?? []
    return Math.max(0, ...times.map((end) => times.filter((at) => at > end - ms && at <= end).length))
  }
}

const isAllowed = (results: readonly ConsumeResult[]) => results.every(({ waitMs }) => waitMs === 0)

/** A random history of attempts, refunds, passing time, and crashes if they are enabled. */
async function runHistory(url: string, seed: number, mayCrash: boolean) {
  const random = randomOf(seed)
  const clock = new ManualClock()
  const memory = new MemoryLimitStore({ clock })
  const servers = Array.from({ length: serverCount }, () => openServer(url, clock))
  const history = new History()
  const given: { readonly counters: readonly CounterRequest[]; readonly at: number }[] = []
  const countersOf = (key: string): CounterRequest[] => [
    { key: `${seed}:${key}`, windows },
    { key: `${seed}:shared`, windows: sharedWindows },
  ]
  let allowedAtAll = 0
  let died = 0
  for (let round = 0; round < rounds; round++) {
    clock.advance(random.below(2) === 0 ? random.below(3_000) : random.below(120_000))
    const fault = mayCrash && random.below(3) === 0 ? faults[random.below(faults.length)] : undefined
    const victim = servers[random.below(serverCount)] ?? expect.fail()
    if (fault) victim.cut.arm(1 + random.below(6), fault)
    const counters = countersOf(`k${random.below(3)}`)
    const tries = 1 + random.below(8)
    const outcomes = await Promise.allSettled(
      Array.from({ length: tries }, () => servers[random.below(serverCount)]?.store.consumeAll(counters)),
    )
    const answers = outcomes.flatMap((one) => (one.status === 'fulfilled' && one.value ? [one.value] : []))
    const allowed = answers.filter(isAllowed)
    allowedAtAll += allowed.length
    for (const _ of allowed) {
      history.add(counters, clock.now())
      given.push({ counters, at: clock.now() })
    }
    if (!mayCrash) {
      let inMemory = 0
      for (let i = 0; i < tries; i++) if (isAllowed(await memory.consumeAll(counters))) inMemory++
      expect(allowed.length, `seed ${seed}, round ${round}`).toBe(inMemory)
    }
    for (const [i, { store, cut }] of servers.entries()) {
      if (cut.reached === null) continue
      died++
      await store.close()
      servers[i] = openServer(url, clock)
    }
    // A correct attempt is refunded; a server that crashes before that leaves one count too many.
    const right = random.below(3) === 0 ? given.splice(random.below(given.length), 1)[0] : undefined
    if (right) {
      history.remove(right.counters, right.at)
      for (const { key, windows: own } of right.counters) {
        const { store } = servers[random.below(serverCount)] ?? expect.fail()
        await store.refund(key, own, right.at).catch((error) => {
          if (!mayCrash) throw error
        })
        await memory.refund(key, own, right.at)
      }
    }
  }
  for (const { store } of servers) await store.close()
  return { history, allowedAtAll, died }
}

describe.each(databases)('servers that count in $name', ({ skipped, create }) => {
  test.skipIf(skipped !== null).each([
    ['without a crash', false],
    ['and crash at every step', true],
  ] as const)('%s: random histories stay within the table', async (_when, mayCrash) => {
    const { url, drop } = await create()
    try {
      let deaths = 0
      for (const seed of [1, 2].map((n) => (Date.now() % 100_000) * 10 + n)) {
        const { history, allowedAtAll, died } = await runHistory(url, seed, mayCrash)
        deaths += died
        expect(allowedAtAll).toBeGreaterThan(20)
        for (const { max, ms } of windows)
          for (const key of ['k0', 'k1', 'k2'])
            expect(history.most(`${seed}:${key}`, ms), `seed ${seed}`).toBeLessThanOrEqual(max)
        for (const { max, ms } of sharedWindows)
          expect(history.most(`${seed}:shared`, ms), `seed ${seed}`).toBeLessThanOrEqual(max)
      }
      if (mayCrash) expect(deaths).toBeGreaterThan(5)
    } finally {
      await drop()
    }
  })

  test.skipIf(skipped !== null)(
    'with different numbers, together never allow more than the largest',
    async () => {
      const { url, drop } = await create()
      try {
        const clock = new ManualClock()
        const [small, large] = [openServer(url, clock).store, openServer(url, clock).store]
        const allowed = async (store: SqlLimitStore, max: number, tries: number) => {
          let count = 0
          for (let i = 0; i < tries; i++) {
            const { waitMs } = await store.consume('key', [{ max, ms: 60_000, backoffMs: [] }])
            if (waitMs === 0) count++
          }
          return count
        }
        expect(await allowed(small, 5, 3)).toBe(3)
        expect(await allowed(large, 8, 3)).toBe(3)
        // Six are more than it allows by itself.
        expect(await allowed(small, 5, 3)).toBe(0)
        expect(await allowed(large, 8, 9)).toBe(2)
        clock.advance(62_000)
        expect(await allowed(large, 8, 4)).toBe(4)
        expect(await allowed(small, 5, 9)).toBe(1)
        await Promise.all([small.close(), large.close()])
      } finally {
        await drop()
      }
    },
  )
})
