// Reads the topology of a Redis Cluster: the slots of each primary, and redirections of commands.
import type { Address } from './redis-url.ts'

export const slotCount = 16_384

/** A range of slots, and the primary that serves it. */
export interface Shard {
  readonly from: number
  readonly to: number
  readonly address: Address
}

/** The cluster reports that it is down. */
export class ClusterDown extends Error {}

const crcTable = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1
  return crc
})

/**
 * The slot of a key, which is ASCII without braces: CRC16 (XMODEM), as in the Redis Cluster specification.
 */
export function slotOf(key: string): number {
  let crc = 0
  for (let i = 0; i < key.length; i++)
    crc = ((crc << 8) & 0xffff) ^ (crcTable[((crc >> 8) ^ key.charCodeAt(i)) & 0xff] ?? 0)
  return crc % slotCount
}

/** The topology as one node reports it. @throws ClusterDown */
export async function readShards(
  send: (words: string[]) => Promise<unknown>,
  asked: Address,
): Promise<Shard[]> {
  const [state, ranges] = await Promise.all([send(['CLUSTER', 'INFO']), send(['CLUSTER', 'SLOTS'])])
  if (!/^cluster_state:ok/m.test(String(state)))
    throw new ClusterDown(`${asked} says that the cluster is down`)
  // [[from, to, [host, port, …] of the primary, … of its replicas], …]
  return (ranges as [number, number, [string | null, number]][]).map(([from, to, [host, port]]) => ({
    from,
    to,
    address: `${shownHost(host, asked)}:${port}`,
  }))
}

/** A node may not know its own host name. It then is the one that the client connected to. */
function shownHost(host: string | null, asked: Address): string {
  if (host === null || host === '' || host === '?') return asked.slice(0, asked.lastIndexOf(':'))
  return host.includes(':') ? `[${host}]` : host
}

export type Redirection =
  /** The slot has moved there permanently. */
  | { readonly kind: 'moved'; readonly address: Address }
  /** The slot is being migrated there, and this node does not have the key. */
  | { readonly kind: 'ask'; readonly address: Address }
  /** No node serves the slot now. */
  | { readonly kind: 'down' }

/** The redirection in the error of a command, which was not executed; null where the error is another one. */
export function redirectionOf(error: unknown): Redirection | null {
  const message = error instanceof Error ? error.message : ''
  const [, word, address = ''] = /^(MOVED|ASK) \d+ (\S+)/.exec(message) ?? []
  if (word === 'MOVED') return { kind: 'moved', address }
  if (word === 'ASK') return { kind: 'ask', address }
  return /^(CLUSTERDOWN|TRYAGAIN) /.test(message) ? { kind: 'down' } : null
}
