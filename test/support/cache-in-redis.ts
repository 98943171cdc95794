// Reads and writes the session cache's entries in Redis directly.
import { createClient, RESP_TYPES } from 'redis'
import { keyOf } from '../../src/session-cache/redis-client.ts'
import type { StoredSession } from '../../src/session-cache/session-cache.ts'
import { decodeSession } from '../../src/session-cache/session-codec.ts'

export interface EntryInRedis {
  readonly bytes: Buffer
  /** null for a mark. */
  readonly copy: StoredSession | null
  readonly lifeSeconds: number
}

export async function openCacheInRedis(url: string) {
  const client = createClient({ url, socket: { reconnectStrategy: false } })
  client.on('error', () => {})
  await client.connect()
  // READONLY, so that a replica in a cluster responds too.
  await client.sendCommand(['READONLY']).catch(() => {})
  const reader = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer })
  return {
    /** null if the key does not exist. */
    async read(sessionId: string): Promise<EntryInRedis | null> {
      const [bytes, lifeSeconds] = [await reader.get(keyOf(sessionId)), await client.ttl(keyOf(sessionId))]
      if (bytes === null) return null
      const begin = bytes.indexOf(' ', bytes.indexOf(' ') + 1) + 1
      return { bytes, copy: decodeSession(sessionId, bytes.subarray(begin)), lifeSeconds }
    },
    /** Replaces the value, and keeps its expiry. */
    async write(sessionId: string, bytes: string | Buffer): Promise<void> {
      await client.set(keyOf(sessionId), bytes, { expiration: 'KEEPTTL' })
    },
    /** Whether the key existed. */
    async remove(sessionId: string): Promise<boolean> {
      return (await client.del(keyOf(sessionId))) === 1
    },
    async everything(): Promise<string> {
      const keys = await client.keys('hufu:*')
      const found = await Promise.all(
        keys.map(async (key) => ((await client.type(key)) === 'string' ? await reader.get(key) : null)),
      )
      return keys.map((key, i) => `${key} ${found[i]?.toString('latin1')}`).join('\n')
    },
    close: async () => client.destroy(),
  }
}

/** Whether a Redis contains an entry of a live session. */
export async function holdsLiveEntry(url: string, sessionId: string): Promise<boolean> {
  const cache = await openCacheInRedis(url)
  const found = await cache.read(sessionId)
  await cache.close()
  return found?.copy?.ending === null
}
