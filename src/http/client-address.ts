// Who asks, as an address: that of the connection, or what a trusted proxy says of it.
import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import proxyAddress from '@fastify/proxy-addr'
import type { FastifyInstance, FastifyRequest } from 'fastify'

declare module 'fastify' {
  interface FastifyRequest {
    /** As `ClientAddressOf` tells it. */
    readonly clientAddress: string | null
  }
}

/** Looked up for each request; null where the connection is gone, or where what a proxy passed on is no address. */
export type ClientAddressOf = (request: IncomingMessage) => string | null

/**
 * How to know a client's address: IPv4 in IPv6 (`::ffff:1.2.3.4`) as IPv4, and without a zone.
 * @param trustedProxies addresses and CIDR blocks: the client is the right-most hop of `X-Forwarded-For` that is not on the list
 */
export function clientAddresses(trustedProxies: readonly string[]): ClientAddressOf {
  if (trustedProxies.length === 0) return ({ socket }) => plainAddress(socket.remoteAddress)
  const isTrusted = proxyAddress.compile([...trustedProxies])
  return (request) => {
    // The library's type does not tell that there is none once the connection is gone.
    const ip: string | undefined = proxyAddress(request, isTrusted)
    // Only what a proxy says may be anything.
    if (ip !== request.socket.remoteAddress && ip !== undefined && isIP(ip) === 0) return null
    return plainAddress(ip)
  }
}

/** Gives each request of an app its `clientAddress`. */
export function tellClientAddress(app: FastifyInstance, addressOf: ClientAddressOf): void {
  app.decorateRequest('clientAddress', {
    getter(this: FastifyRequest) {
      return addressOf(this.raw)
    },
  })
}

function plainAddress(ip: string | undefined): string | null {
  if (!ip?.includes(':')) return ip ?? null
  const address = ip.includes('%') ? ip.slice(0, ip.indexOf('%')) : ip
  return /^::ffff:\d+\./i.test(address) ? address.slice(7) : address
}
