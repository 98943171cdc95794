// Sliding life: notes that sessions were used, in batches and off the request's path. The session cache
// learns of a use within a minute, the database seldom: each session that is in use costs it a write.

import type { OnBackgroundError } from '../background-errors.ts'
import { BoundedMap } from '../bounded-map.ts'
import type { Clock } from '../clock.ts'
import type { Database } from '../database/schema.ts'
import { inClass } from '../queue-order.ts'
import type { SessionCache } from '../session-cache/session-cache.ts'
import { lateUseMs, noteUsesEveryMs } from '../timing.ts'
import { extendSessions, updateSeen } from './last-seen-rows.ts'
import type { Session } from './session.ts'

const minuteMs = 60_000
const dayMs = 86_400_000
const batchSize = 500
/** The most sessions for which the last note is kept. Of others, a note comes sooner, and changes no row. */
const maxNoted = 100_000

/** How long sessions live: `lifeMs` after their last use, `maxLifeMs` after their start; null is for ever. */
export class SessionLifetime {
  readonly lifeMs: number | null
  readonly maxLifeMs: number | null

  constructor(lifeMs: number | null, maxLifeMs: number | null) {
    this.lifeMs = lifeMs
    this.maxLifeMs = maxLifeMs
  }

  /** When a session that began at `createdAt` ends if it is used at `now` and never again; null: never. */
  endFrom(createdAt: number, now: number): number | null {
    const afterUse = this.lifeMs === null ? null : now + this.lifeMs
    const latest = this.maxLifeMs === null ? null : createdAt + this.maxLifeMs
    return afterUse === null || latest === null ? (afterUse ?? latest) : Math.min(afterUse, latest)
  }

  /** How far the stored expiry may lag behind the real one. */
  get extendEveryMs(): number {
    return Math.min(dayMs, (this.lifeMs ?? dayMs) / 2)
  }

  /**
   * From when on the stored expiry lags so far behind a use that it is written again: about once a day.
   * @returns milliseconds since 1970; -Infinity: now, Infinity: never
   */
  extensionDueAt({ createdAt, expiresAt }: Session): number {
    if (expiresAt === null) return Infinity
    const { lifeMs, maxLifeMs, extendEveryMs } = this
    if (maxLifeMs !== null && createdAt + maxLifeMs - expiresAt < extendEveryMs) return Infinity
    return lifeMs === null ? -Infinity : expiresAt + extendEveryMs - lifeMs
  }
}

export interface LastSeenOptions {
  readonly db: Database
  readonly clock: Clock
  readonly life: SessionLifetime
  readonly cache: Pick<SessionCache, 'noteUses'>
  /** The database gets the use of a session at most once in this time: at least a minute. */
  readonly writeEveryMs: number
  /** Called with the error that prevented notes from being written. */
  readonly onBackgroundError: OnBackgroundError
}

interface Note {
  readonly usedAt: number
  readonly extend: boolean
}

export class LastSeenWriter {
  readonly #db: Database
  readonly #clock: Clock
  readonly #life: SessionLifetime
  readonly #cache: Pick<SessionCache, 'noteUses'>
  readonly #writeEveryMs: number
  readonly #onBackgroundError: OnBackgroundError
  /** What the database gets with the next flush. */
  #pending = new Map<string, Note>()
  /** What the cache gets with the next flush. */
  #uses = new Map<string, number>()
  /** When a use was last noted at all, and when for the database. */
  readonly #notedAt = new BoundedMap<number>(maxNoted)
  readonly #writtenAt = new BoundedMap<number>(maxNoted)
  #timer: NodeJS.Timeout | null = null

  constructor({ db, clock, life, cache, writeEveryMs, onBackgroundError }: LastSeenOptions) {
    this.#db = db
    this.#clock = clock
    this.#life = life
    this.#cache = cache
    this.#writeEveryMs = writeEveryMs
    this.#onBackgroundError = onBackgroundError
  }

  /**
   * Notes that a live session was used at `now`. Waits only for a session that would expire before the next
   * batch.
   */
  seen(session: Session, now: number): Promise<void> | undefined {
    const extend = now >= this.#life.extensionDueAt(session)
    if (!extend && now - session.seenAt < minuteMs) return undefined
    const { id } = session
    const notedAt = this.#notedAt.get(id)
    if (notedAt !== undefined && now - notedAt < minuteMs) return undefined
    this.#notedAt.set(id, now)
    this.#uses.set(id, now)
    const isWritten = now - Math.max(session.seenAt, this.#writtenAt.get(id) ?? 0) < this.#writeEveryMs
    if (extend || !isWritten) {
      this.#writtenAt.set(id, now)
      this.#pending.set(id, { usedAt: now, extend })
    }
    const expiresSoon = extend && session.expiresAt !== null && session.expiresAt - now < minuteMs
    if (expiresSoon) return this.flush()
    this.#timer ??= setTimeout(() => void this.flush(), noteUsesEveryMs).unref()
    return undefined
  }

  /**
   * Until when a use of this session, which was used just now, need not be noted: milliseconds since 1970.
   */
  recheckAt(session: Session): number {
    const again = Math.min(session.seenAt + minuteMs, this.#life.extensionDueAt(session))
    return Math.max(again, (this.#notedAt.get(session.id) ?? -Infinity) + minuteMs)
  }

  /** Writes the notes now. Never throws: what could not be written is noted again at the next use. */
  async flush(): Promise<void> {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    const uses = this.#uses
    this.#uses = new Map()
    const notes = [...this.#pending].sort(([a], [b]) => (a < b ? -1 : 1))
    this.#pending = new Map()
    const noted = uses.size > 0 ? this.#cache.noteUses(uses) : null
    for (let i = 0; i < notes.length; i += batchSize) {
      const batch = notes.slice(i, i + batchSize)
      // Work of the server itself: the request that started the timer may be in a less important class.
      await inClass('known', () => this.#write(batch)).catch((error) => {
        this.#onBackgroundError('note_session_use', error)
        for (const [id] of batch) {
          this.#notedAt.delete(id)
          this.#writtenAt.delete(id)
        }
      })
    }
    await noted
  }

  async close(): Promise<void> {
    await this.flush()
  }

  async #write(batch: readonly (readonly [string, Note])[]): Promise<void> {
    const now = this.#clock.now()
    const extended = batch.filter(([, note]) => note.extend)
    if (extended.length > 0) {
      const ids = extended.map(([id]) => id)
      // Far less than `mayLiveOnMs` with all that a statement may wait.
      const usedAt = Math.max(now - lateUseMs, Math.min(...extended.map(([, note]) => note.usedAt)))
      const { lifeMs, maxLifeMs, extendEveryMs } = this.#life
      const expiresAt = lifeMs === null ? null : now + lifeMs
      // The cache entry that was read may be older than the last extension: `behindMs` prevents a write every
      // minute.
      await extendSessions(this.#db, { ids, usedAt, expiresAt, maxLifeMs, behindMs: extendEveryMs })
    }
    await updateSeen(
      this.#db,
      batch.map(([id]) => id),
      now,
      this.#writeEveryMs,
    )
  }
}
