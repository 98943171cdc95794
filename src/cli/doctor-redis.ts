// What doctor wants to know about a Redis.
import { createClient } from 'redis'

export interface RedisFacts {
  readonly version: string
  readonly maxmemoryPolicy: string
  readonly isReplica: boolean
  /** How far its clock is ahead of ours, in milliseconds. */
  readonly clockAheadMs: number
}

/** Asks a Redis for facts about itself. @throws what the connection threw, within two seconds */
export async function probeRedis(url: string): Promise<RedisFacts> {
  const client = createClient({ url, RESP: 3, socket: { connectTimeout: 2_000, reconnectStrategy: false } })
  client.on('error', () => {})
  try {
    await client.connect()
    const info = await client.info()
    const read = (name: string) => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? ''
    const [seconds = '0', microseconds = '0'] = await client.sendCommand<string[]>(['TIME'])
    return {
      version: read('redis_version'),
      maxmemoryPolicy: read('maxmemory_policy'),
      isReplica: read('role') !== 'master',
      clockAheadMs: Math.round(Number(seconds) * 1000 + Number(microseconds) / 1000 - Date.now()),
    }
  } finally {
    client.destroy()
  }
}
