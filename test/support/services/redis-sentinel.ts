/** A Redis primary with two replicas, watched by three sentinels: six real processes on free ports. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { getBinary } from './binaries.ts'
import type { TlsFiles } from './certificates.ts'
import { createFolder, removeFolder } from './folders.ts'
import { freePort } from './ports.ts'
import { startServer } from './processes.ts'
import { type RedisServer, sendRedisCommand, startRedis, tlsSettings } from './redis.ts'
import { until } from './until.ts'

export interface RedisSentinels {
  /** As HUFU_REDIS_URL takes it. */
  readonly url: string
  readonly servers: readonly RedisServer[]
  readonly sentinels: readonly Sentinel[]
  /** The primary according to the sentinels. */
  primary(): Promise<RedisServer>
  /** Resolves when the sentinels have promoted another server, and the others replicate it. */
  failedOver(from: RedisServer): Promise<RedisServer>
  stop(): Promise<void>
}

interface Sentinel {
  readonly url: string
  command(...words: string[]): Promise<unknown>
  stop(): Promise<void>
}

export const primaryName = 'hufu-primary'
const downAfterMs = 500
const failoverMs = 3_000
/**
 * Shorter periods than the sentinels' defaults, so that tests wait less. A fail-over must take less than four
 * publishing periods; otherwise another sentinel takes the promoted server for a misconfigured primary and
 * demotes it.
 */
const periodsMs = {
  'info-period': 100,
  'ping-period': 100,
  'ask-period': 100,
  'publish-period': 600,
  // On a busy machine a sentinel measures a jump of time, and by default does nothing for half a minute.
  'tilt-trigger': 30_000,
  'tilt-period': 1_000,
}

/** Starts them and waits until each sentinel knows all the others; throws MissingBinary. */
export async function startRedisSentinels(tls?: TlsFiles): Promise<RedisSentinels> {
  const first = await startRedis({ tls, args: ['--repl-diskless-sync-delay', '0'] })
  const follow = ['--replicaof', '127.0.0.1', `${first.port}`, '--repl-diskless-sync-delay', '0']
  const servers = [
    first,
    ...(await Promise.all([startRedis({ tls, args: follow }), startRedis({ tls, args: follow })])),
  ]
  const sentinels = await Promise.all(Array.from({ length: 3 }, () => startSentinel(first.port, tls)))
  const stop = async () => {
    await Promise.all([...sentinels, ...servers].map((server) => server.stop()))
  }
  const primary = async (asked = sentinels[0]) => {
    const [, port] = (await asked?.command('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', primaryName)) as string[]
    return servers.find((server) => server.port === Number(port)) ?? Promise.reject(new Error('no primary'))
  }
  try {
    await until(async () => {
      const infos = await Promise.all(
        sentinels.map(({ command }) => command('INFO', 'sentinel').then(String)),
      )
      const replication = String(await first.command('INFO', 'replication'))
      const isWhole = infos.every((info) => /status=ok.*slaves=2,sentinels=3/.test(info))
      return isWhole && replication.match(/state=online/g)?.length === 2
    })
  } catch (error) {
    await stop()
    throw error
  }
  return {
    url: `${tls ? 'rediss' : 'redis'}+sentinel://${sentinels.map(({ url }) => new URL(url).host).join(',')}/${primaryName}`,
    servers,
    sentinels,
    primary,
    async failedOver(from) {
      await until(async () => {
        const seen = await Promise.all(sentinels.map((sentinel) => primary(sentinel).catch(() => from)))
        return seen.every((server) => server !== from && server === seen[0])
      })
      return await primary()
    },
    stop,
  }
}

async function startSentinel(primaryPort: number, tls?: TlsFiles): Promise<Sentinel> {
  const file = getBinary(['redis-server', 'valkey-server'], 'redis-server')
  const [port, folder] = [await freePort(), createFolder('sentinel')]
  const url = `${tls ? 'rediss' : 'redis'}://127.0.0.1:${port}`
  // A sentinel saves its state in its file.
  const path = join(folder, 'sentinel.conf')
  const settings = [
    ...(tls ? tlsSettings(port, tls).map((setting) => setting.join(' ')) : [`port ${port}`]),
    'bind 127.0.0.1',
    `dir ${folder}`,
    `sentinel monitor ${primaryName} 127.0.0.1 ${primaryPort} 2`,
    `sentinel down-after-milliseconds ${primaryName} ${downAfterMs}`,
    `sentinel failover-timeout ${primaryName} ${failoverMs}`,
    `sentinel parallel-syncs ${primaryName} 2`,
  ]
  writeFileSync(path, `${settings.join('\n')}\n`)
  const command = (...words: string[]) => sendRedisCommand(url, ...words)
  const program = { file, args: [path, '--sentinel'], folder, owner: null }
  const server = await startServer(program, () => command('PING').then(() => {}))
  // For Redis 7 and newer; an older one takes some seconds more.
  for (const [period, ms] of Object.entries(periodsMs))
    await command('SENTINEL', 'DEBUG', period, `${ms}`).catch(() => {})
  const stop = async () => {
    await server.stop()
    removeFolder(folder)
  }
  return { url, command, stop }
}
