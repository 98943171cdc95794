// The Redis client of the session cache: its keys, its scripts, and the client-side cache of each connection.
import { createClient, defineScript, RESP_TYPES } from 'redis'
import type { Connection, ConnectionMemory } from '../redis/connection.ts'
import { nodeOptions } from '../redis/node.ts'
import { settleMarkSeconds } from '../timing.ts'
import { ClientSideCache } from './client-side-cache.ts'
import { entryFormat } from './session-codec.ts'

/** The most entries in the client-side cache, some 800 bytes each; the oldest is evicted first. */
const maxEntries = 100_000
const keyPrefix = 'hufu:s:'

/**
 * The key of a session's cache entry. It has 29 characters: more than 30 would take 16 bytes more of Redis's
 * memory.
 */
export function keyOf(sessionId: string): string {
  return keyPrefix + sessionId
}

/** The key of the time when a session was last used. */
export function useKeyOf(sessionId: string): string {
  return `hufu:u:${sessionId}`
}

/** The key that exists while a server reads the feed of this history. */
export function watchKeyOf(history: string): string {
  return `hufu:feed:${history}`
}

/**
 * Replaces our own mark by the entry; where there is no entry to write, the mark stays and expires. The mark
 * of another writer stays, because that writer knows a later state. Anything else means that our mark has
 * expired and that a reader may have filled an old state: the key is marked again, for longer than a fill can
 * be late.
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
  parseCommand(parser, key: string, mark: string, stored: Buffer | string, life: number) {
    parser.pushKey(key)
    parser.push(mark, stored, String(life), String(settleMarkSeconds))
  },
  transformReply: (reply: number) => reply,
})

/**
 * Writes an entry where there is none, an older one, or one of another Redis process; never over a mark or
 * over a value that is not an entry. An entry begins with its run (the run id of its Redis process, and the
 * history of the database), its step in the feed, and its format (session-codec.ts). At the same position the
 * newer format wins, so that servers of two versions do not overwrite each other's entries in turn.
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
  parseCommand(parser, key: string, stored: Buffer, about: { run: string; position: number; life: number }) {
    parser.pushKey(key)
    parser.push(stored, about.run, String(about.position), String(entryFormat), String(about.life))
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

/** The state of one connection; it is dropped with the connection. */
export interface ConnectionState extends ConnectionMemory {
  readonly clientSideCache: ClientSideCache
  /** The bytes under a key. Redis tracks only keys that exist, and announces only their changes. */
  get(key: string): Promise<Buffer | null>
}

/** @param lifeMs how long an entry may stay in the client-side cache */
export async function beginReading(client: SessionCacheClient, lifeMs: number): Promise<ConnectionState> {
  const bytes = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer })
  const clientSideCache = new ClientSideCache(maxEntries, lifeMs)
  client.on('invalidate', (key) => {
    if (key === null) clientSideCache.clear()
    else clientSideCache.invalidate(String(key).slice(keyPrefix.length))
  })
  // Redis keeps a list of each key whose changes it has to announce (`tracking-table-max-keys`, a million).
  // OPTIN restricts that list to keys that we name. Without it, a client could fill the list by sending
  // tokens with made-up session ids.
  await client.sendCommand(['CLIENT', 'TRACKING', 'OFF'])
  await client.sendCommand(['CLIENT', 'TRACKING', 'ON', 'OPTIN'])
  // In a cluster, a command that follows its slot to another node must not be tried there a second time. So
  // both scripts are loaded in advance.
  await Promise.all([settleScript, fillScript].map(({ SCRIPT }) => client.scriptLoad(SCRIPT)))
  return {
    clientSideCache,
    async get(key) {
      if ((await client.exists(key)) === 0) return null
      // Both commands are sent without a pause, so no other command comes between them: CACHING applies to
      // the next command of the connection.
      const [, value] = await Promise.all([client.sendCommand(['CLIENT', 'CACHING', 'YES']), bytes.get(key)])
      return value
    },
    clear: () => clientSideCache.clear(),
    evictExpired: () => clientSideCache.evictExpired(),
  }
}
