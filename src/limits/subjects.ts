// What the limits count by: addresses with their network, numbers with their prefix, all as hashes.
import { hash } from 'node:crypto'
import { isIPv4, isIPv6 } from 'node:net'
import { numberCountry, numberPrefix } from '../phone/phone.ts'
import type { CountedBy } from './limits.ts'

/** A caller, and the phone number that its request concerns. */
export interface LimitSubject {
  /** E.164; null where the account has none: no number is counted. */
  readonly phoneNumber: string | null
  /** null where the connection was closed before it was read; all such callers share one counter. */
  readonly address: string | null
  /** As the app sends it; null where it sends none: no device is counted. */
  readonly deviceId: string | null
  /**
   * The account of a signed-in client that confirms its identity again; null without one: no account is
   * counted.
   */
  readonly accountId: string | null
  /**
   * Identifies the valid device proof, or the signed-in account that owns the number; null where there is
   * none.
   */
  readonly proof: string | null
  /** The session of the request, where sessions are counted. */
  readonly sessionId?: string
}

/**
 * The key that is counted by `by`, as a hash: never a number or an address in plain text. Null where there is
 * none.
 */
export function subjectOf(by: CountedBy, subject: LimitSubject): string | null {
  const text = textOf(by, subject)
  return text === null ? null : hash('sha256', `${by}:${text}`, 'base64url').slice(0, 22)
}

function textOf(
  by: CountedBy,
  { phoneNumber, address, deviceId, accountId, sessionId, proof }: LimitSubject,
): string | null {
  switch (by) {
    case 'proof':
      return proof
    case 'caller':
      // Without a number, the account that the caller tries takes its place.
      return `${callerBlock(address)} ${phoneNumber ?? accountId}`
    case 'address':
      return callerBlock(address)
    case 'network':
      return addressBlock(address, 24, 48)
    case 'device':
      // A device id is no secret, and some apps send the same for all devices: requests with it from other
      // addresses must not count here.
      return deviceId === null ? null : `${callerBlock(address)} ${deviceId}`
    case 'account':
      return accountId
    case 'session':
      return sessionId ?? null
    case 'number':
      return phoneNumber
    case 'prefix':
      return phoneNumber === null ? null : numberPrefix(phoneNumber)
    case 'country':
      return phoneNumber === null ? null : numberCountry(phoneNumber)
    case 'server':
      return 'server'
  }
}

/** The first six groups of IPv6 addresses whose other two are an IPv4 address. */
const prefixesOfIPv4: ReadonlySet<string> = new Set([
  [0, 0, 0, 0, 0, 0xffff].join(),
  [0x64, 0xff9b, 0, 0, 0, 0].join(),
])

/** The block of addresses that one caller has: an IPv4 address, or an IPv6 network of 64 bits. */
export function callerBlock(address: string | null): string {
  return addressBlock(address, 32, 64)
}

/**
 * The network that an address belongs to, with this prefix length for IPv4 and for IPv6 (whole groups of 16
 * bits), or `unknown`. IPv4 in IPv6 is IPv4: mapped (`::ffff:1.2.3.4`, RFC 4291, section 2.5.5.2), and
 * translated (`64:ff9b::1.2.3.4`, RFC 6052, section 2.1), where all of IPv4 would be one block.
 */
export function addressBlock(address: string | null, bits4: 24 | 32, bits6: 48 | 64): string {
  const text = address?.split('%', 1)[0] ?? ''
  if (isIPv4(text)) return text.split('.', bits4 / 8).join('.')
  if (!isIPv6(text)) return 'unknown'
  const groups = groupsOf(text)
  const [g6 = 0, g7 = 0] = groups.slice(6)
  if (prefixesOfIPv4.has(groups.slice(0, 6).join())) {
    return addressBlock([g6 >> 8, g6 & 255, g7 >> 8, g7 & 255].join('.'), bits4, bits6)
  }
  const kept = groups.slice(0, bits6 / 16).map((group) => group.toString(16))
  return `${kept.join(':')}::`
}

/** The eight groups of an IPv6 address. The URL parser gives every spelling its canonical form (RFC 5952). */
function groupsOf(address: string): number[] {
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1)
  const [head = '', tail] = canonical.split('::')
  const numbers = (text: string | undefined) =>
    text ? text.split(':').map((group) => Number.parseInt(group, 16)) : []
  const [first, last] = [numbers(head), numbers(tail)]
  return [...first, ...Array<number>(8 - first.length - last.length).fill(0), ...last]
}
