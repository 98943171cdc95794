// Caches for one second which buckets are full, so that a flood of refused requests needs no queries.
import { BoundedMap } from '../bounded-map.ts'
import type { Clock } from '../clock.ts'
import type { AskedBucket, Spent } from './store.ts'

/** How long a flooded bucket may count as full after another process has emptied it. */
const rememberMs = 1_000
/** The first refusals in this time come from the database, so that a person's retries are not affected. */
const askedRefusals = 5
const maxKeys = 10_000

interface Refusal {
  readonly since: number
  readonly until: number
  count: number
}

export class Refusals {
  readonly #clock: Clock
  readonly #byKey = new BoundedMap<Refusal>(maxKeys)

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The refusal where one of the buckets is known to be full, or null. */
  find(buckets: readonly AskedBucket[]): readonly Spent[] | null {
    if (this.#byKey.size === 0) return null
    const now = this.#clock.now()
    const waits = buckets.map(({ key }) => this.#waitOf(key, now))
    if (!waits.some((waitMs) => waitMs > 0)) return null
    return waits.map((waitMs) => ({ waitMs, nextMs: waitMs, at: now }))
  }

  /** Notes the refusals in the database's answer. */
  note(buckets: readonly AskedBucket[], spent: readonly Spent[]): void {
    const now = this.#clock.now()
    buckets.forEach(({ key }, i) => {
      const waitMs = spent[i]?.waitMs ?? 0
      if (waitMs <= 0) return
      const known = this.#byKey.get(key)
      const isLately = known !== undefined && now < known.since + rememberMs
      this.#byKey.set(key, {
        since: isLately ? known.since : now,
        until: now + waitMs,
        count: isLately ? known.count + 1 : 1,
      })
    })
  }

  forget(key: string): void {
    this.#byKey.delete(key)
  }

  #waitOf(key: string, now: number): number {
    const known = this.#byKey.get(key)
    if (!known || known.count < askedRefusals) return 0
    if (now >= known.since + rememberMs) return 0
    return Math.max(0, known.until - now)
  }
}
