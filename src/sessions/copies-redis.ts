// Copies in Redis, remembered once more in this process (remembered.ts).
import { randomBytes } from 'node:crypto'
import { AppError } from '../errors.ts'
import type { OrPromise } from '../or-promise.ts'
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
import { type RedisConnection, RedisLink } from './link-redis.ts'
import type { Remembered } from './remembered.ts'

/** No copy lives longer, whatever happens to it. */
export const copyLifeSeconds = 600
const markLifeSeconds = 60
/** A read that began longer ago may be older than a mark that has come and gone since. */
const fillWithinMs = 10_000
/** A transaction that holds its mark longer must not commit: db/transaction.ts gives up far earlier. */
const confirmWithinMs = 30_000
const markPrefix = 'mark:'
const outOfReach: Found<never> = { value: null, isCurrent: false }

interface StandingMark extends Mark {
  readonly run: string | null
  readonly setAt: number
}

export interface RedisCopiesOptions {
  readonly url: string
  readonly copyLifeSeconds?: number
  /** Told when copies come into use, and with a cause when they go out of use. */
  readonly onChange?: (reachable: boolean, cause?: unknown) => void
}

/** Copies under `hufu:<run>:session:<id>` and `hufu:<run>:account:<id>`, readable with redis-cli. */
export class RedisCopies implements Copies {
  readonly #link: RedisLink
  readonly #copyLifeSeconds: number
  readonly #unmarked: UnmarkedCopies

  constructor(options: RedisCopiesOptions) {
    this.#copyLifeSeconds = options.copyLifeSeconds ?? copyLifeSeconds
    this.#unmarked = new UnmarkedCopies(this.#copyLifeSeconds * 1000)
    this.#link = new RedisLink({
      url: options.url,
      rememberMs: this.#copyLifeSeconds * 1000,
      prepare: (connection) => this.#markWhatWasMissed(connection),
      ...(options.onChange && { onChange: options.onChange }),
    })
  }

  /** Tries to connect once and then goes on by itself: Redis may come later, or never. */
  async connect(): Promise<void> {
    await this.#link.connect()
  }

  refresh(): void {}

  session(id: string): OrPromise<Found<SessionCopy>> {
    const connection = this.#link.connection
    if (!connection) return outOfReach
    const { session } = connection.remembered
    return session.get(id) ?? this.#ask(connection, session, id, `session:${id}`)
  }

  account(id: string): OrPromise<Found<AccountCopy>> {
    const connection = this.#link.connection
    if (!connection) return outOfReach
    const { account } = connection.remembered
    return account.get(id) ?? this.#ask(connection, account, id, `account:${id}`)
  }

  async #ask<T>(
    connection: RedisConnection,
    remembered: Remembered<T>,
    id: string,
    name: CopyName,
  ): Promise<Found<T>> {
    try {
      return await remembered.read(id, async () => parse(await connection.client.get(connection.key(name))))
    } catch (error) {
      this.#link.drop(connection, error)
      return outOfReach
    }
  }

  beginRead(): ReadTicket | null {
    const connection = this.#link.connection
    return connection && { run: connection.run, beganAt: performance.now() }
  }

  async fill(ticket: ReadTicket, copies: CopiesToWrite): Promise<void> {
    const connection = this.#link.connection
    if (connection?.run !== ticket.run || performance.now() - ticket.beganAt > fillWithinMs) return
    const expiration = { type: 'EX', value: this.#copyLifeSeconds } as const
    await this.#tell(connection, () =>
      Promise.all(
        [...copies].map(([name, copy]) =>
          connection.client.set(connection.key(name), JSON.stringify(copy), { condition: 'NX', expiration }),
        ),
      ),
    )
  }

  async mark(names: readonly CopyName[]): Promise<StandingMark> {
    const id = randomBytes(9).toString('base64url')
    const setAt = performance.now()
    const connection = this.#link.connection
    if (connection && (await this.#tell(connection, () => setMarks(connection, names, id)))) {
      return { id, names, run: connection.run, setAt }
    }
    this.#unmarked.add(names)
    return { id, names, run: null, setAt }
  }

  async confirm(mark: Mark): Promise<void> {
    // Every Mark that this class gets back is one that it gave out.
    const { run, setAt, names, id } = mark as StandingMark
    if (performance.now() - setAt > confirmWithinMs)
      throw new AppError('unavailable', { retryAfterSeconds: 1 })
    const connection = this.#link.connection
    if (connection && connection.run === run) return
    // Redis went, came back, or is another one, since we marked: what readers see now may not be marked.
    if (!connection || !(await this.#tell(connection, () => setMarks(connection, names, id)))) {
      this.#unmarked.add(names)
    }
  }

  async settle(mark: Mark, copies: CopiesToWrite): Promise<void> {
    const connection = this.#link.connection
    if (!connection || !(await this.#tell(connection, () => this.#settleEach(connection, mark, copies)))) {
      this.#unmarked.add(mark.names)
    }
  }

  async #settleEach({ client, key }: RedisConnection, mark: Mark, copies: CopiesToWrite): Promise<void> {
    const life = String(this.#copyLifeSeconds)
    await Promise.all(
      mark.names.map((name) => {
        const copy = copies.get(name)
        return client.settle(key(name), markPrefix + mark.id, copy ? JSON.stringify(copy) : '', life)
      }),
    )
  }

  isReachable(): boolean {
    return this.#link.connection !== null
  }

  async close(): Promise<void> {
    await this.#link.close()
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

  /** Before a new connection is used: marks what changed while there was none, so that no server trusts the old copy. */
  async #markWhatWasMissed(connection: RedisConnection): Promise<void> {
    const missed = this.#unmarked.list()
    await setMarks(connection, [...missed.keys()], randomBytes(9).toString('base64url'))
    this.#unmarked.delete(missed)
  }
}

/** Copies that changed in SQL while Redis was out of reach: until their life is over, another server may hold the old one. */
class UnmarkedCopies {
  readonly #lifeMs: number
  /** In the order in which they run out. */
  readonly #until = new Map<CopyName, number>()

  constructor(lifeMs: number) {
    this.#lifeMs = lifeMs
  }

  add(names: readonly CopyName[]): void {
    for (const name of names) {
      this.#until.delete(name)
      this.#until.set(name, performance.now() + this.#lifeMs)
    }
    this.#forgetOld()
  }

  list(): ReadonlyMap<CopyName, number> {
    this.#forgetOld()
    return new Map(this.#until)
  }

  /** Removes what `list` gave, unless it was added again since. */
  delete(listed: ReadonlyMap<CopyName, number>): void {
    for (const [name, until] of listed) if (this.#until.get(name) === until) this.#until.delete(name)
  }

  #forgetOld(): void {
    for (const [name, until] of this.#until) {
      if (until > performance.now()) return
      this.#until.delete(name)
    }
  }
}

async function setMarks(connection: RedisConnection, names: readonly CopyName[], id: string): Promise<void> {
  const expiration = { type: 'EX', value: markLifeSeconds } as const
  await Promise.all(
    names.map((name) => connection.client.set(connection.key(name), markPrefix + id, { expiration })),
  )
}

/** What is stored under a name is what this class wrote there: a mark, or a copy of that kind. */
function parse<T>(text: string | null): Found<T>['value'] {
  if (text === null) return null
  return text.startsWith(markPrefix) ? 'marked' : JSON.parse(text)
}
