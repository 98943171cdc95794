// A session cache in this process's memory, for SQLite: there it costs little to find out whether another
// process has changed the database.
import { BoundedMap } from '../bounded-map.ts'
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

const maxEntries = 100_000
/** A cached `seenAt` may lag the database by this much. */
const entryLifeMs = 180_000
const evictEveryMs = 1_000
const noSessions: readonly string[] = []

/**
 * Drops all entries as soon as another process has committed anything. It reads the database's version once
 * in each turn of the event loop, so commits of other processes are seen by the requests of the next turn. Of
 * this process's own commits only those matter that mark sessions: a marked entry is dropped, and is not
 * filled again until it is settled.
 */
export class MemorySessionCache implements SessionCache {
  readonly #readVersion: () => number
  readonly #entries = new BoundedCache(maxEntries)
  readonly #uses = new BoundedMap<number>(maxEntries)
  #version = Number.NaN
  #isChecked = false
  #nextEvictionAt = 0
  /** Counts how often entries that were read earlier may have become invalid. */
  #generation = 0
  /**
   * The sessions that the last marking transaction marked. In one process, only one transaction runs at a
   * time; if it fails, the next one releases its marks.
   */
  #marked = noSessions

  /**
   * Until this time nothing is filled, because a transaction that changes many sessions is running. If it
   * fails, fills begin again at this time.
   */
  #allMarkedUntil = 0

  /** @param readVersion returns a number that changes with every commit of another process */
  constructor(readVersion: () => number) {
    this.#readVersion = readVersion
  }

  dropStale(): void {
    if (this.#isChecked) return
    let version = Number.NaN
    try {
      version = this.#readVersion()
    } catch {
      // Without a version no entry is valid. The read of the database that follows reports the error.
    }
    if (version !== this.#version) {
      this.#version = version
      this.#generation++
      this.#entries.clear()
    }
    this.#evictExpired()
    this.#isChecked = true
    setImmediate(this.#endOfTurn)
  }

  session(id: string): CacheEntry {
    return this.#entries.get(id) ?? cacheMiss
  }

  isValid(found: CacheEntry): boolean {
    return found.isCurrent
  }

  beginRead(): ReadTicket {
    this.dropStale()
    return { generation: this.#generation, beganAt: 0, position: 0, history: '' }
  }

  fill({ generation }: ReadTicket, entries: readonly StoredSession[]): void {
    this.dropStale()
    if (generation !== this.#generation || performance.now() < this.#allMarkedUntil) return
    for (const value of entries) {
      const { id } = value.session
      if (!this.#marked.includes(id)) this.#entries.set(id, { value, position: 0, bucket: 0 }, entryLifeMs)
    }
  }

  async mark(which: readonly string[] | 'many'): Promise<Mark> {
    const isMany = which === 'many'
    const sessionIds = isMany ? [] : which
    if (isMany) this.#entries.clear()
    if (isMany || sessionIds.length > 0) {
      this.#generation++
      this.#marked = sessionIds
      this.#allMarkedUntil = isMany ? performance.now() + memoryMarkMs : 0
      for (const id of sessionIds) this.#entries.delete(id)
    }
    const settle = async () => {
      if (isMany) this.#allMarkedUntil = 0
      if (this.#marked === sessionIds) this.#marked = noSessions
    }
    return { confirm: async () => {}, settle }
  }

  /** Other processes of the same file do not see them. */
  async noteUses(uses: ReadonlyMap<string, number>): Promise<void> {
    for (const [id, usedAt] of uses) this.#uses.set(id, usedAt)
  }

  async findUses(ids: readonly string[]): Promise<ReadonlyMap<string, number>> {
    return new Map(
      ids.flatMap((id) => {
        const usedAt = this.#uses.get(id)
        return usedAt === undefined ? [] : [[id, usedAt] as const]
      }),
    )
  }

  isReachable(): boolean {
    return true
  }

  state(): 'ok' {
    return 'ok'
  }

  async close(): Promise<void> {}

  /**
   * Not in each turn: a Map keeps deleted entries for a while, and its iterator passes over them one by one.
   */
  #evictExpired(): void {
    const now = performance.now()
    if (now < this.#nextEvictionAt) return
    this.#nextEvictionAt = now + evictEveryMs
    this.#entries.evictExpired()
  }

  readonly #endOfTurn = (): void => {
    this.#isChecked = false
  }
}
