// Caches for one second which counters are full, so that a flood of refused requests needs no queries.
import { BoundedMap } from '../bounded-map.ts'
import type { Clock } from '../clock.ts'
import type { ConsumeResult, CounterRequest } from './store.ts'

/** How long a flooded counter may count as full after another process has emptied it. */
const rememberMs = 1_000
/** The first refusals in this time come from the database, so that a person's retries are not affected. */
const askedRefusals = 5
const maxKeys = 10_000

interface Refusal {
  readonly since: number
  readonly until: number
  count: number
}

export class RefusalCache {
  readonly #clock: Clock
  readonly #byKey = new BoundedMap<Refusal>(maxKeys)

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The refusal where one of the counters is known to be full, or null. */
  find(counters: readonly CounterRequest[]): readonly ConsumeResult[] | null {
    if (this.#byKey.size === 0) return null
    const now = this.#clock.now()
    const waits = counters.map(({ key }) => this.#waitOf(key, now))
    if (!waits.some((waitMs) => waitMs > 0)) return null
    return waits.map((waitMs) => ({ waitMs, nextMs: waitMs, at: now }))
  }

  /** Notes the refusals in the database's answer. */
  note(counters: readonly CounterRequest[], results: readonly ConsumeResult[]): void {
    const now = this.#clock.now()
    counters.forEach(({ key }, i) => {
      const waitMs = results[i]?.waitMs ?? 0
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

  delete(key: string): void {
    this.#byKey.delete(key)
  }

  #waitOf(key: string, now: number): number {
    const known = this.#byKey.get(key)
    if (!known || known.count < askedRefusals) return 0
    if (now >= known.since + rememberMs) return 0
    return Math.max(0, known.until - now)
  }
}
