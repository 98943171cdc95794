// The client's address: that of the connection, or the one that a trusted proxy reports.
import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import proxyAddress from '@fastify/proxy-addr'
import type { FastifyInstance, FastifyRequest } from 'fastify'

declare module 'fastify' {
  interface FastifyRequest {
    /** As `ClientAddressOf` returns it. */
    readonly clientAddress: string | null
  }
}

/**
 * Called for each request; null where the connection is closed, or where a proxy passed on text that is no
 * address.
 */
export type ClientAddressOf = (request: IncomingMessage) => string | null

/**
 * How to find a client's address: IPv4 in IPv6 (`::ffff:1.2.3.4`) becomes IPv4, and a zone is removed.
 * @param trustedProxies addresses and CIDR blocks: the client is the right-most hop of `X-Forwarded-For` that
 * is not on the list
 */
export function clientAddresses(trustedProxies: readonly string[]): ClientAddressOf {
  if (trustedProxies.length === 0) return ({ socket }) => plainAddress(socket.remoteAddress)
  const isTrusted = proxyAddress.compile([...trustedProxies])
  return (request) => {
    // The library's type does not say that there is no address once the connection is closed.
    const ip: string | undefined = proxyAddress(request, isTrusted)
    // An address from the connection is valid; one from a proxy may be any text.
    if (ip !== request.socket.remoteAddress && ip !== undefined && isIP(ip) === 0) return null
    return plainAddress(ip)
  }
}

/** Sets `clientAddress` on each request of an app. */
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
