// One watched connection to Redis: it is there and answers, or it is null. Nothing waits for it.
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient, defineScript } from 'redis'
import type { AccountCopy, CopyName, SessionCopy } from './copies.ts'
import { Remembered } from './remembered.ts'

/** A connection that has not answered a PING for this long is given up, and with it all that this process remembers. */
const silenceMs = 700
const pingEveryMs = 200
const commandMs = 500
const firstRetryMs = 100
const lastRetryMs = 2_000
/** Names of copies that this process remembers at most, some 600 bytes each; the oldest goes first. */
const maxRemembered = 100_000

/**
 * Replaces our own mark by the copy (or by a mark that runs out soon, where there is no copy to write). Somebody
 * else's mark stays: that writer knows more. Anything else means that our mark ran out meanwhile and a reader may have
 * filled an old truth, so it is marked again, for longer than a fill may come late.
 */
const settleScript = defineScript({
  SCRIPT: `
    local now = redis.call('GET', KEYS[1])
    if now == ARGV[1] then
      if ARGV[2] ~= '' then redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3]) end
      return 1
    end
    if now and string.sub(now, 1, 5) == 'mark:' then return 0 end
    redis.call('SET', KEYS[1], ARGV[1], 'EX', 15)
    return 0`,
  NUMBER_OF_KEYS: 1,
  parseCommand(parser, key: string, mark: string, copy: string, lifeSeconds: string) {
    parser.pushKey(key)
    parser.push(mark, copy, lifeSeconds)
  },
  transformReply: (reply: number) => reply,
})

/** Writes a copy where there is none, or an older one; never where there is a mark. Copies begin with their position. */
const fillScript = defineScript({
  SCRIPT: `
    local now = redis.call('GET', KEYS[1])
    if now then
      local position = tonumber(string.match(now, '^(%d+) '))
      if not position or position >= tonumber(ARGV[2]) then return 0 end
    end
    redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[3])
    return 1`,
  NUMBER_OF_KEYS: 1,
  parseCommand(parser, key: string, copy: string, position: string, lifeSeconds: string) {
    parser.pushKey(key)
    parser.push(copy, position, lifeSeconds)
  },
  transformReply: (reply: number) => reply,
})

function newClient(url: string) {
  return createClient({
    url,
    RESP: 3,
    disableOfflineQueue: true,
    emitInvalidate: true,
    socket: { connectTimeout: commandMs * 2, reconnectStrategy: false },
    scripts: { settle: settleScript, fill: fillScript },
  })
}

/** A copy with the position of the feed at which it was read. */
export type Dated<T> = T & { readonly position: number }

export interface RememberedCopies {
  readonly session: Remembered<Dated<SessionCopy>>
  readonly account: Remembered<Dated<AccountCopy>>
}

export interface RedisConnection {
  readonly client: ReturnType<typeof newClient>
  /** Which Redis process this is. Keys carry it, so that a restart or a fail-over starts from nothing, not from an old truth. */
  readonly run: string
  key(name: CopyName): string
  readonly remembered: RememberedCopies
}

export interface RedisLinkOptions {
  readonly url: string
  /** How long what was read may be remembered. */
  readonly rememberMs: number
  readonly onChange?: (reachable: boolean, cause?: unknown) => void
}

/**
 * Keeps one connection, and a new client (with an empty cache) for each: the old one's cache, queue and run id must never
 * meet another Redis process. `connection` is null from the moment when anything looks wrong.
 */
export class RedisLink {
  readonly #options: RedisLinkOptions
  #connection: RedisConnection | null = null
  #pings: NodeJS.Timeout | null = null
  #closed = false

  constructor(options: RedisLinkOptions) {
    this.#options = options
  }

  get connection(): RedisConnection | null {
    return this.#connection
  }

  /** One try now; if it fails, further tries go on in the background until `close`. */
  async connect(): Promise<void> {
    const failure = await this.#tryOnce()
    if (failure === null || this.#closed) return
    this.#options.onChange?.(false, failure)
    void this.#reconnect()
  }

  /** Gives a connection up, because something about it was wrong, and looks for a new one. */
  drop(connection: RedisConnection, cause: unknown): void {
    if (this.#connection !== connection) return
    this.#connection = null
    forget(connection.remembered, null)
    if (this.#pings) clearInterval(this.#pings)
    connection.client.destroy()
    if (this.#closed) return
    this.#options.onChange?.(false, cause)
    void this.#reconnect()
  }

  /** Forgets what this process remembers; the connection stays. */
  forgetAll(): void {
    if (this.#connection) forget(this.#connection.remembered, null)
  }

  /** What the commands give, or a rejection when Redis is too slow. */
  async within<T>(commands: Promise<T>): Promise<T> {
    return await withinMs(commandMs, commands)
  }

  async close(): Promise<void> {
    this.#closed = true
    const connection = this.#connection
    this.#connection = null
    if (connection) forget(connection.remembered, null)
    if (this.#pings) clearInterval(this.#pings)
    connection?.client.destroy()
  }

  async #reconnect(): Promise<void> {
    for (let waitMs = firstRetryMs; !this.#closed; waitMs = Math.min(lastRetryMs, waitMs * 2)) {
      await sleep(waitMs * (0.5 + Math.random() / 2), undefined, { ref: false })
      if (this.#closed || (await this.#tryOnce()) === null) return
    }
  }

  /** null when the connection stands, else what was wrong. */
  async #tryOnce(): Promise<unknown> {
    const client = newClient(this.#options.url)
    const { rememberMs } = this.#options
    const remembered = {
      session: new Remembered<Dated<SessionCopy>>(maxRemembered, rememberMs),
      account: new Remembered<Dated<AccountCopy>>(maxRemembered, rememberMs),
    }
    try {
      // The listener keeps node from treating a lost connection as a crash; it also is what tells us first.
      let onLost: (cause: unknown) => void = () => {}
      client.on('error', (cause) => onLost(cause))
      await withinMs(commandMs * 3, client.connect())
      const run = /^run_id:(\w{12})/m.exec(await withinMs(commandMs, client.info('server')))?.[1]
      if (!run) throw new Error('Redis did not tell its run_id')
      const prefix = `hufu:${run}:`
      const connection = { client, run, key: (name: CopyName) => prefix + name, remembered }
      client.on('invalidate', (key) =>
        forget(remembered, key === null ? null : String(key).slice(prefix.length)),
      )
      if (this.#closed || !client.isReady) throw new Error('the connection was lost again')
      onLost = (cause) => this.drop(connection, cause)
      this.#connection = connection
      this.#watch(connection)
      this.#options.onChange?.(true)
      return null
    } catch (error) {
      client.destroy()
      return error
    }
  }

  /** A paused or cut-off Redis says nothing at all, so it is asked all the time. */
  #watch(connection: RedisConnection): void {
    let answeredAt = performance.now()
    const { session, account } = connection.remembered
    this.#pings = setInterval(() => {
      session.forgetOld()
      account.forgetOld()
      if (performance.now() - answeredAt > silenceMs) {
        this.drop(connection, new Error(`no answer for ${silenceMs} ms`))
        return
      }
      connection.client.ping().then(
        () => {
          answeredAt = performance.now()
        },
        (cause) => this.drop(connection, cause),
      )
    }, pingEveryMs)
    this.#pings.unref()
  }
}

/** Redis says that the copy with this name has changed; null: that all of them have. */
function forget({ session, account }: RememberedCopies, name: string | null): void {
  if (name === null) {
    session.forgetAll()
    account.forgetAll()
  } else if (name.startsWith('session:')) session.forget(name.slice('session:'.length))
  else account.forget(name.slice('account:'.length))
}

async function withinMs<T>(ms: number, work: Promise<T>): Promise<T> {
  const late = new AbortController()
  try {
    return await Promise.race([
      work,
      sleep(ms, undefined, { signal: late.signal }).then(() => {
        throw new Error(`Redis did not answer within ${ms} ms`)
      }),
    ])
  } finally {
    late.abort()
  }
}
