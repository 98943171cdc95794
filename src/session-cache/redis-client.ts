// The client that copies use: their keys, their scripts, and what this process remembers of what it read with it.
import { createClient, defineScript, RESP_TYPES } from 'redis'
import type { Connection, Memory } from '../redis/connection.ts'
import { nodeOptions } from '../redis/node.ts'
import { settleMarkSeconds } from '../timing.ts'
import { ClientSideCache } from './client-side-cache.ts'
import { entryFormat } from './session-codec.ts'

/** Copies that this process remembers at most, some 800 bytes each; the oldest goes first. */
const maxRemembered = 100_000
const keyPrefix = 'hufu:s:'

/** Where a session's copy stands. 29 characters: one more than 30 would take 16 bytes more of Redis's memory. */
export function keyOf(sessionId: string): string {
  return keyPrefix + sessionId
}

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
    redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[4])
    return 0`,
  NUMBER_OF_KEYS: 1,
  parseCommand(parser, key: string, mark: string, copy: Buffer | string, life: number) {
    parser.pushKey(key)
    parser.push(mark, copy, String(life), String(settleMarkSeconds))
  },
  transformReply: (reply: number) => reply,
})

/**
 * Writes a copy where there is none, or an older one, or one of another Redis process; never where there is a mark or what
 * is no copy. A copy begins with the run of its Redis process, its position in the feed, and its format (session-codec.ts). At the
 * same position the newer format wins, so servers of two versions do not write over each other's copies in turn.
 */
const fillScript = defineScript({
  SCRIPT: `
    local now = redis.call('GET', KEYS[1])
    if now then
      local run, text, at = string.match(now, '^(%w+) (%d+) ()')
      if not run then return 0 end
      if run == ARGV[2] then
        local position, mine = tonumber(text), tonumber(ARGV[3])
        local format = (string.byte(now, at) or 0) * 256 + (string.byte(now, at + 1) or 0)
        if position > mine or (position == mine and format >= tonumber(ARGV[4])) then return 0 end
      end
    end
    redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[5])
    return 1`,
  NUMBER_OF_KEYS: 1,
  parseCommand(parser, key: string, copy: Buffer, about: { run: string; position: number; life: number }) {
    parser.pushKey(key)
    parser.push(copy, about.run, String(about.position), String(entryFormat), String(about.life))
  },
  transformReply: (reply: number) => reply,
})

export function newSessionCacheClient(url: string) {
  return createClient({
    ...nodeOptions(url),
    emitInvalidate: true,
    scripts: { settle: settleScript, fill: fillScript },
  })
}

export type SessionCacheClient = ReturnType<typeof newSessionCacheClient>
export type SessionCacheConnection = Connection<SessionCacheClient, ConnectionState>

/** What goes with one connection, and is forgotten with it. */
export interface ConnectionState extends Memory {
  readonly remembered: ClientSideCache
  /** The bytes under a key. Redis announces changes of keys that are there, and only of these. */
  get(key: string): Promise<Buffer | null>
}

/** @param rememberMs how long what was read may be remembered */
export async function beginReading(client: SessionCacheClient, rememberMs: number): Promise<ConnectionState> {
  const bytes = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer })
  const remembered = new ClientSideCache(maxRemembered, rememberMs)
  client.on('invalidate', (key) => {
    if (key === null) remembered.forgetAll()
    else remembered.forget(String(key).slice(keyPrefix.length))
  })
  // Redis remembers each key of which it has to announce changes (`tracking-table-max-keys`, a million). With OPTIN these are the
  // keys that we name: anybody can send tokens with made-up ids, and their keys would fill that table for nothing.
  await client.sendCommand(['CLIENT', 'TRACKING', 'OFF'])
  await client.sendCommand(['CLIENT', 'TRACKING', 'ON', 'OPTIN'])
  // A command that follows its slot to another node may not be tried a second time there.
  await Promise.all([settleScript, fillScript].map(({ SCRIPT }) => client.scriptLoad(SCRIPT)))
  return {
    remembered,
    async get(key) {
      if ((await client.exists(key)) === 0) return null
      // Without a pause between the two, nothing comes between them on the connection: CACHING is for the next command.
      const [, value] = await Promise.all([client.sendCommand(['CLIENT', 'CACHING', 'YES']), bytes.get(key)])
      return value
    },
    forgetAll: () => remembered.forgetAll(),
    forgetOld: () => remembered.forgetOld(),
  }
}
