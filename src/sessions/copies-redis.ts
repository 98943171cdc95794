// Copies in Redis, remembered once more in this process (remembered.ts).
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from '../errors.ts'
import { type OrPromise, whenKnown } from '../or-promise.ts'
import type {
  AccountCopy,
  Copies,
  CopiesToWrite,
  CopyName,
  Found,
  Mark,
  ReadTicket,
  SessionCopy,
} from './copies.ts'
import { type Feed, freshMs } from './feed.ts'
import { type Dated, type RedisConnection, RedisLink } from './link-redis.ts'
import type { Remembered } from './remembered.ts'

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
const outOfReach: Found<never> = { value: null, isCurrent: false }

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
 * Copies under `hufu:<run>:session:<id>` and `hufu:<run>:account:<id>`, readable with redis-cli: the position of the feed at
 * which the copy was read, and the copy.
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

  /** An account has changed: whoever relies on what is remembered of it or of its sessions has to look again. */
  forgetAccount(accountId: string): void {
    this.#link.connection?.remembered.account.forget(accountId)
  }

  session(id: string): OrPromise<Found<SessionCopy>> {
    const connection = this.#link.connection
    if (!connection || !this.#mayBelieve()) return outOfReach
    const { session } = connection.remembered
    const found =
      session.get(id) ?? this.#ask(connection, session, `session:${id}`, (copy) => copy.session?.id === id)
    // That a session has ended is so for ever.
    return whenKnown(found, (one) =>
      this.#believed(one, (copy) => (copy.ending ? null : copy.session.accountId)),
    )
  }

  account(id: string): OrPromise<Found<AccountCopy>> {
    const connection = this.#link.connection
    if (!connection || !this.#mayBelieve()) return outOfReach
    const { account } = connection.remembered
    const found = account.get(id) ?? this.#ask(connection, account, `account:${id}`, (copy) => copy.id === id)
    return whenKnown(found, (one) => this.#believed(one, () => id))
  }

  /** Without a fresh look at the feed nobody knows what another server has ended while it was cut off from Redis. */
  #mayBelieve(): boolean {
    return this.#feed.isFresh() || (this.#trustWithoutDatabase && this.#feed.hasBegun())
  }

  /** What was found, unless the account has changed since it was read. */
  #believed<T>(found: Found<Dated<T>>, accountOf: (copy: T) => string | null): Found<T> {
    if (found.value === null || found.value === 'marked') return { value: found.value, isCurrent: false }
    const accountId = accountOf(found.value)
    return accountId === null || this.#feed.isCurrent(accountId, found.value.position) ? found : outOfReach
  }

  async #ask<T>(
    connection: RedisConnection,
    remembered: Remembered<Dated<T>>,
    name: CopyName,
    isOurs: (copy: Partial<T>) => boolean,
  ): Promise<Found<Dated<T>>> {
    try {
      const id = name.slice(name.indexOf(':') + 1)
      return await remembered.read(id, async () =>
        parse(await connection.client.get(connection.key(name)), isOurs),
      )
    } catch (error) {
      this.#link.drop(connection, error)
      return outOfReach
    }
  }

  beginRead(): ReadTicket | null {
    const connection = this.#link.connection
    if (!connection || !this.#feed.hasBegun()) return null
    return { run: connection.run, beganAt: performance.now(), position: this.#feed.position }
  }

  async fill(ticket: ReadTicket, copies: CopiesToWrite): Promise<void> {
    const connection = this.#link.connection
    if (connection?.run !== ticket.run || performance.now() - ticket.beganAt > fillWithinMs) return
    const { client, key } = connection
    const [position, life] = [String(ticket.position), String(this.#copyLifeSeconds)]
    await this.#tell(connection, () =>
      Promise.all(
        [...copies].map(([name, copy]) =>
          client.fill(key(name), written(ticket.position, copy), position, life),
        ),
      ),
    )
  }

  async mark(names: readonly CopyName[]): Promise<StandingMark> {
    const mark: StandingMark = {
      id: randomBytes(9).toString('base64url'),
      names,
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
    const { client, key, run } = connection
    const set = () =>
      Promise.all(mark.names.map((name) => client.set(key(name), markPrefix + mark.id, { expiration })))
    if (await this.#tell(connection, set)) mark.run = run
  }

  async settle(mark: Mark, copies: CopiesToWrite, position: number): Promise<void> {
    const connection = this.#link.connection
    const settled =
      connection && (await this.#tell(connection, () => this.#settleEach(connection, mark, copies, position)))
    // Every Mark that this class gets back is one that it gave out.
    const { run, names } = mark as StandingMark
    const takesAway = names.some((name) => name.startsWith('session:'))
    if (run === null && !settled && takesAway) await sleep(untilEveryoneKnowsMs)
  }

  async #settleEach(
    { client, key }: RedisConnection,
    mark: Mark,
    copies: CopiesToWrite,
    position: number,
  ): Promise<void> {
    const life = String(this.#copyLifeSeconds)
    await Promise.all(
      mark.names.map((name) => {
        const copy = copies.get(name)
        return client.settle(key(name), markPrefix + mark.id, copy ? written(position, copy) : '', life)
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

function written(position: number, copy: SessionCopy | AccountCopy): string {
  return `${position} ${JSON.stringify(copy)}`
}

/** A mark, or a copy that says itself that it is the one that was asked for. Whatever else stands there, the truth is asked. */
function parse<T>(text: string | null, isOurs: (copy: Partial<T>) => boolean): Found<Dated<T>>['value'] {
  if (text === null) return null
  if (text.startsWith(markPrefix)) return 'marked'
  const end = text.indexOf(' ')
  try {
    const copy = { ...JSON.parse(text.slice(end)), position: Number(text.slice(0, end)) }
    return isOurs(copy) ? copy : 'marked'
  } catch {
    return 'marked'
  }
}
