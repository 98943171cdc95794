// The client's address: that of the connection, or the one that a trusted proxy reports.
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { isIP, isIPv6 } from 'node:net'
import proxyAddress from '@fastify/proxy-addr'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { shownHeader } from '../hidden-text.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** As `ClientAddressOf` returns it. */
    readonly clientAddress: string | null
  }
}

/** Called for each request; null where the connection is closed. */
export type ClientAddressOf = (request: IncomingMessage) => string | null

/** Whether an address is on the list of proxies. */
export type IsTrusted = (address: string) => boolean

/** A header with the client's address that is not used, and the peer that sent it. */
export interface IgnoredAddress {
  /**
   * `not_listed`: the peer is not on the list of proxies. `no_address`: what the proxy passed on is no
   * address. `not_read`: it sent a header that is never read, and no `X-Forwarded-For`.
   */
  readonly why: 'not_listed' | 'no_address' | 'not_read'
  readonly peer: string
  readonly header: string
  /** With `no_address`: the beginning of the text that is no address. */
  readonly hop?: string
}

/** @param trustedProxies addresses and CIDR blocks */
export function trustIn(trustedProxies: readonly string[]): IsTrusted {
  if (trustedProxies.length === 0) return () => false
  const isOnList = proxyAddress.compile([...trustedProxies])
  return (address) => isOnList(address, 0)
}

/**
 * How to find a client's address: IPv4 in IPv6 (`::ffff:1.2.3.4`) becomes IPv4, IPv6 is as in RFC 5952, and a
 * zone is removed. The client is the right-most hop of `X-Forwarded-For` that is not trusted. Where that hop
 * is no address, it is the hop behind it: the proxy that passed it on.
 */
export function clientAddresses(isTrusted: IsTrusted): ClientAddressOf {
  return (request) => {
    const peer = peerAddress(request)
    if (peer === null || !isTrusted(peer)) return peer
    return clientBehind(peer, hopsOf(request.headers), isTrusted)
  }
}

/** The address of the other end of the connection; null where it is closed. */
export function peerAddress({ socket }: Pick<IncomingMessage, 'socket'>): string | null {
  return plainAddress(socket.remoteAddress)
}

const forwardingHeaders = ['x-forwarded-for', 'forwarded', 'x-real-ip'] as const

/**
 * The header that names the client's address although nothing reads it; null: there is none, or it is read.
 */
export function ignoredAddress(
  { socket, headers }: IncomingMessage,
  isTrusted: IsTrusted,
): IgnoredAddress | null {
  const header = forwardingHeaders.find((name) => headers[name] !== undefined)
  const peer = peerAddress({ socket })
  if (header === undefined || peer === null) return null
  if (!isTrusted(peer)) return { why: 'not_listed', peer, header }
  if (header !== 'x-forwarded-for') return { why: 'not_read', peer, header }
  const hops = hopsOf(headers)
  // A hop that is no address ends the walk at a proxy.
  if (!isTrusted(clientBehind(peer, hops, isTrusted))) return null
  const hop = hops
    .split(',')
    .map((text) => text.trim())
    .findLast((text) => text !== '' && addressOfHop(text) === null)
  return hop === undefined ? null : { why: 'no_address', peer, header, hop: shownHeader(hop) }
}

/** Node joins several headers of this name with commas, although its type allows a list. */
function hopsOf(headers: IncomingHttpHeaders): string {
  return String(headers['x-forwarded-for'] ?? '')
}

/**
 * Reads `X-Forwarded-For` from the right, where the trusted proxies have written, as far as the first hop
 * that is not trusted.
 */
function clientBehind(proxy: string, hops: string, isTrusted: IsTrusted): string {
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
 * One hop: an address, perhaps with a port, IPv6 then in brackets, and perhaps in quotes, as `Forwarded` has
 * them (RFC 7239, section 6). null: no address, for example `unknown`.
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
