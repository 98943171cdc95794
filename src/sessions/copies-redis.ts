// Copies in Redis, remembered once more in this process (remembered.ts).
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Feed } from '../changes/feed.ts'
import { LastChanges } from '../changes/last-changes.ts'
import { AppError } from '../errors.ts'
import { type OrPromise, whenKnown } from '../or-promise.ts'
import { RedisLink, type RedisState } from '../redis/link.ts'
import { redisPlace } from '../redis/place.ts'
import { cacheEntrySeconds, confirmWithinMs, everyoneKnowsMs, fillWithinMs, markSeconds } from '../timing.ts'
import {
  beginReading,
  type CopiesClient,
  type CopiesConnection,
  keyOf,
  newCopiesClient,
  type ReadCopies,
} from './client-redis.ts'
import {
  type Copies,
  type Found,
  type Mark,
  nothingFound,
  type ReadTicket,
  type SessionCopy,
} from './copies.ts'
import { decodeSession, encodeSession } from './session-codec.ts'

const markPrefix = 'mark:'
const space = 0x20
const zero = 0x30
const markFound: Found = { ...nothingFound, value: 'marked' }

interface StandingMark extends Mark {
  /** By session, the Redis process where the mark stands; without one, it stands nowhere. */
  readonly runs: Map<string, string>
  readonly setAt: number
}

export interface RedisCopiesOptions {
  readonly url: string
  /** One that has not started. */
  readonly feed: Feed
  /** Believe copies also while the database, and with it the feed, is out of reach. */
  readonly trustWithoutDatabase?: boolean
  readonly copyLifeSeconds?: number
  /** Told when copies come into use, and with a cause when they go out of use. */
  readonly onChange?: (state: RedisState, cause?: unknown) => void
}

/**
 * Copies under `hufu:s:<session id>`: the run of the Redis process that they were written to, the position of the feed at
 * which they were read, and their bytes.
 */
export class RedisCopies implements Copies {
  readonly #link: RedisLink<CopiesClient, ReadCopies>
  readonly #feed: Feed
  readonly #lastChanges: LastChanges
  readonly #trustWithoutDatabase: boolean
  readonly #copyLifeSeconds: number

  constructor(options: RedisCopiesOptions) {
    this.#feed = options.feed
    this.#lastChanges = new LastChanges(options.feed)
    this.#trustWithoutDatabase = options.trustWithoutDatabase ?? false
    this.#copyLifeSeconds = options.copyLifeSeconds ?? cacheEntrySeconds
    const rememberMs = this.#copyLifeSeconds * 1000
    this.#link = new RedisLink({
      place: redisPlace(options.url),
      newClient: newCopiesClient,
      begin: (client) => beginReading(client, rememberMs),
      onChange: options.onChange,
    })
  }

  /** Tries to connect once and then goes on by itself: Redis may come later, or never. */
  async connect(): Promise<void> {
    await this.#link.connect()
  }

  refresh(): void {
    if (!this.#mayBelieve()) this.#link.forgetAll()
  }

  session(id: string): OrPromise<Found> {
    const connection = this.#link.connectionFor(keyOf(id))
    if (!connection || !this.#mayBelieve()) return nothingFound
    const found = connection.held.remembered.get(id) ?? this.#ask(connection, id)
    return whenKnown(found, (one) => (one.value === 'marked' || this.#isUpToDate(one) ? one : nothingFound))
  }

  believes(found: Found): boolean {
    return found.isCurrent && this.#isUpToDate(found)
  }

  /** The account has not changed since the copy was read. That a session has ended is so for ever. */
  #isUpToDate({ value, position, bucket }: Found): boolean {
    return (
      this.#lastChanges.isCurrent(bucket, position) ||
      (value !== null && value !== 'marked' && value.ending !== null)
    )
  }

  /** Without a fresh look at the feed nobody knows what another server has ended while it was cut off from Redis. */
  #mayBelieve(): boolean {
    return this.#feed.isFresh() || (this.#trustWithoutDatabase && this.#feed.hasBegun())
  }

  async #ask(connection: CopiesConnection, id: string): Promise<Found> {
    const { run, held } = connection
    try {
      return await held.remembered.read(id, async () => this.#parse(await held.get(keyOf(id)), id, run))
    } catch (error) {
      this.#link.failed(connection, keyOf(id), error)
      return nothingFound
    }
  }

  /** A mark, or a copy that was written to this Redis process. Whatever else stands there, the truth is asked. */
  #parse(bytes: Buffer | null, id: string, run: string): Omit<Found, 'isCurrent'> {
    if (bytes === null) return nothingFound
    const runEnd = bytes.indexOf(space)
    const positionEnd = bytes.indexOf(space, runEnd + 1)
    const position = decimalIn(bytes, runEnd + 1, positionEnd)
    if (position === null) return markFound
    if (bytes.toString('latin1', 0, runEnd) !== run) return nothingFound
    const copy = decodeSession(id, bytes.subarray(positionEnd + 1))
    if (!copy) return markFound
    const bucket = this.#lastChanges.bucketOf(copy.session.accountId)
    return { value: copy, position, bucket }
  }

  beginRead(): ReadTicket | null {
    if (!this.#feed.hasBegun()) return null
    const { generation } = this.#link
    return { generation, beganAt: performance.now(), position: this.#feed.position }
  }

  async fill(ticket: ReadTicket, copies: readonly SessionCopy[]): Promise<void> {
    const { generation, beganAt, position } = ticket
    // A mark that stood when the read began may be gone with its Redis process.
    if (this.#link.generation !== generation || performance.now() - beganAt > fillWithinMs) return
    const life = this.#copyLifeSeconds
    const fillOne = async (copy: SessionCopy) =>
      await this.#tell(copy.session.id, async ({ client, run }, key) => {
        const bytes = written(run, position, copy)
        if (bytes) await client.fill(key, bytes, { run, position, life })
      })
    await Promise.all(copies.map(fillOne))
  }

  async mark(which: readonly string[] | 'many'): Promise<StandingMark> {
    const id = randomBytes(9).toString('base64url')
    const isMany = which === 'many'
    const sessionIds = isMany ? [] : which
    const mark: StandingMark = { id, sessionIds, isMany, runs: new Map(), setAt: performance.now() }
    await this.#set(mark, sessionIds)
    return mark
  }

  async confirm(mark: Mark): Promise<void> {
    // Every Mark that this class gets back is one that it gave out.
    const standing = mark as StandingMark
    if (performance.now() - standing.setAt > confirmWithinMs)
      throw new AppError('unavailable', { retryAfterSeconds: 1 })
    // Redis went, came back, or is another one, since we marked: what readers see now may not be marked.
    const stands = (id: string) => {
      const run = standing.runs.get(id)
      return run !== undefined && run === this.#link.connectionFor(keyOf(id))?.run
    }
    const lost = standing.sessionIds.filter((id) => !stands(id))
    await this.#set(standing, lost)
  }

  async #set({ id: markId, runs }: StandingMark, sessionIds: readonly string[]): Promise<void> {
    const expiration = { type: 'EX', value: markSeconds } as const
    const setOne = async (id: string) => {
      runs.delete(id)
      const run = await this.#tell(id, ({ client }, key) =>
        client.set(key, markPrefix + markId, { expiration }),
      )
      if (run !== null) runs.set(id, run)
    }
    await Promise.all(sessionIds.map(setOne))
  }

  async settle(mark: Mark, copies: readonly SessionCopy[], position: number): Promise<void> {
    // Every Mark that this class gets back is one that it gave out.
    const { id: markId, sessionIds, isMany, runs } = mark as StandingMark
    const byId = new Map(copies.map((copy) => [copy.session.id, copy]))
    const settleOne = async (id: string): Promise<boolean> => {
      let wasOurs = false
      const settledIn = await this.#tell(id, async ({ client, run }, key) => {
        const copy = byId.get(id)
        const bytes = copy ? written(run, position, copy) : null
        wasOurs = (await client.settle(key, markPrefix + markId, bytes ?? '', this.#copyLifeSeconds)) === 1
      })
      // It may have moved to another process with its slot.
      return wasOurs || (settledIn !== null && settledIn === runs.get(id))
    }
    const stood = await Promise.all(sessionIds.map(settleOne))
    // Where our mark did not stand, a reader may have filled what was true before, or another's older copy may come.
    if (isMany || stood.includes(false)) await sleep(everyoneKnowsMs)
  }

  isReachable(): boolean {
    return this.#link.isReachable()
  }

  state(): RedisState {
    return this.#link.state
  }

  async close(): Promise<void> {
    await this.#link.close()
  }

  /** Runs a command on a session's key. Gives the run of the Redis process that did it in time; null: none. */
  async #tell(
    id: string,
    command: (connection: CopiesConnection, key: string) => Promise<unknown>,
  ): Promise<string | null> {
    const key = keyOf(id)
    if (!this.#link.connectionFor(key)) return null
    try {
      return await this.#link.ask(key, async (connection) => {
        await command(connection, key)
        return connection.run
      })
    } catch {
      return null
    }
  }
}

/** The whole number between two places; null where something else stands there, or nothing. */
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

function written(run: string, position: number, copy: SessionCopy): Buffer | null {
  const bytes = encodeSession(copy)
  return bytes && Buffer.concat([Buffer.from(`${run} ${position} `), bytes])
}
