// Copies in this process's own memory, for a database that can tell cheaply whether another process has changed anything in it:
// SQLite.
import { memoryMarkMs } from '../timing.ts'
import { BoundedCache } from './bounded-cache.ts'
import {
  type CacheEntry,
  cacheMiss,
  type Mark,
  type ReadTicket,
  type SessionCache,
  type StoredSession,
} from './session-cache.ts'

const maxCopies = 100_000
/** Of whom was seen when, a copy may be so old. */
const copyLifeMs = 180_000
const lookEveryMs = 1_000
const noSessions: readonly string[] = []

/**
 * Everything is forgotten as soon as another process has committed anything. The database is asked once in each turn of the
 * event loop, so what another process commits is seen with the requests of the next turn. Of our own commits only those
 * matter that mark sessions: what is marked is forgotten, and is not filled until it is settled.
 */
export class MemorySessionCache implements SessionCache {
  readonly #readVersion: () => number
  readonly #kept = new BoundedCache(maxCopies)
  #version = Number.NaN
  #isChecked = false
  #lookAgainAt = 0
  /** Counts how often what was read before may not be so any more. */
  #generation = 0
  /** Of the last transaction that marked any: of one process, only one runs at a time. If it failed, they are released by the next one. */
  #marked = noSessions

  /** @param readVersion a number that is another one after every commit of another process */
  /** Until then nothing is filled: a transaction that changes many sessions is under way. If it failed, until it would have. */
  #allMarkedUntil = 0

  constructor(readVersion: () => number) {
    this.#readVersion = readVersion
  }

  refresh(): void {
    if (this.#isChecked) return
    let version = Number.NaN
    try {
      version = this.#readVersion()
    } catch {
      // Without an answer nothing is known; the read of the truth that follows says what is wrong.
    }
    if (version !== this.#version) {
      this.#version = version
      this.#generation++
      this.#kept.forgetAll()
    }
    this.#forgetOld()
    this.#isChecked = true
    setImmediate(this.#endOfTurn)
  }

  session(id: string): CacheEntry {
    return this.#kept.get(id) ?? cacheMiss
  }

  isValid(found: CacheEntry): boolean {
    return found.isCurrent
  }

  beginRead(): ReadTicket {
    this.refresh()
    return { generation: this.#generation, beganAt: 0, position: 0 }
  }

  fill({ generation }: ReadTicket, cache: readonly StoredSession[]): void {
    this.refresh()
    if (generation !== this.#generation || performance.now() < this.#allMarkedUntil) return
    for (const value of cache) {
      const { id } = value.session
      if (!this.#marked.includes(id)) this.#kept.keep(id, { value, position: 0, bucket: 0 }, copyLifeMs)
    }
  }

  async mark(which: readonly string[] | 'many'): Promise<Mark> {
    const isMany = which === 'many'
    const sessionIds = isMany ? [] : which
    if (isMany) this.#kept.forgetAll()
    if (isMany || sessionIds.length > 0) {
      this.#generation++
      this.#marked = sessionIds
      this.#allMarkedUntil = isMany ? performance.now() + memoryMarkMs : 0
      for (const id of sessionIds) this.#kept.forget(id)
    }
    return { id: 'none', sessionIds, isMany }
  }

  async confirm(): Promise<void> {}

  async settle({ sessionIds, isMany }: Mark): Promise<void> {
    if (isMany) this.#allMarkedUntil = 0
    if (this.#marked === sessionIds) this.#marked = noSessions
  }

  isReachable(): boolean {
    return true
  }

  state(): 'ok' {
    return 'ok'
  }

  async close(): Promise<void> {}

  /** Not in each turn: a map remembers for a while what was removed from it, and passes it over one by one. */
  #forgetOld(): void {
    const now = performance.now()
    if (now < this.#lookAgainAt) return
    this.#lookAgainAt = now + lookEveryMs
    this.#kept.forgetOld()
  }

  readonly #endOfTurn = (): void => {
    this.#isChecked = false
  }
}
