// Tries each kind of command that a server sends to Redis, with the server's own code, under keys that are
// removed again.
import { randomText } from '../random-text.ts'
import { RedisConnections } from '../redis/connections.ts'
import { parseRedisUrl } from '../redis/redis-url.ts'
import {
  beginReading,
  type ConnectionState,
  keyOf,
  newSessionCacheClient,
  type SessionCacheClient,
} from '../session-cache/redis-client.ts'

/** @throws Redis's error for the first command that it refuses */
export async function tryRedis(url: string): Promise<void> {
  // Connecting turns on client tracking and loads the scripts.
  let failure: unknown
  const connections = new RedisConnections<SessionCacheClient, ConnectionState>({
    place: parseRedisUrl(url),
    newClient: newSessionCacheClient,
    begin: (client) => beginReading(client, 1_000),
    onChange: (report) => {
      failure = report.state === 'ok' ? undefined : report.cause
    },
  })
  try {
    await connections.connect()
    if (!connections.isReachable()) throw failure ?? new Error('no connection')
    const key = keyOf(`doctor-${randomText(9)}`)
    await connections.ask(key, async ({ client, run, state }) => {
      try {
        await client.set(key, 'mark:doctor', { expiration: { type: 'EX', value: 10 } })
        await client.settle(key, 'mark:doctor', `${run} 0 doctor`, 10)
        await client.fill(key, Buffer.from(`${run} 1 doctor`), { run, position: 1, life: 10 })
        await state.get(key)
      } finally {
        await client.del(key).catch(() => null)
      }
      await client.del(key)
    })
  } finally {
    await connections.close()
  }
}
