// One watched connection to Redis: it is there and answers, or it is null. Nothing waits for it.
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient, defineScript, RESP_TYPES } from 'redis'
import { Remembered } from './remembered.ts'

/** A connection that has not answered a PING for this long is given up, and with it all that this process remembers. */
const silenceMs = 700
const pingEveryMs = 200
const commandMs = 500
const firstRetryMs = 100
const lastRetryMs = 2_000
/** Copies that this process remembers at most, some 800 bytes each; the oldest goes first. */
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
  parseCommand(parser, key: string, mark: string, copy: Buffer | string, life: number) {
    parser.pushKey(key)
    parser.push(mark, copy, String(life))
  },
  transformReply: (reply: number) => reply,
})

/**
 * Writes a copy where there is none, or an older one, or one of another Redis process; never where there is a mark or what
 * is no copy. A copy begins with the run of its Redis process and its position in the feed.
 */
const fillScript = defineScript({
  SCRIPT: `
    local now = redis.call('GET', KEYS[1])
    if now then
      local run, position = string.match(now, '^(%w+) (%d+) ')
      if not run or (run == ARGV[2] and tonumber(position) >= tonumber(ARGV[3])) then return 0 end
    end
    redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[4])
    return 1`,
  NUMBER_OF_KEYS: 1,
  parseCommand(parser, key: string, copy: Buffer, about: { run: string; position: number; life: number }) {
    parser.pushKey(key)
    parser.push(copy, about.run, String(about.position), String(about.life))
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

export interface RedisConnection {
  readonly client: ReturnType<typeof newClient>
  /** The bytes under a key. */
  get(key: string): Promise<Buffer | null>
  /** Which Redis process this is. Copies carry it, so that a restart or a fail-over starts from nothing, not from an old truth. */
  readonly run: string
  readonly remembered: Remembered
}

const keyPrefix = 'hufu:s:'

/** Where a session's copy stands. 29 characters: one more than 30 would take 16 bytes more of Redis's memory. */
export function keyOf(sessionId: string): string {
  return keyPrefix + sessionId
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
    connection.remembered.forgetAll()
    if (this.#pings) clearInterval(this.#pings)
    connection.client.destroy()
    if (this.#closed) return
    this.#options.onChange?.(false, cause)
    void this.#reconnect()
  }

  /** Forgets what this process remembers; the connection stays. */
  forgetAll(): void {
    this.#connection?.remembered.forgetAll()
  }

  /** What the commands give, or a rejection when Redis is too slow. */
  async within<T>(commands: Promise<T>): Promise<T> {
    return await withinMs(commandMs, commands)
  }

  async close(): Promise<void> {
    this.#closed = true
    const connection = this.#connection
    this.#connection = null
    connection?.remembered.forgetAll()
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
    const bytes = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer })
    const remembered = new Remembered(maxRemembered, this.#options.rememberMs)
    try {
      // The listener keeps node from treating a lost connection as a crash; it also is what tells us first.
      let onLost: (cause: unknown) => void = () => {}
      client.on('error', (cause) => onLost(cause))
      await withinMs(commandMs * 3, client.connect())
      const run = /^run_id:(\w{8})/m.exec(await withinMs(commandMs, client.info('server')))?.[1]
      if (!run) throw new Error('Redis did not tell its run_id')
      const connection = { client, get: (key: string) => bytes.get(key), run, remembered }
      client.on('invalidate', (key) => {
        if (key === null) remembered.forgetAll()
        else remembered.forget(String(key).slice(keyPrefix.length))
      })
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
    this.#pings = setInterval(() => {
      connection.remembered.forgetOld()
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
