// Cache entries in Redis, with a client-side cache in this process (client-side-cache.ts).

import { setTimeout as sleep } from 'node:timers/promises'
import type { Feed } from '../changes/feed.ts'
import { LastChanges } from '../changes/last-changes.ts'
import { nextTurn } from '../database/turns.ts'
import { AppError } from '../errors.ts'
import { type MaybePromise, mapMaybe } from '../maybe-promise.ts'
import { randomText } from '../random-text.ts'
import { RedisConnections, type RedisReport, type RedisState } from '../redis/connections.ts'
import { parseRedisUrl } from '../redis/redis-url.ts'
import {
  cacheEntrySeconds,
  confirmWithinMs,
  everyoneKnowsMs,
  fillWithinMs,
  markSeconds,
  watchedMs,
} from '../timing.ts'
import {
  beginReading,
  type ConnectionState,
  keyOf,
  newSessionCacheClient,
  type SessionCacheClient,
  type SessionCacheConnection,
  useKeyOf,
  watchKeyOf,
} from './redis-client.ts'
import {
  type CacheEntry,
  cacheMiss,
  type Mark,
  type ReadTicket,
  type SessionCache,
  type StoredSession,
} from './session-cache.ts'
import { decodeSession, encodeSession } from './session-codec.ts'

const markPrefix = 'mark:'
/** Twice as long as the default pause between two writes into the database. */
const defaultUseSeconds = 7_200
/** Some thousand commands at once take longer than a command may, and the connection would be closed. */
const commandsAtOnce = 100
const space = 0x20
const zero = 0x30
const asMark: CacheEntry = { ...cacheMiss, value: 'marked' }

interface RedisMarks {
  /** Identifies the transaction in the marks. */
  readonly id: string
  /** The sessions whose entries are marked. */
  readonly sessionIds: readonly string[]
  /** The change affects more sessions than are marked one by one, so none is marked. */
  readonly isMany: boolean
  /** The history of the database when the mark was set. */
  readonly history: string
  /** By session: the Redis process that holds the mark. A session without a value has no mark. */
  readonly runs: Map<string, string>
  readonly setAt: number
}

export interface RedisSessionCacheOptions {
  readonly url: string
  /** A feed that has not started. */
  readonly feed: Feed
  /** Trust cache entries also while the database, and with it the feed, is unreachable. */
  readonly trustWithoutDatabase?: boolean
  readonly cacheEntrySeconds?: number
  /** How long the last use of a session is remembered. */
  readonly useSeconds?: number
  /** Called when the cache comes into use, and with a cause when it goes out of use. */
  readonly onChange?: (report: RedisReport) => void
}

/**
 * Cache entries under `hufu:s:<session id>`: the run id of the Redis process that they were written to with
 * the history of the database that they were read in, the step of the feed at which they were read, and their
 * bytes.
 */
export class RedisSessionCache implements SessionCache {
  readonly #connections: RedisConnections<SessionCacheClient, ConnectionState>
  readonly #feed: Feed
  readonly #lastChanges: LastChanges
  readonly #trustWithoutDatabase: boolean
  readonly #cacheEntrySeconds: number
  readonly #useSeconds: number

  constructor(options: RedisSessionCacheOptions) {
    this.#feed = options.feed
    this.#lastChanges = new LastChanges(options.feed)
    this.#trustWithoutDatabase = options.trustWithoutDatabase ?? false
    this.#cacheEntrySeconds = options.cacheEntrySeconds ?? cacheEntrySeconds
    this.#useSeconds = options.useSeconds ?? defaultUseSeconds
    const lifeMs = this.#cacheEntrySeconds * 1000
    this.#connections = new RedisConnections({
      place: parseRedisUrl(options.url),
      newClient: newSessionCacheClient,
      begin: (client) => beginReading(client, lifeMs),
      onChange: options.onChange,
    })
    options.feed.onHistory(() => this.#connections.clear())
    options.feed.watchBy({
      isWatched: (history) => this.#isWatched(history),
      watched: (history) => this.#noteWatched(history),
    })
  }

  /** Tries to connect once. Further tries go on in the background, because Redis may start later or never. */
  async connect(): Promise<void> {
    await this.#connections.connect()
  }

  dropStale(): void {
    if (!this.#mayTrust()) this.#connections.clear()
  }

  session(id: string): MaybePromise<CacheEntry> {
    const connection = this.#connections.connectionFor(keyOf(id))
    if (!connection || !this.#mayTrust()) return cacheMiss
    const found = connection.state.clientSideCache.get(id) ?? this.#ask(connection, id)
    return mapMaybe(found, (one) => (one.value === 'marked' || this.#isCurrentInFeed(one) ? one : cacheMiss))
  }

  isValid(found: CacheEntry): boolean {
    return found.isCurrent && this.#isCurrentInFeed(found)
  }

  /**
   * Whether the account has not changed since the entry was read. The entry of an ended session stays valid:
   * an end is final.
   */
  #isCurrentInFeed({ value, position, bucket }: CacheEntry): boolean {
    return (
      this.#lastChanges.isCurrent(bucket, position) ||
      (value !== null && value !== 'marked' && value.ending !== null)
    )
  }

  /**
   * Without a recent reading of the feed, this process cannot know which sessions a server without a
   * connection to Redis has ended.
   */
  #mayTrust(): boolean {
    return this.#feed.isFresh() || (this.#trustWithoutDatabase && this.#feed.hasBegun())
  }

  async #ask(connection: SessionCacheConnection, id: string): Promise<CacheEntry> {
    const { run, state } = connection
    try {
      return await state.clientSideCache.read(id, async () =>
        this.#parse(await state.get(keyOf(id)), id, run),
      )
    } catch (error) {
      this.#connections.failed(connection, keyOf(id), error)
      return cacheMiss
    }
  }

  /**
   * A mark, or an entry that was written to this Redis process. Anything else is a cache miss or counts as a
   * mark, and the caller reads the database.
   */
  #parse(bytes: Buffer | null, id: string, run: string): Omit<CacheEntry, 'isCurrent'> {
    if (bytes === null) return cacheMiss
    const runEnd = bytes.indexOf(space)
    const positionEnd = bytes.indexOf(space, runEnd + 1)
    const position = decimalIn(bytes, runEnd + 1, positionEnd)
    if (position === null) return asMark
    if (bytes.toString('latin1', 0, runEnd) !== run + this.#feed.history) return cacheMiss
    const stored = decodeSession(id, bytes.subarray(positionEnd + 1))
    if (!stored) return asMark
    const bucket = this.#lastChanges.bucketOf(stored.session.accountId)
    return { value: stored, position, bucket }
  }

  beginRead(): ReadTicket | null {
    if (!this.#feed.hasBegun()) return null
    const { generation } = this.#connections
    const { position, history } = this.#feed
    return { generation, beganAt: performance.now(), position, history }
  }

  async fill(ticket: ReadTicket, entries: readonly StoredSession[]): Promise<void> {
    const { generation, beganAt, position, history } = ticket
    // A mark that was set when the read began may be lost with its Redis process.
    if (this.#connections.generation !== generation || performance.now() - beganAt > fillWithinMs) return
    if (history !== this.#feed.history) return
    const life = this.#cacheEntrySeconds
    const fillOne = async (stored: StoredSession) =>
      await this.#runOnKey(keyOf(stored.session.id), async ({ client, run: process }, key) => {
        const run = process + history
        const bytes = entryBytes(run, position, stored)
        if (bytes) await client.fill(key, bytes, { run, position, life })
      })
    await withFewAtOnce(entries, fillOne)
  }

  async mark(which: readonly string[] | 'many'): Promise<Mark> {
    const id = randomText(9)
    const isMany = which === 'many'
    const sessionIds = isMany ? [] : which
    const { history } = this.#feed
    const marks: RedisMarks = { id, sessionIds, isMany, history, runs: new Map(), setAt: performance.now() }
    await this.#set(marks, sessionIds)
    return {
      confirm: () => this.#confirm(marks),
      settle: (entries, position) => this.#settle(marks, entries, position),
    }
  }

  async #confirm(marks: RedisMarks): Promise<void> {
    if (performance.now() - marks.setAt > confirmWithinMs)
      throw new AppError('unavailable', { retryAfterSeconds: 1 })
    // Since the mark was set, Redis may have restarted or failed over: readers may now look at a process that
    // has no mark.
    const isSet = (id: string) => {
      const run = marks.runs.get(id)
      return run !== undefined && run === this.#connections.connectionFor(keyOf(id))?.run
    }
    const lost = marks.sessionIds.filter((id) => !isSet(id))
    await this.#set(marks, lost)
  }

  async #set({ id: markId, runs }: RedisMarks, sessionIds: readonly string[]): Promise<void> {
    const expiration = { type: 'EX', value: markSeconds } as const
    const setOne = async (id: string) => {
      runs.delete(id)
      const run = await this.#runOnKey(keyOf(id), ({ client }, key) =>
        client.set(key, markPrefix + markId, { expiration }),
      )
      if (run !== null) runs.set(id, run)
    }
    await withFewAtOnce(sessionIds, setOne)
  }

  async #settle(marks: RedisMarks, entries: readonly StoredSession[], position: number): Promise<void> {
    const { id: markId, sessionIds, isMany, runs, history } = marks
    // What was committed in an earlier history may be lost.
    const isSame = history !== '' && history === this.#feed.history
    const byId = new Map(entries.map((stored) => [stored.session.id, stored]))
    let isMissing = false
    const settleOne = async (id: string): Promise<void> => {
      let wasOurs = false
      const settledIn = await this.#runOnKey(keyOf(id), async ({ client, run }, key) => {
        const stored = isSame ? byId.get(id) : undefined
        const bytes = stored ? entryBytes(run + history, position, stored) : null
        wasOurs = (await client.settle(key, markPrefix + markId, bytes ?? '', this.#cacheEntrySeconds)) === 1
      })
      // The mark may have moved to another process with its slot.
      if (!wasOurs && (settledIn === null || settledIn !== runs.get(id))) isMissing = true
    }
    await withFewAtOnce(sessionIds, settleOne)
    // Where our mark was missing, a reader may have filled the old state, or another server may still write
    // an older entry.
    if (isMany || isMissing) await sleep(everyoneKnowsMs)
  }

  async noteUses(uses: ReadonlyMap<string, number>): Promise<void> {
    const expiration = { type: 'EX', value: this.#useSeconds } as const
    const noteOne = async ([id, usedAt]: readonly [string, number]) =>
      await this.#runOnKey(useKeyOf(id), ({ client }, key) => client.set(key, usedAt, { expiration }))
    await inBatches([...uses], noteOne)
  }

  async findUses(ids: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const found = new Map<string, number>()
    const findOne = async (id: string) =>
      await this.#runOnKey(useKeyOf(id), async ({ client }, key) => {
        const usedAt = Number(await client.get(key))
        if (usedAt > 0) found.set(id, usedAt)
      })
    await inBatches(ids, findOne)
    return found
  }

  isReachable(): boolean {
    return this.#connections.isReachable()
  }

  state(): RedisState {
    return this.#connections.state
  }

  async close(): Promise<void> {
    await this.#connections.close()
  }

  /**
   * Whether a server reads the feed of this history now. Where nothing can be learned, the entries of the
   * cache count as those of another history.
   */
  async #isWatched(history: string): Promise<boolean> {
    let isThere = false
    await this.#runOnKey(watchKeyOf(history), async ({ client }, key) => {
      isThere = (await client.exists(key)) === 1
    })
    return isThere
  }

  async #noteWatched(history: string): Promise<void> {
    const expiration = { type: 'PX', value: watchedMs } as const
    await this.#runOnKey(watchKeyOf(history), ({ client }, key) => client.set(key, '1', { expiration }))
  }

  /**
   * Runs a command on a key. Returns the run id of the Redis process that answered in time; null: none did.
   */
  async #runOnKey(
    key: string,
    command: (connection: SessionCacheConnection, key: string) => Promise<unknown>,
  ): Promise<string | null> {
    if (!this.#connections.connectionFor(key)) return null
    try {
      return await this.#connections.ask(key, async (connection) => {
        await command(connection, key)
        return connection.run
      })
    } catch {
      return null
    }
  }
}

/**
 * Runs a command for each item of a write: at once where they are few, because a request waits for them, and
 * in batches where they are more.
 */
async function withFewAtOnce<T>(items: readonly T[], command: (item: T) => Promise<unknown>): Promise<void> {
  if (items.length > commandsAtOnce) await inBatches(items, command)
  else await Promise.all(items.map(command))
}

/** Runs a command for each item. All callers together begin one batch in each turn of the event loop. */
async function inBatches<T>(items: readonly T[], command: (item: T) => Promise<unknown>): Promise<void> {
  for (let i = 0; i < items.length; i += commandsAtOnce) {
    await nextTurn()
    await Promise.all(items.slice(i, i + commandsAtOnce).map(command))
  }
}

/** The whole number between two offsets; null where the bytes are empty or not all digits. */
function decimalIn(bytes: Buffer, from: number, to: number): number | null {
  if (from >= to) return null
  let value = 0
  for (const byte of bytes.subarray(from, to)) {
    const digit = byte - zero
    if (digit < 0 || digit > 9) return null
    value = value * 10 + digit
  }
  return value
}

function entryBytes(run: string, position: number, stored: StoredSession): Buffer | null {
  const bytes = encodeSession(stored)
  return bytes && Buffer.concat([Buffer.from(`${run} ${position} `), bytes])
}
