// The networks that a service key may be used from: addresses and CIDR blocks (RFC 4632).
import { isIPv4, isIPv6 } from 'node:net'

/** A block of addresses: those whose first `bits` bits are those of `bytes`. */
interface Block {
  /** 4 bytes for IPv4, 16 for IPv6. */
  readonly bytes: Uint8Array
  readonly bits: number
}

/**
 * A network as it is stored, `10.0.0.0/8` or `2001:db8::/32`; an address alone is a block of one. null: the
 * text is no network, or it has bits behind the prefix (`10.1.2.3/8`): the operator meant another one.
 */
export function parseNetwork(text: string): string | null {
  const block = blockOf(text)
  return block === null || hasBitsBehind(block) ? null : networkText(block)
}

/** The network around an address that uses of a key are noted by: the /24 of IPv4, the /48 of IPv6. */
export function networkAround(address: string): string | null {
  const bytes = bytesOf(address)
  if (bytes === null) return null
  const bits = bytes.length === 4 ? 24 : 48
  return networkText({ bytes: bytes.map((byte, i) => byte & maskOf(bits, i)), bits })
}

/** Whether one of the networks contains an address. An address that is not known is in none. */
export function isInNetworks(networks: readonly string[], address: string | null): boolean {
  const one = address === null ? null : blockOf(address)
  return one !== null && networks.some((network) => contains(blockOf(network), one))
}

/** Whether each of the inner networks is in one of the outer ones. */
export function areWithin(inner: readonly string[], outer: readonly string[]): boolean {
  return inner.every((text) => {
    const block = blockOf(text)
    return block !== null && outer.some((network) => contains(blockOf(network), block))
  })
}

function contains(outer: Block | null, inner: Block): boolean {
  if (outer === null || outer.bytes.length !== inner.bytes.length || outer.bits > inner.bits) return false
  return outer.bytes.every((byte, i) => {
    const mask = maskOf(outer.bits, i)
    return (byte & mask) === ((inner.bytes[i] ?? 0) & mask)
  })
}

function hasBitsBehind({ bytes, bits }: Block): boolean {
  return bytes.some((byte, i) => (byte & ~maskOf(bits, i) & 0xff) !== 0)
}

/** The bits of one byte that belong to a prefix of this length. */
function maskOf(bits: number, at: number): number {
  return (0xff << (8 - Math.min(8, Math.max(0, bits - 8 * at)))) & 0xff
}

function blockOf(text: string): Block | null {
  const [address = '', prefix, ...more] = text.split('/')
  const bytes = bytesOf(address)
  if (bytes === null || more.length > 0) return null
  const max = 8 * bytes.length
  if (prefix === undefined) return { bytes, bits: max }
  const bits = /^(0|[1-9]\d{0,2})$/.test(prefix) ? Number(prefix) : Number.NaN
  return bits >= 0 && bits <= max ? { bytes, bits } : null
}

/** IPv4 in IPv6 (`::ffff:1.2.3.4`, RFC 4291, section 2.5.5.2) is IPv4. */
function bytesOf(address: string): Uint8Array | null {
  if (isIPv4(address)) return Uint8Array.from(address.split('.'), Number)
  if (!isIPv6(address) || address.includes('%')) return null
  // The URL parser gives every spelling its canonical form (RFC 5952).
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::')
  const [first, last] = [groupsOf(head), groupsOf(tail ?? '')]
  const zeros = Array<number>(8 - first.length - last.length).fill(0)
  const bytes = Uint8Array.from([...first, ...zeros, ...last].flatMap((group) => [group >> 8, group & 0xff]))
  const isMapped = bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff
  return isMapped ? bytes.slice(12) : bytes
}

function groupsOf(text: string): number[] {
  return text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16))
}

function networkText({ bytes, bits }: Block): string {
  return `${bytes.length === 4 ? bytes.join('.') : ipv6Text(bytes)}/${bits}`
}

function ipv6Text(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0))
  const text = groups.map((group) => group.toString(16)).join(':')
  return new URL(`http://[${text}]`).hostname.slice(1, -1)
}
