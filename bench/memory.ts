// Redis memory of a live session: what 100,000 of them (each of its own account) add to a Redis that was empty.
import { createClient } from 'redis'
import type { RedisServer } from '../test/services/redis.ts'
import { addFilledSessions } from './filled-sessions.ts'

export interface MemoryResult {
  readonly sessions: number
  readonly bytesPerSession: number
}

/** Writes the copies of `count` sessions as the server does, and asks Redis what they take. */
export async function benchMemory(redis: RedisServer, count: number): Promise<MemoryResult> {
  const client = await createClient({ url: redis.url }).connect()
  await client.flushAll()
  const before = await usedMemory(client)
  await addFilledSessions(redis.url, count)
  const keys = await client.dbSize()
  if (keys !== count) throw new Error(`${keys} copies instead of one for each of ${count} sessions`)
  const after = await usedMemory(client)
  await client.flushAll()
  client.destroy()
  return { sessions: count, bytesPerSession: (after - before) / count }
}

async function usedMemory(client: { info(section: string): Promise<string> }): Promise<number> {
  return Number(/^used_memory:(\d+)/m.exec(await client.info('memory'))?.[1])
}
