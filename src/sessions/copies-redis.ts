// Copies in Redis, remembered once more in this process (remembered.ts).
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from '../errors.ts'
import { type OrPromise, whenKnown } from '../or-promise.ts'
import {
  type Copies,
  type Found,
  type Mark,
  nothingFound,
  type ReadTicket,
  type SessionCopy,
} from './copies.ts'
import { packCopy, unpackCopy } from './copy-bytes.ts'
import { type Feed, freshMs } from './feed.ts'
import { keyOf, type RedisConnection, RedisLink } from './link-redis.ts'

/** No copy lives longer, whatever happens to it. */
export const copyLifeSeconds = 600
const markLifeSeconds = 60
/** A read that began longer ago may be older than a mark that has come and gone since. */
const fillWithinMs = 10_000
/** A transaction that holds its mark longer must not commit: db/transaction.ts gives up far earlier. */
const confirmWithinMs = 30_000
/** A server that still believes copies has begun to read the feed after the commit. Timers may come a little early. */
const untilEveryoneKnowsMs = freshMs + 20
const markPrefix = 'mark:'

interface StandingMark extends Mark {
  /** The Redis process where the mark stands; null: nowhere. */
  run: string | null
  readonly setAt: number
}

export interface RedisCopiesOptions {
  readonly url: string
  readonly feed: Feed
  /** Believe copies also while the database, and with it the feed, is out of reach. */
  readonly trustWithoutDatabase?: boolean
  readonly copyLifeSeconds?: number
  /** Told when copies come into use, and with a cause when they go out of use. */
  readonly onChange?: (reachable: boolean, cause?: unknown) => void
}

/**
 * Copies under `hufu:s:<session id>`: the run of the Redis process that they were written to, the position of the feed at
 * which they were read, and their bytes.
 */
export class RedisCopies implements Copies {
  readonly #link: RedisLink
  readonly #feed: Feed
  readonly #trustWithoutDatabase: boolean
  readonly #copyLifeSeconds: number

  constructor(options: RedisCopiesOptions) {
    this.#feed = options.feed
    this.#trustWithoutDatabase = options.trustWithoutDatabase ?? false
    this.#copyLifeSeconds = options.copyLifeSeconds ?? copyLifeSeconds
    this.#link = new RedisLink({
      url: options.url,
      rememberMs: this.#copyLifeSeconds * 1000,
      ...(options.onChange && { onChange: options.onChange }),
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
    const connection = this.#link.connection
    if (!connection || !this.#mayBelieve()) return nothingFound
    const found = connection.remembered.get(id) ?? this.#ask(connection, id)
    return whenKnown(found, (one) => (one.value === 'marked' || this.#isUpToDate(one) ? one : nothingFound))
  }

  believes(found: Found): boolean {
    return found.isCurrent && this.#isUpToDate(found)
  }

  /** The account has not changed since the copy was read. That a session has ended is so for ever. */
  #isUpToDate({ value, position }: Found): boolean {
    if (value === null || value === 'marked') return false
    return value.ending !== null || this.#feed.isCurrent(value.session.accountId, position)
  }

  /** Without a fresh look at the feed nobody knows what another server has ended while it was cut off from Redis. */
  #mayBelieve(): boolean {
    return this.#feed.isFresh() || (this.#trustWithoutDatabase && this.#feed.hasBegun())
  }

  async #ask(connection: RedisConnection, id: string): Promise<Found> {
    try {
      const { run, remembered } = connection
      return await remembered.read(id, async () => parse(await connection.get(keyOf(id)), id, run))
    } catch (error) {
      this.#link.drop(connection, error)
      return nothingFound
    }
  }

  beginRead(): ReadTicket | null {
    const connection = this.#link.connection
    if (!connection || !this.#feed.hasBegun()) return null
    return { run: connection.run, beganAt: performance.now(), position: this.#feed.position }
  }

  async fill(ticket: ReadTicket, copies: readonly SessionCopy[]): Promise<void> {
    const connection = this.#link.connection
    if (connection?.run !== ticket.run || performance.now() - ticket.beganAt > fillWithinMs) return
    const { client, run } = connection
    const about = { run, position: ticket.position, life: this.#copyLifeSeconds }
    const fillOne = async (copy: SessionCopy) => {
      const bytes = written(run, ticket.position, copy)
      if (bytes) await client.fill(keyOf(copy.session.id), bytes, about)
    }
    await this.#tell(connection, () => Promise.all(copies.map(fillOne)))
  }

  async mark(sessionIds: readonly string[]): Promise<StandingMark> {
    const mark: StandingMark = {
      id: randomBytes(9).toString('base64url'),
      sessionIds,
      run: null,
      setAt: performance.now(),
    }
    await this.#set(mark)
    return mark
  }

  async confirm(mark: Mark): Promise<void> {
    // Every Mark that this class gets back is one that it gave out.
    const standing = mark as StandingMark
    if (performance.now() - standing.setAt > confirmWithinMs)
      throw new AppError('unavailable', { retryAfterSeconds: 1 })
    // Redis went, came back, or is another one, since we marked: what readers see now may not be marked.
    if (standing.run === null || this.#link.connection?.run !== standing.run) await this.#set(standing)
  }

  async #set(mark: StandingMark): Promise<void> {
    mark.run = null
    const connection = this.#link.connection
    if (!connection) return
    const expiration = { type: 'EX', value: markLifeSeconds } as const
    const { client, run } = connection
    const set = () =>
      Promise.all(mark.sessionIds.map((id) => client.set(keyOf(id), markPrefix + mark.id, { expiration })))
    if (await this.#tell(connection, set)) mark.run = run
  }

  async settle(mark: Mark, copies: readonly SessionCopy[], position: number): Promise<void> {
    if (mark.sessionIds.length === 0) return
    const connection = this.#link.connection
    const settled =
      connection && (await this.#tell(connection, () => this.#settleEach(connection, mark, copies, position)))
    // Every Mark that this class gets back is one that it gave out.
    const { run } = mark as StandingMark
    // Where our mark did not stand, a reader may have filled what was true before, or another's older copy may come.
    if (!settled || connection.run !== run) await sleep(untilEveryoneKnowsMs)
  }

  async #settleEach(
    { client, run }: RedisConnection,
    mark: Mark,
    copies: readonly SessionCopy[],
    position: number,
  ): Promise<void> {
    const byId = new Map(copies.map((copy) => [copy.session.id, copy]))
    await Promise.all(
      mark.sessionIds.map((id) => {
        const copy = byId.get(id)
        const bytes = copy ? written(run, position, copy) : null
        return client.settle(keyOf(id), markPrefix + mark.id, bytes ?? '', this.#copyLifeSeconds)
      }),
    )
  }

  isReachable(): boolean {
    return this.#link.connection !== null
  }

  async close(): Promise<void> {
    await this.#link.close()
    await this.#feed.close()
  }

  /** Runs commands on a connection; true if they were done in time, false (and the connection is dropped) if not. */
  async #tell(connection: RedisConnection, commands: () => Promise<unknown>): Promise<boolean> {
    try {
      await this.#link.within(commands())
      return true
    } catch (error) {
      this.#link.drop(connection, error)
      return false
    }
  }
}

function written(run: string, position: number, copy: SessionCopy): Buffer | null {
  const bytes = packCopy(copy)
  return bytes && Buffer.concat([Buffer.from(`${run} ${position} `), bytes])
}

/** A mark, or a copy that was written to this Redis process. Whatever else stands there, the truth is asked. */
function parse(bytes: Buffer | null, id: string, run: string): Omit<Found, 'isCurrent'> {
  if (bytes === null) return nothingFound
  const space = bytes.indexOf(' ', run.length + 1)
  // Too little is not a position either.
  const [writtenTo, position] = bytes.toString('latin1', 0, Math.max(space, 0)).split(' ')
  if (position === undefined || !/^\d+$/.test(position)) return { value: 'marked', position: 0 }
  if (writtenTo !== run) return nothingFound
  const copy = unpackCopy(id, bytes.subarray(space + 1))
  return { value: copy ?? 'marked', position: Number(position) }
}
