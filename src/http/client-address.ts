// Who asks, as an address: that of the connection, or what a trusted proxy says of it.
import { isIP } from 'node:net'
import type { FastifyRequest } from 'fastify'

/**
 * The client's address, IPv4 in IPv6 (`::ffff:1.2.3.4`) as IPv4 and without a zone; null where the connection is gone, or
 * where what a proxy passed on is no address.
 */
export function clientAddress(request: FastifyRequest): string | null {
  // Fastify's type does not tell that there is none once the connection is gone.
  const ip: string | undefined = request.ip
  if (ip === undefined) return null
  // Only what a proxy says may be anything.
  if (ip !== request.raw.socket.remoteAddress && isIP(ip) === 0) return null
  return plainAddress(ip)
}

/** An address of a connection, IPv4 in IPv6 as IPv4 and without a zone. */
export function plainAddress(ip: string): string
export function plainAddress(ip: string | undefined): string | undefined
export function plainAddress(ip: string | undefined): string | undefined {
  if (!ip?.includes(':')) return ip
  const address = ip.includes('%') ? ip.slice(0, ip.indexOf('%')) : ip
  return /^::ffff:\d+\./i.test(address) ? address.slice(7) : address
}
