// The client's address: that of the connection, or the one that a trusted proxy reports.
import type { IncomingMessage } from 'node:http'
import { isIP, isIPv6 } from 'node:net'
import proxyAddress from '@fastify/proxy-addr'
import type { FastifyInstance, FastifyRequest } from 'fastify'

declare module 'fastify' {
  interface FastifyRequest {
    /** As `ClientAddressOf` returns it. */
    readonly clientAddress: string | null
  }
}

/** Called for each request; null where the connection is closed. */
export type ClientAddressOf = (request: IncomingMessage) => string | null

/**
 * How to find a client's address: IPv4 in IPv6 (`::ffff:1.2.3.4`) becomes IPv4, IPv6 is as in RFC 5952, and a zone is removed.
 * @param trustedProxies addresses and CIDR blocks: the client is the right-most hop of `X-Forwarded-For` that
 * is not on the list. Where that hop is no address, it is the hop behind it: the proxy that passed it on.
 */
export function clientAddresses(trustedProxies: readonly string[]): ClientAddressOf {
  if (trustedProxies.length === 0) return ({ socket }) => plainAddress(socket.remoteAddress)
  const isOnList = proxyAddress.compile([...trustedProxies])
  const isTrusted = (address: string) => isOnList(address, 0)
  return ({ socket, headers }) => {
    const peer = plainAddress(socket.remoteAddress)
    if (peer === null || !isTrusted(peer)) return peer
    return clientBehind(peer, headers['x-forwarded-for'], isTrusted)
  }
}

/** Reads `X-Forwarded-For` from the right, where the trusted proxies have written, as far as the first hop that is not trusted. */
function clientBehind(
  proxy: string,
  // Node joins several headers of this name with commas, although its type allows a list.
  header: string | readonly string[] | undefined,
  isTrusted: (address: string) => boolean,
): string {
  const hops = String(header ?? '')
  let nearest = proxy
  for (let end = hops.length; end >= 0; ) {
    const comma = end === 0 ? -1 : hops.lastIndexOf(',', end - 1)
    const hop = hops.slice(comma + 1, end).trim()
    end = comma
    if (hop === '') continue
    const address = addressOfHop(hop)
    if (address === null) return nearest
    if (!isTrusted(address)) return address
    nearest = address
  }
  return nearest
}

/**
 * One hop: an address, perhaps with a port, IPv6 then in brackets, and perhaps in quotes, as `Forwarded` has them (RFC 7239, section 6).
 * null: no address, for example `unknown`.
 */
function addressOfHop(hop: string): string | null {
  if (isIP(hop) !== 0) return oneSpelling(hop)
  const text = /^"(.*)"$/.exec(hop)?.[1] ?? hop
  const [, ipv4, ipv6] = /^(?:([\d.]+)|\[([^\]]+)\])(?::\d{1,5})?$/.exec(text) ?? []
  if (ipv6 !== undefined) return isIPv6(ipv6) ? oneSpelling(ipv6) : null
  const address = ipv4 ?? text
  return isIP(address) === 0 ? null : oneSpelling(address)
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
