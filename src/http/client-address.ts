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
 * How to find a client's address: IPv4 in IPv6 (`::ffff:1.2.3.4`) becomes IPv4, IPv6 is as in RFC 5952, and a zone is removed.
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
    if (ip === undefined || ip === request.socket.remoteAddress) return plainAddress(ip)
    return isIP(ip) === 0 ? null : oneSpelling(ip)
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

/** An address that a proxy passed on, which may have any spelling. What a socket says has one already. */
function oneSpelling(ip: string): string {
  const plain = plainAddress(ip) ?? ip
  if (!plain.includes(':')) return plain
  const address = new URL(`http://[${plain}]`).hostname.slice(1, -1)
  const groups = /^::ffff:([0-9a-f]+):([0-9a-f]+)$/.exec(address)
  if (!groups) return address
  const bits = groups.slice(1).map((group) => Number.parseInt(group, 16))
  return bits.flatMap((group) => [group >> 8, group & 255]).join('.')
}
