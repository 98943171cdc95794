// Counters in Redis, for any number of servers. Where Redis does not answer, nothing is counted and nothing is allowed.
import { createClient, defineScript } from 'redis'
import { AppError } from '../errors.ts'
import { RedisLink } from '../redis/link.ts'
import { nodeOptions } from '../redis/node.ts'
import { redisPlace } from '../redis/place.ts'
import { type AskedBucket, type LimitStore, type Spent, slotMsOf, type Window } from './store.ts'

/**
 * One bucket, one hash: `last`, and `<length of the window>:<slot>` for each slot. The clock is Redis's own, so that the
 * servers' clocks do not matter. The arithmetic is that of store-memory.ts; one contract suite runs on both.
 */
const waitScript = `
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local last, slots, stale, life = 0, {}, {}, 0
  for i = 1, #ARGV, 4 do slots[ARGV[i + 1]] = {} end

  local stored = redis.call('HGETALL', KEYS[1])
  for i = 1, #stored, 2 do
    local window, slot = string.match(stored[i], '^(%d+):(%d+)$')
    if stored[i] == 'last' then
      last = tonumber(stored[i + 1])
    elseif window and slots[window] then
      table.insert(slots[window], { tonumber(slot), tonumber(stored[i + 1]), stored[i] })
    else
      table.insert(stale, stored[i])
    end
  end

  local function wait_of(extra, from, note_stale)
    local wait = 0
    for i = 1, #ARGV, 4 do
      local max, ms, slot_ms = tonumber(ARGV[i]), tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
      local count, live = extra, {}
      for _, entry in ipairs(slots[ARGV[i + 1]]) do
        if (entry[1] + 1) * slot_ms + ms <= now then
          if note_stale then table.insert(stale, entry[3]) end
        else
          count = count + entry[2]
          table.insert(live, entry)
        end
      end
      if extra > 0 then table.insert(live, { math.floor(now / slot_ms), extra }) end
      if count >= max then
        table.sort(live, function(a, b) return a[1] < b[1] end)
        local left, full = count - max + 1, ms
        for _, entry in ipairs(live) do
          left = left - entry[2]
          if left <= 0 then
            full = (entry[1] + 1) * slot_ms + ms - now
            break
          end
        end
        wait = math.max(wait, full)
      end
      local cool_downs = {}
      for cool_down in string.gmatch(ARGV[i + 3], '%d+') do table.insert(cool_downs, tonumber(cool_down)) end
      if count > 0 and #cool_downs > 0 then
        wait = math.max(wait, from + cool_downs[math.min(count, #cool_downs)] - now)
      end
    end
    return wait
  end

  local wait = wait_of(0, last, true)
  if #stale > 0 then redis.call('HDEL', KEYS[1], unpack(stale)) end`

/** Says how long one more would have to wait, and counts nothing. */
const peekScript = `${waitScript}
  return wait`

const spendScript = `${waitScript}
  if wait > 0 then return { wait, wait, now } end
  for i = 1, #ARGV, 4 do
    local ms, slot_ms = tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
    redis.call('HINCRBY', KEYS[1], string.format('%s:%.0f', ARGV[i + 1], math.floor(now / slot_ms)), 1)
    life = math.max(life, ms + slot_ms)
  end
  redis.call('HSET', KEYS[1], 'last', string.format('%.0f', now))
  redis.call('PEXPIRE', KEYS[1], life)
  return { 0, wait_of(1, now, false), now }`

/** Fields that are there and above 1 lose one; at 1 they go. */
const giveBackScript = `
  for _, field in ipairs(ARGV) do
    local count = tonumber(redis.call('HGET', KEYS[1], field) or 0)
    if count > 1 then redis.call('HINCRBY', KEYS[1], field, -1)
    elseif count == 1 then redis.call('HDEL', KEYS[1], field) end
  end
  return 1`

function scriptOnOneKey<Reply, T>(text: string, transformReply: (reply: Reply) => T) {
  return defineScript({
    SCRIPT: text,
    NUMBER_OF_KEYS: 1,
    parseCommand(parser, key: string, args: readonly string[]) {
      parser.pushKey(key)
      parser.push(...args)
    },
    transformReply,
  })
}

function toSpent([waitMs, nextMs, at]: [number, number, number]): Spent {
  return { waitMs, nextMs, at }
}

function argumentsOf(windows: readonly Window[]): string[] {
  return windows.flatMap((window) => [
    String(window.max),
    String(window.ms),
    String(slotMsOf(window)),
    window.coolDownMs.join(','),
  ])
}

function newClient(url: string) {
  return createClient({
    ...nodeOptions(url),
    scripts: {
      spendLimit: scriptOnOneKey(spendScript, toSpent),
      peekLimit: scriptOnOneKey(peekScript, (wait: number) => wait),
      giveBackLimit: scriptOnOneKey(giveBackScript, (reply: number) => reply),
    },
  })
}

type Client = ReturnType<typeof newClient>

/** Keys `hufu:limit:…`, each with an expiry, each used alone, so that a cluster needs nothing special. */
export class RedisLimits implements LimitStore {
  readonly #link: RedisLink<Client, null>

  constructor(url: string) {
    this.#link = new RedisLink({
      place: redisPlace(url),
      newClient,
      async begin(client) {
        // A command that follows its slot to another node holds the door open for one command, not for a second try.
        await Promise.all(
          [spendScript, peekScript, giveBackScript].map((script) => client.scriptLoad(script)),
        )
        return null
      },
    })
  }

  /** Tries to connect once; further tries go on in the background until `close`. */
  async connect(): Promise<void> {
    await this.#link.connect()
  }

  async spend(key: string, windows: readonly Window[]): Promise<Spent> {
    const args = argumentsOf(windows)
    return await this.#ask(key, (client, name) => client.spendLimit(name, args))
  }

  async peek(key: string, windows: readonly Window[]): Promise<number> {
    const args = argumentsOf(windows)
    return await this.#ask(key, (client, name) => client.peekLimit(name, args))
  }

  /** One bucket after the other, because each may be on another primary; what was counted before a refusal is taken back. */
  async spendAll(asked: readonly AskedBucket[]): Promise<readonly Spent[]> {
    const spent: Spent[] = []
    for (const { key, windows } of asked) spent.push(await this.spend(key, windows))
    if (!spent.some(({ waitMs }) => waitMs > 0)) return spent
    const counted = asked.flatMap((bucket, i) => {
      const { waitMs = 0, at = 0 } = spent[i] ?? {}
      return waitMs > 0 ? [] : [{ ...bucket, at }]
    })
    await Promise.all(counted.map(({ key, windows, at }) => this.giveBack(key, windows, at)))
    return spent
  }

  async giveBack(key: string, windows: readonly Window[], at: number): Promise<void> {
    const fields = windows.map((window) => `${window.ms}:${Math.floor(at / slotMsOf(window))}`)
    await this.#ask(key, (client, name) => client.giveBackLimit(name, fields))
  }

  async forget(key: string): Promise<void> {
    await this.#ask(key, (client, name) => client.del(name))
  }

  isReachable(): boolean {
    return this.#link.isReachable()
  }

  async close(): Promise<void> {
    await this.#link.close()
  }

  /** @throws AppError `unavailable` where Redis does not answer in time */
  async #ask<T>(key: string, command: (client: Client, name: string) => Promise<T>): Promise<T> {
    const name = `hufu:limit:${key}`
    try {
      return await this.#link.ask(name, ({ client }) => command(client, name))
    } catch (cause) {
      throw new AppError('unavailable', { retryAfterSeconds: 1 }, { cause })
    }
  }
}
